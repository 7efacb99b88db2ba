package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/statuswire/statuswire/status"
)

// otherCategory stands for every category that a conversation has of its own.
const otherCategory = "other"

// Delivered counts a status that went to n browsers at once. Any category that is
// not one of the default ones counts as "other". It allocates nothing.
func (m *Metrics) Delivered(category string, n int) {
	if m == nil || n <= 0 {
		return
	}
	c := m.deliveries[category]
	if c == nil {
		c = m.otherwise
	}
	c.Add(float64(n))
}

// Refused counts a refusal; with dryRun what would have been one. A reason that
// is not in Refusals counts as "other". It allocates nothing.
func (m *Metrics) Refused(reason Refusal, dryRun bool) {
	if m == nil {
		return
	}
	c, ok := m.refusals[reason]
	if !ok {
		c = m.refusals[RefusalOther]
	}
	if dryRun {
		c.dryRun.Inc()
	} else {
		c.real.Inc()
	}
}

// CalloutTook observes a login decision, from the arrival of the server's request
// to the answer.
func (m *Metrics) CalloutTook(d time.Duration) {
	if m == nil {
		return
	}
	m.callout.Observe(d.Seconds())
}

// refusalCounters are one reason's.
type refusalCounters struct{ real, dryRun prometheus.Counter }

func (m *Metrics) makePushed() {
	deliveries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "statuswire_deliveries_total",
		Help: "Statuses handed to browsers, once for each of them, by category; those shed on the way are counted here as well.",
	}, []string{"category"})
	m.deliveries = map[string]prometheus.Counter{}
	for _, c := range status.DefaultCategories() {
		m.deliveries[string(c)] = deliveries.WithLabelValues(string(c))
	}
	m.otherwise = deliveries.WithLabelValues(otherCategory)

	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "statuswire_refusals_total",
		Help: "What browsers were refused, by reason; dry_run is true where a limit only counts.",
	}, []string{"reason", "dry_run"})
	m.refusals = map[Refusal]refusalCounters{}
	for _, r := range Refusals() {
		m.refusals[r] = refusalCounters{
			real:   refusals.WithLabelValues(string(r), strconv.FormatBool(false)),
			dryRun: refusals.WithLabelValues(string(r), strconv.FormatBool(true)),
		}
	}

	m.connections = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "statuswire_connections",
		Help: "Browsers connected now.",
	})
	m.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "statuswire_connection_duration_seconds",
		Help:    "How long connections lasted, observed when they end.",
		Buckets: []float64{1, 5, 15, 60, 300, 900, 1800, 3600, 4 * 3600, 8 * 3600, 24 * 3600},
	})
	m.changes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "statuswire_connection_subscription_changes",
		Help:    "Subscription changes of a connection, observed when it ends.",
		Buckets: []float64{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
	})
	m.changesPerMinute = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "statuswire_connection_subscription_changes_per_minute",
		Help:    "Subscription changes of a connection in one minute of its life, for each minute that had any.",
		Buckets: []float64{1, 2, 5, 10, 15, 20, 25, 30, 40, 60, 120},
	})
	m.callout = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "statuswire_callout_duration_seconds",
		Help:    "How long login decisions took, the time in the queue included.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2},
	})
	m.registry.MustRegister(deliveries, refusals, m.connections, m.duration, m.changes, m.changesPerMinute, m.callout)
}
