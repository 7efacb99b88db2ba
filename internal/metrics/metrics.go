package metrics

import (
	"cmp"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/statuswire/statuswire/internal/noise"
)

// Options of the Metrics. Zero means the default everywhere.
type Options struct {
	// Version and Revision name the build. Default: what the go command has
	// written into the binary, else "unknown".
	Version, Revision string
	// Sources are asked at each scrape. Default: their figures are left out.
	Sources Sources
	// Interval is how long figures that were gathered for one scrape serve others.
	// Default 1 s.
	Interval time.Duration
	// Logger hears of a scrape that failed. Default: discard.
	Logger *slog.Logger
}

// Metrics are the figures of one process. Safe for concurrent use; those of nil
// are not counted, for parts that run without.
type Metrics struct {
	registry *prometheus.Registry
	shared   *shared
	logger   *slog.Logger

	deliveries map[string]prometheus.Counter // by category; never changes
	otherwise  prometheus.Counter            // deliveries of all other categories
	refusals   map[Refusal]refusalCounters   // never changes

	connections      prometheus.Gauge
	duration         prometheus.Histogram
	changes          prometheus.Histogram
	changesPerMinute prometheus.Histogram
	callout          prometheus.Histogram
}

// New makes the figures, all at zero.
func New(opts Options) *Metrics {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{registry: prometheus.NewRegistry(), logger: opts.Logger}
	m.shared = &shared{from: m.registry, interval: cmp.Or(opts.Interval, time.Second)}
	m.makePushed()
	m.registry.MustRegister(
		newCollector(opts.Sources),
		buildInfo(opts),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

const (
	maxScrapes    = 4 // at once: one more is told 503
	scrapeTimeout = 10 * time.Second
)

// Handler answers GET with the figures in Prometheus' text format, gathered at most
// once in Options.Interval.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.shared, promhttp.HandlerOpts{
		ErrorLog:            noise.Lines(m.logger, slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	})
}

func buildInfo(opts Options) prometheus.Collector {
	version, revision := opts.Version, opts.Revision
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = cmp.Or(revision, s.Value)
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "statuswire_build_info",
		Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{
			"version":   cmp.Or(version, "unknown"),
			"revision":  cmp.Or(revision, "unknown"),
			"goversion": runtime.Version(),
		},
	})
	g.Set(1)
	return g
}
