package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newApp(t *testing.T, opts app.Options) *app.App {
	t.Helper()
	if opts.DataDir == "" {
		opts.DataDir = t.TempDir()
	}
	if opts.HTTP == "" {
		opts.HTTP = "127.0.0.1:0"
	}
	opts.Engine.Listen = "127.0.0.1:0"
	a, err := app.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	return a
}

func start(t *testing.T, a *app.App) {
	t.Helper()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, a *app.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// get returns status and body, over a connection of its own.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestStartAnnouncesItselfAndStopTakesItBack(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, app.Options{DataDir: dir})
	start(t, a)
	line, err := os.ReadFile(filepath.Join(dir, app.EndpointsFile))
	if err != nil {
		t.Fatal(err)
	}
	var e app.Endpoints
	if err := json.Unmarshal(line, &e); err != nil || e != a.Endpoints() || strings.Count(string(line), "\n") != 1 {
		t.Fatalf("endpoints.json %q, %v", line, err)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 200, "/demo.json": 404} {
		if resp, _ := get(t, e.HTTP+path); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "nats", "context", "service.json")); err != nil {
		t.Error(err)
	}
	stop(t, a)
	if _, err := os.Stat(filepath.Join(dir, app.EndpointsFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("endpoints.json is still there: %v", err)
	}
}

func TestALifeIsOnceStartedAndStoppedAsOftenAsYouLike(t *testing.T) {
	a := newApp(t, app.Options{})
	stop(t, a) // without Start
	if err := a.Start(t.Context()); !errors.Is(err, app.ErrStarted) {
		t.Fatalf("start after stop: %v", err)
	}
	b := newApp(t, app.Options{})
	start(t, b)
	if err := b.Start(t.Context()); !errors.Is(err, app.ErrStarted) {
		t.Fatalf("start twice: %v", err)
	}
	stop(t, b)
	stop(t, b)
}

func TestConnectionsThatSayNothingDoNotHoldUpTheStop(t *testing.T) {
	a := newApp(t, app.Options{DrainTimeout: 2 * time.Second}) // less than they have for a request
	start(t, a)
	for _, begin := range []string{"", "GET /ws HTTP/1.1\r\nHost: x\r\nX-"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.Endpoints().HTTP, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
	}
	get(t, a.Endpoints().HTTP+"/healthz") // accepted after them
	stop(t, a)
}

func TestTwoInstancesStandBesideEachOther(t *testing.T) {
	a, b := newApp(t, app.Options{}), newApp(t, app.Options{})
	start(t, a)
	start(t, b)
	if a.Endpoints().HTTP == b.Endpoints().HTTP || a.Endpoints().NATS == b.Endpoints().NATS {
		t.Fatalf("%+v, %+v", a.Endpoints(), b.Endpoints())
	}
}

func TestAStartThatFailsHalfWayUndoesItself(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	a := newApp(t, app.Options{DataDir: dir, HTTP: taken.Addr().String()})
	err = a.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "HTTP listener") || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, app.EndpointsFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("endpoints.json was written: %v", err)
	}
	// goleak holds that nothing runs on; the folder can be used again.
	b := newApp(t, app.Options{DataDir: dir})
	start(t, b)
}

func TestTheDemoHandsOutTokensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{":8080", "0.0.0.0:8080", "192.0.2.1:8080", "example.com:8080"} {
		if _, err := app.New(app.Options{DataDir: t.TempDir(), HTTP: addr, Demo: true}); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	a := newApp(t, app.Options{Demo: true})
	start(t, a)
	resp, body := get(t, a.Endpoints().HTTP+"/demo.json")
	if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(body, `"user":"alice"`) || !strings.Contains(body, `"user":"mallory"`) {
		t.Fatalf("%s %s", resp.Status, body)
	}
}
