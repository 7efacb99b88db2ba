//go:build unix

package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// fullDisk lets no file of this process grow beyond some bytes, which is to the
// server what a full disk is, until the test calls the returned function.
func fullDisk(t *testing.T, bytes uint64) (free func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // the write then fails with EFBIG
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := before
	full.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	free = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(free)
	return free
}

// readiness waits for what /readyz says.
func readiness(t *testing.T, a *app.App, want string) {
	t.Helper()
	var body string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, body = get(t, a.Endpoints().HTTP+"/readyz"); strings.Contains(body, want) {
			return
		}
	}
	t.Fatalf("/readyz says %q, want %q", body, want)
}

// storageCase is an app with a service and a browser that listens.
type storageCase struct {
	app     *app.App
	service jetstream.JetStream
	dir     string

	mu    sync.Mutex // guards heard
	heard []string
}

func newStorageCase(t *testing.T) *storageCase {
	t.Helper()
	c := &storageCase{dir: t.TempDir()}
	c.app = newApp(t, app.Options{DataDir: c.dir, Demo: true})
	start(t, c.app)
	login, err := nats.NkeyOptionFromSeed(keys.ServiceFile(c.dir))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.app.Endpoints().NATS, login, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if c.service, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	set, err := keys.Load(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.Issue(set.TokenSecret, app.DemoOwner, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	browser := connectAs(t, c.app.Endpoints().WS, nats.Token(token))
	if _, err := browser.Subscribe("status.demo.tool", func(m *nats.Msg) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard = append(c.heard, m.Header.Get("Test-Text"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := browser.Flush(); err != nil {
		t.Fatal(err)
	}
	return c
}

// publish returns the status's error, if it is one.
func (c *storageCase) publish(t *testing.T, text string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m := nats.NewMsg("status.demo.tool")
	m.Header.Set("Test-Text", text)
	m.Data = []byte(`{"text":"x"}`)
	_, err := c.service.PublishMsg(ctx, m)
	return err
}

func refusedAsUnavailable(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && int(api.ErrorCode) == status.ErrUnavailable.ErrCode && api.Code == 503
}

func (c *storageCase) hears(t *testing.T, want []string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		got = slices.DeleteFunc(slices.Clone(c.heard), func(s string) bool { return s == "" }) // the demo's own
		c.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("the browser has heard %q, want %q", got, want)
}

func TestAFullDiskIsToldAtOnceAndAllIsBackWhenThereIsRoom(t *testing.T) {
	c := newStorageCase(t)
	var sent []string
	ok := func(text string) {
		t.Helper()
		if err := c.publish(t, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sent = append(sent, text)
	}
	for i := range 20 {
		ok(fmt.Sprint("before ", i))
	}
	free := fullDisk(t, 1)
	// The one that finds the disk full is told as well: JetStream answers nothing.
	if err := c.publish(t, "first"); !refusedAsUnavailable(err) {
		t.Errorf("the first status that cannot be stored: %v", err)
	}
	if err := c.publish(t, "second"); !refusedAsUnavailable(err) || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		t.Errorf("the next one: %v", err)
	}
	readiness(t, c.app, "not ready: stream STATUS cannot store: "+syscall.EFBIG.Error())
	if _, body := get(t, c.app.Endpoints().HTTP+"/readyz"); strings.Contains(body, c.dir) {
		t.Errorf("/readyz names the data folder: %q", body)
	}
	if resp, body := get(t, c.app.Endpoints().HTTP+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("a full disk is no reason to kill the process, and /healthz says %q", body)
	}
	if metric(t, c.app, `statuswire_nats_stream_healthy{stream="STATUS"}`) != 0 {
		t.Error("the metrics say that the stream is healthy")
	}

	free()
	readiness(t, c.app, "ready\n")
	if metric(t, c.app, `statuswire_nats_stream_healthy{stream="STATUS"}`) != 1 || metric(t, c.app, "statuswire_nats_restarts_total") < 1 {
		t.Error("the metrics do not tell the recovery")
	}
	for i := range 20 {
		ok(fmt.Sprint("after ", i))
	}
	c.hears(t, sent)
}

func TestStreamsThatWereRemovedUnderTheServerBeginAnew(t *testing.T) {
	c := newStorageCase(t)
	if err := c.publish(t, "old"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.dir, "streams")); err != nil {
		t.Fatal(err)
	}
	readiness(t, c.app, "it is not there any more")
	readiness(t, c.app, "ready\n")
}
