package app_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/logtest"
)

const aFigure = "\nstatuswire_connections 0\n"

func TestMetricsHaveAListenerOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, app.Options{DataDir: dir})
	start(t, a)
	e := a.Endpoints()
	if resp, body := get(t, e.Metrics); resp.StatusCode != 200 || !strings.Contains(body, aFigure) {
		t.Errorf("%s: %s %q", e.Metrics, resp.Status, body)
	}
	if resp, body := get(t, e.HTTP+"/metrics"); resp.StatusCode != 404 || strings.Contains(body, "statuswire_") {
		t.Errorf("at the HTTP address, which the public reaches: %s %q", resp.Status, body)
	}
	for _, path := range []string{"/", "/healthz", "/ws", "/v1/conversations/c1/events"} {
		if resp, _ := get(t, strings.TrimSuffix(e.Metrics, "/metrics")+path); resp.StatusCode != 404 {
			t.Errorf("%s beside the metrics: %s", path, resp.Status)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, app.EndpointsFile))
	if err != nil {
		t.Fatal(err)
	}
	var told map[string]string
	if err := json.Unmarshal(text, &told); err != nil || told["metrics"] != e.Metrics {
		t.Errorf("endpoints.json is %s (%v)", text, err)
	}
	if code, body := asHost(t, e.Metrics, "evil.example:9464"); code != 403 || strings.Contains(body, "statuswire_") {
		t.Errorf("under a stranger's name: %d %q", code, body)
	}
}

func TestMetricsAreWhereTheSettingSays(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()

	a := newApp(t, app.Options{Metrics: app.MetricsOnHTTP})
	start(t, a)
	if e := a.Endpoints(); e.Metrics != e.HTTP+"/metrics" {
		t.Errorf("http: the endpoints say %+v", e)
	} else if _, body := get(t, e.Metrics); !strings.Contains(body, aFigure) {
		t.Errorf("http: %q", body)
	}

	a = newApp(t, app.Options{Metrics: app.MetricsNone})
	start(t, a)
	if resp, _ := get(t, a.Endpoints().HTTP+"/metrics"); resp.StatusCode != 404 || a.Endpoints().Metrics != "" {
		t.Errorf("none: %s, %+v", resp.Status, a.Endpoints())
	}

	a = newApp(t, app.Options{Metrics: taken.Addr().String()})
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "setting metrics") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("an address that is taken: %v", err)
	}
}

// Two servers on one machine, both with what is built in: the second one says where
// its metrics are.
func TestTheDefaultMetricsAddressGivesWay(t *testing.T) {
	if held, err := net.Listen("tcp", app.DefaultMetrics); err == nil {
		defer func() { _ = held.Close() }()
	} // else somebody else has it, which is as good
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	log := &logtest.Log{}
	a := newApp(t, app.Options{HTTP: free.Addr().String(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	start(t, a)
	if _, body := get(t, a.Endpoints().Metrics); !strings.Contains(body, aFigure) {
		t.Errorf("%s: %q", a.Endpoints().Metrics, body)
	}
	if !strings.Contains(log.String(), "the metrics are elsewhere than by default") {
		t.Errorf("the log does not say so:\n%s", log)
	}
}

func TestWhoAsksForMetricsHasSoManyConnections(t *testing.T) {
	a := newApp(t, app.Options{})
	start(t, a)
	addr := strings.TrimSuffix(strings.TrimPrefix(a.Endpoints().Metrics, "http://"), "/metrics")
	var silent []net.Conn
	for range 40 { // 16, and one that is told
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		silent = append(silent, conn)
	}
	for i, conn := range silent[17:] { // nobody says a word to the others
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d is not closed: %v", 17+i, err)
		}
	}
}
