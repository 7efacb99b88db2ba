package metrics_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
)

func TestNamesTypesAndHelpPassTheLint(t *testing.T) {
	m := fresh(metrics.Options{Sources: allSources()})
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestDeliveriesAreCountedByCategory(t *testing.T) {
	m := fresh(metrics.Options{})
	m.Delivered("engine", 3)
	m.Delivered("engine", 1000)
	m.Delivered("deploy", 2)
	m.Delivered("", 1)
	m.Delivered("other", 1)
	m.Delivered("tool", 0)
	m.Delivered("tool", -1)
	want(t, m,
		`statuswire_deliveries_total{category="engine"} 1003`,
		`statuswire_deliveries_total{category="other"} 4`,
		`statuswire_deliveries_total{category="tool"} 0`,
		`statuswire_deliveries_total{category="workflow"} 0`)
	if n := len(lines(t, m, "statuswire_deliveries_total")); n != 7 {
		t.Errorf("%d categories, not the six and other", n)
	}
}

func TestRefusalsHaveAFixedSetOfReasons(t *testing.T) {
	m := fresh(metrics.Options{})
	before := len(lines(t, m, "statuswire_refusals_total"))
	m.Refused(metrics.Refusal(limit.Categories), false)
	m.Refused(metrics.Refusal(limit.Categories), true)
	m.Refused(metrics.Refusal(limit.Categories), true)
	m.Refused(metrics.RefusalToken, false)
	m.Refused(`status.c1.engine" is not`, false)
	want(t, m,
		`statuswire_refusals_total{dry_run="false",reason="categories"} 1`,
		`statuswire_refusals_total{dry_run="true",reason="categories"} 2`,
		`statuswire_refusals_total{dry_run="false",reason="token"} 1`,
		`statuswire_refusals_total{dry_run="false",reason="other"} 1`)
	if n := len(lines(t, m, "statuswire_refusals_total")); n != before || n != 2*len(metrics.Refusals()) {
		t.Errorf("%d series, %d before", n, before)
	}
}

func TestAConnectionFromBeginningToEnd(t *testing.T) {
	m := fresh(metrics.Options{})
	begin := time.Date(2024, 1, 19, 12, 0, 50, 0, time.UTC)
	at := func(d time.Duration) time.Time { return begin.Add(d) }

	other := m.Connect(begin)
	c := m.Connect(begin)
	for range 3 {
		c.Changed(at(59 * time.Second)) // the first minute of its life, though not of the clock
	}
	c.Changed(at(time.Minute))
	for range 40 {
		c.Changed(at(10*time.Minute + time.Second))
	}
	want(t, m,
		`statuswire_connections 2`,
		`statuswire_connection_duration_seconds_count 0`,
		`statuswire_connection_subscription_changes_per_minute_count 2`)

	c.Close(at(20 * time.Minute))
	c.Close(at(30 * time.Minute))
	c.Changed(at(30 * time.Minute))
	want(t, m,
		`statuswire_connections 1`,
		`statuswire_connection_duration_seconds_count 1`,
		`statuswire_connection_duration_seconds_sum 1200`,
		`statuswire_connection_subscription_changes_sum 44`,
		`statuswire_connection_subscription_changes_count 1`,
		`statuswire_connection_subscription_changes_per_minute_sum 44`,
		`statuswire_connection_subscription_changes_per_minute_count 3`,
		`statuswire_connection_subscription_changes_per_minute_bucket{le="1"} 1`,
		`statuswire_connection_subscription_changes_per_minute_bucket{le="5"} 2`,
		`statuswire_connection_subscription_changes_per_minute_bucket{le="40"} 3`)

	other.Close(begin)
	want(t, m, `statuswire_connections 0`, `statuswire_connection_subscription_changes_bucket{le="0"} 1`)
}

func TestLoginDecisionsAreObserved(t *testing.T) {
	m := fresh(metrics.Options{})
	m.CalloutTook(2 * time.Millisecond)
	m.CalloutTook(750 * time.Millisecond)
	want(t, m,
		`statuswire_callout_duration_seconds_count 2`,
		`statuswire_callout_duration_seconds_sum 0.752`,
		`statuswire_callout_duration_seconds_bucket{le="0.0025"} 1`)
}

func TestEverySourceIsAskedAtEachScrape(t *testing.T) {
	m := fresh(metrics.Options{Sources: allSources()})
	want(t, m,
		`statuswire_credentials 1`, `statuswire_idle_grants 49`, `statuswire_idle_grant_bytes 50`, `statuswire_links_opened_total 2`, `statuswire_links 3`,
		`statuswire_slow_closes_total 4`, `statuswire_shed_total 6`, `statuswire_queued_bytes 5`, `statuswire_resumed_subscriptions_total 48`,
		`statuswire_marks{state="open"} 49`, `statuswire_marks{state="ended"} 1`, `statuswire_marks_bytes 51`,
		`statuswire_marks_forgotten_total 52`, `statuswire_marks_refused_total 53`, `statuswire_marks_written_total 54`,
		`statuswire_marks_written_bytes_total 55`, `statuswire_marks_write_failures_total 56`, `statuswire_log_lines_omitted_total 57`,
		`statuswire_audit_admin_acts_total 58`, `statuswire_audit_admin_records_total 59`, `statuswire_audit_admin_lost_total 60`,
		`statuswire_audit_admin_retries_total 61`, `statuswire_audit_admin_waiting 62`,
		`statuswire_fanout_topics 6`, `statuswire_fanout_subscriptions 51`, `statuswire_fanout_subscriptions_limit 52`, `statuswire_fanout_doubles_total 7`, `statuswire_fanout_mended_total 8`,
		`statuswire_fanout_catching_up 43`, `statuswire_fanout_replayed_total 44`,
		`statuswire_fanout_holes_failed_total 9`,
		`statuswire_callout_verdicts_total{verdict="granted"} 10`, `statuswire_callout_verdicts_total{verdict="token"} 11`,
		`statuswire_callout_foreign_total 12`, `statuswire_callout_queued 13`,
		`statuswire_submissions_total 14`, `statuswire_publishes_total{result="forwarded"} 15`,
		`statuswire_publishes_total{result="dropped"} 16`, `statuswire_publishes_unanswered_total 17`,
		`statuswire_publishes_total{result="unknown_category"} 18`, `statuswire_publishes_total{result="internal"} 19`,
		`statuswire_publishes_total{result="no_text"} 0`,
		`statuswire_requests_total{endpoint="join",result="answered"} 21`,
		`statuswire_requests_total{endpoint="join",result="refused"} 22`,
		`statuswire_request_duration_seconds_sum{endpoint="join"} 0.023`,
		`statuswire_request_duration_seconds_count{endpoint="join"} 43`,
		`statuswire_audit_events_total 24`, `statuswire_audit_events_lost_total 26`, `statuswire_audit_events_overflowed_total 27`,
		`statuswire_audit_records_total 28`, `statuswire_audit_retries_total 29`, `statuswire_audit_open_records 30`,
		`statuswire_nats_up 1`, `statuswire_nats_connections 31`, `statuswire_nats_connections_opened_total 32`,
		`statuswire_nats_subscriptions 33`,
		`statuswire_nats_messages_total{direction="in"} 34`, `statuswire_nats_messages_total{direction="out"} 35`,
		`statuswire_nats_bytes_total{direction="in"} 36`, `statuswire_nats_bytes_total{direction="out"} 37`,
		`statuswire_nats_slow_consumers_total 38`, `statuswire_nats_memory_bytes 39`,
		`statuswire_nats_jetstream_storage_bytes 40`, `statuswire_nats_jetstream_memory_bytes 41`,
		`statuswire_nats_jetstream_api_requests_total 42`, `statuswire_nats_jetstream_api_errors_total 43`,
		`statuswire_nats_stream_messages{stream="STATUS"} 44`, `statuswire_nats_stream_bytes{stream="STATUS"} 45`,
		`statuswire_nats_stream_subjects{stream="STATUS"} 46`, `statuswire_nats_stream_stored_total{stream="STATUS"} 47`)
	if text := scrape(t, m); strings.Contains(text, "no such name") {
		t.Error("a result that the table of errors does not have is a label")
	}
}

func TestAServerThatDoesNotAnswerIsSaidToBeDown(t *testing.T) {
	s := allSources()
	s.Server = func() (metrics.ServerStats, error) { return metrics.ServerStats{}, errors.New("not running") }
	m := fresh(metrics.Options{Sources: s})
	want(t, m, `statuswire_nats_up 0`, `statuswire_fanout_topics 6`)
	if got := lines(t, m, "statuswire_nats_connections"); len(got) > 0 {
		t.Errorf("figures all the same: %q", got)
	}
}

func TestSourcesThatAreNotThereAreLeftOut(t *testing.T) {
	m := fresh(metrics.Options{})
	if got := lines(t, m, "statuswire_nats_up", "statuswire_fanout_topics", "statuswire_callout_verdicts_total"); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	want(t, m, `statuswire_connections 0`)
}

func TestTheBuildIsNamed(t *testing.T) {
	m := fresh(metrics.Options{Version: "v1.2.3", Revision: "abc"})
	want(t, m, `statuswire_build_info{goversion="`+runtime.Version()+`",revision="abc",version="v1.2.3"} 1`)
}

func TestGoAndTheProcessAreThere(t *testing.T) {
	m := fresh(metrics.Options{})
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "process_open_fds"} {
		if len(lines(t, m, name)) != 1 {
			t.Errorf("no %s", name)
		}
	}
}

func TestNoneAtAllTakesEverything(*testing.T) {
	var m *metrics.Metrics
	m.Delivered("engine", 1)
	m.Refused(metrics.RefusalToken, false)
	m.CalloutTook(time.Second)
	c := m.Connect(time.Now())
	c.Changed(time.Now())
	c.Close(time.Now())
}

// Two servers in one process do not share figures.
func TestTwoInstancesAreApart(t *testing.T) {
	a, b := fresh(metrics.Options{}), fresh(metrics.Options{})
	a.Delivered("engine", 1)
	want(t, a, `statuswire_deliveries_total{category="engine"} 1`)
	want(t, b, `statuswire_deliveries_total{category="engine"} 0`)
}

func TestNothingIsMiscountedWhenAllPushAtOnce(t *testing.T) {
	m := fresh(metrics.Options{Sources: allSources()})
	const workers, times = 8, 1000
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range times {
				m.Delivered("engine", 3)
				m.Refused(metrics.RefusalPermission, false)
				c := m.Connect(time.Time{})
				c.Changed(time.Time{})
				c.Close(time.Time{})
			}
		})
	}
	for range 5 {
		scrape(t, m)
	}
	wg.Wait()
	want(t, m,
		`statuswire_deliveries_total{category="engine"} 24000`,
		`statuswire_refusals_total{dry_run="false",reason="permission"} 8000`,
		`statuswire_connections 0`,
		`statuswire_connection_duration_seconds_count 8000`)
}

func TestManyScrapesAtOnceAreTurnedAway(t *testing.T) {
	s := allSources()
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	s.Fanout = func() metrics.FanoutStats { asked <- struct{}{}; <-answer; return metrics.FanoutStats{} }
	h := metrics.New(metrics.Options{Sources: s}).Handler()
	codes := make(chan int)
	for range 5 {
		go func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			codes <- w.Code
		}()
	}
	if code := <-codes; code != http.StatusServiceUnavailable { // the others wait
		t.Errorf("the first answer is %d", code)
	}
	close(answer)
	for range 4 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
	if len(asked) != 1 {
		t.Errorf("the four that passed have gathered %d times", len(asked))
	}
}

func TestScrapesWithinASecondShareWhatWasGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gathered := 0
		m := metrics.New(metrics.Options{Sources: metrics.Sources{
			Fanout: func() metrics.FanoutStats { gathered++; return metrics.FanoutStats{Topics: gathered} },
		}})
		for range 10 {
			want(t, m, `statuswire_fanout_topics 1`)
			time.Sleep(100 * time.Millisecond)
		}
		want(t, m, `statuswire_fanout_topics 2`)
		time.Sleep(time.Hour)
		want(t, m, `statuswire_fanout_topics 3`)
	})
}

func TestPushingAllocatesNothing(t *testing.T) {
	m := fresh(metrics.Options{})
	c := m.Connect(time.Now())
	now := time.Now()
	for name, push := range map[string]func(){
		"delivered":    func() { m.Delivered("engine", 1000) },
		"own category": func() { m.Delivered("deploy", 1000) },
		"refused":      func() { m.Refused(metrics.RefusalPermission, false) },
		"changed":      func() { c.Changed(now) },
		"callout":      func() { m.CalloutTook(time.Millisecond) },
	} {
		if n := testing.AllocsPerRun(1000, push); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The one call that a status makes on its way, whatever the number of receivers.
func BenchmarkDelivered(b *testing.B) {
	m := fresh(metrics.Options{})
	for _, category := range []string{"engine", "info", "deploy"} {
		b.Run(category, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Delivered(category, 1000)
			}
		})
	}
	b.Run("on all processors", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				m.Delivered("engine", 1000)
			}
		})
	})
}

func BenchmarkScrape(b *testing.B) {
	m := fresh(metrics.Options{Sources: allSources()})
	b.ReportAllocs()
	for b.Loop() {
		scrape(b, m)
	}
}
