package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// allSources answers with a different number for each figure.
func allSources() metrics.Sources {
	return metrics.Sources{
		Gateway: func() metrics.GatewayStats {
			return metrics.GatewayStats{Credentials: 1, IdleGrants: 49, IdleBytes: 50, Links: 2, LinksKept: 3, SlowCloses: 4, Shed: 6, Sheltered: 5, Resumed: 48}
		},
		Fanout: func() metrics.FanoutStats {
			return metrics.FanoutStats{Topics: 6, Upstream: 51, Limit: 52, CatchingUp: 43, Doubles: 7, Mended: 8, Replayed: 44, Failed: 9}
		},
		Callout: func() metrics.CalloutStats {
			return metrics.CalloutStats{Granted: 10, Denied: map[string]uint64{"token": 11}, Foreign: 12, Queued: 13}
		},
		Broadcaster: func() metrics.BroadcasterStats {
			return metrics.BroadcasterStats{
				Received: 14, Forwarded: 15, Dropped: 16, Unanswered: 17,
				Refused: map[string]uint64{"unknown_category": 18, "internal": 19, "no such name": 20},
			}
		},
		Edge: func() map[string]metrics.EndpointStats {
			return map[string]metrics.EndpointStats{"join": {Answered: 21, Refused: 22, DurationTotal: 23 * time.Millisecond}}
		},
		Audit: func() metrics.AuditStats {
			return metrics.AuditStats{
				Recorded: 24, Lost: 26, Overflowed: 27, Records: 28, Retries: 29, Open: 30,
				Acts: metrics.ActStats{Recorded: 58, Written: 59, Lost: 60, Retries: 61, Waiting: 62},
			}
		},
		Marks: func() metrics.MarkStats {
			return metrics.MarkStats{Keys: 50, Away: 1, Bytes: 51, Forgotten: 52, Refused: 53, Written: 54, WrittenBytes: 55, WriteFailures: 56}
		},
		LogOmitted: func() uint64 { return 57 },
		Storage: func() metrics.StorageStats {
			return metrics.StorageStats{Healthy: map[string]bool{"STATUS": false, "AUDIT": true}, Restarts: 57}
		},
		Server: func() (metrics.ServerStats, error) {
			return metrics.ServerStats{
				Connections: 31, TotalConnections: 32, Subscriptions: 33, InMsgs: 34, OutMsgs: 35, InBytes: 36, OutBytes: 37,
				SlowConsumers: 38, MemoryBytes: 39, StoreBytes: 40, StoreMemoryBytes: 41, APIRequests: 42, APIErrors: 43,
				Streams: []metrics.StreamStats{{Name: "STATUS", Messages: 44, Bytes: 45, Subjects: 46, LastSequence: 47}},
			}, nil
		},
	}
}

// fresh makes figures that are gathered for each scrape.
func fresh(o metrics.Options) *metrics.Metrics {
	o.Interval = time.Nanosecond
	return metrics.New(o)
}

// scrape asks the handler, as Prometheus does.
func scrape(t testing.TB, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func families(t testing.TB, m *metrics.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	all, err := p.TextToMetricFamilies(strings.NewReader(scrape(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// lines are those of the scrape that begin with one of the names.
func lines(t testing.TB, m *metrics.Metrics, names ...string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(scrape(t, m)) {
		for _, name := range names {
			if rest, ok := strings.CutPrefix(line, name); ok && strings.ContainsAny(rest[:1], "{ _") {
				found = append(found, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return found
}

// want fails unless the scrape has each of the lines.
func want(t testing.TB, m *metrics.Metrics, expected ...string) {
	t.Helper()
	text := "\n" + scrape(t, m)
	for _, line := range expected {
		if !strings.Contains(text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			t.Errorf("no line %s\nbut\n%s", line, strings.Join(lines(t, m, name), "\n"))
		}
	}
}
