//go:build unix

package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/storage"
	"github.com/statuswire/statuswire/internal/storage/storagetest"
	"github.com/statuswire/statuswire/status"
)

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
	c.app = newApp(t, app.Options{DataDir: c.dir})
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
	client := admin.NewClient(connectOperator(t, c.app, c.dir), admin.OperatorName)
	if _, err := client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"}); err != nil {
		t.Fatalf("the conversation is not made: %v", err)
	}
	token, err := identity.Issue(set.TokenSecret, "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	browser := connectAs(t, c.app.Endpoints().WS, nats.Token(token))
	if _, err := browser.Subscribe("status.c1.tool", func(m *nats.Msg) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var s status.Message
		if err := json.Unmarshal(m.Data, &s); err != nil {
			t.Error(err)
		}
		c.heard = append(c.heard, s.Text)
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
	_, err := c.service.Publish(ctx, "status.c1.tool", fmt.Appendf(nil, `{"text":%q}`, text))
	return err
}

func refusedAsUnavailable(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && int(api.ErrorCode) == status.ErrUnavailable.ErrCode && api.Code == 503
}

func (c *storageCase) hears(t *testing.T, enough func([]string) bool) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		got = slices.Clone(c.heard)
		c.mu.Unlock()
		if enough(got) {
			return
		}
	}
	t.Errorf("the browser has heard %d: %.2000q", len(got), got)
}

func TestAFullDiskIsToldAtOnceAndAllIsBackWhenThereIsRoom(t *testing.T) {
	if !storagetest.Alone(t) {
		return
	}
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
	free := storagetest.FullDisk(t, 1)
	// The one that finds the disk full is told as well: JetStream answers nothing.
	if err := c.publish(t, "first"); !refusedAsUnavailable(err) {
		t.Errorf("the first status that cannot be stored: %v", err)
	}
	if err := c.publish(t, "second"); !refusedAsUnavailable(err) || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		t.Errorf("the next one: %v", err)
	}
	readiness(t, c.app, "not ready: ")
	readiness(t, c.app, "stream STATUS cannot store: "+syscall.EFBIG.Error())
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
	for deadline := time.Now().Add(10 * time.Second); metric(t, c.app, `statuswire_nats_stream_healthy{stream="STATUS"}`) != 1 ||
		metric(t, c.app, "statuswire_nats_restarts_total") < 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the metrics do not tell the recovery")
		}
	}
	for i := range 20 {
		ok(fmt.Sprint("after ", i))
	}
	c.hears(t, func(heard []string) bool { return slices.Equal(heard, sent) })
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

// A disk that is full again and again, with services that publish all the time: what
// was acknowledged comes to a browser in order, each once, over every new server.
func TestDisksThatAreFullAgainAndAgainCostNobodyAnAcknowledgedStatus(t *testing.T) {
	if !storagetest.Alone(t) {
		return
	}
	c := newStorageCase(t)
	p, err := broadcaster.NewPublisher(c.service.Conn(), broadcaster.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	acked := make(chan []string)
	var count atomic.Int64
	more := func() {
		t.Helper()
		for now, deadline := count.Load(), time.Now().Add(60*time.Second); count.Load() < now+5; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no status was acknowledged for a minute")
			}
		}
	}
	go func() { // ends with ctx
		var all []string
		for i := 0; ctx.Err() == nil; i++ {
			text := fmt.Sprint("status ", i)
			// It tries again with the same id while it is refused or not answered.
			_, err := p.Publish(ctx, "c1", status.Message{Category: "tool", Text: text})
			if err == nil {
				all = append(all, text)
				count.Add(1)
			} else if ctx.Err() == nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		acked <- all
	}()
	for round := range 3 {
		more()
		free := storagetest.FullDisk(t, 1)
		readiness(t, c.app, "not ready: ")
		free()
		readiness(t, c.app, "ready\n")
		if n := metric(t, c.app, "statuswire_nats_restarts_total"); n < float64(round+1) {
			t.Errorf("%v restarts after round %d", n, round)
		}
	}
	more()
	cancel()
	sent := <-acked
	// The last one may have been stored without an acknowledgement that came in time.
	c.hears(t, func(heard []string) bool {
		return len(heard) >= len(sent) && len(heard) <= len(sent)+1 && slices.Equal(heard[:len(sent)], sent)
	})
}

func TestAServerThatCannotBeStartedAnewEndsTheProcessAndItsLiveness(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // what is included is looked for there
	const included = "more.conf"
	if err := os.WriteFile(included, []byte("max_traced_msg_len: 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := app.Options{DataDir: dir, Storage: storage.Options{GiveUpAfter: time.Millisecond, FirstWait: 10 * time.Millisecond}}
	opts.Engine.Config = append(engine.DefaultOptions().Config, "\ninclude '"+included+"'\n"...)
	opts.HTTP, opts.Engine.Listen = "127.0.0.1:0", "127.0.0.1:0"
	a, err := app.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Not clean, but at once: nobody waits for a server that will not be.
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil && strings.Contains(err.Error(), "deadline") {
			t.Error(err)
		}
	})
	start(t, a)
	if err := os.Remove(included); err != nil { // the next server cannot read its configuration
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "streams")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.Dead():
	case <-time.After(time.Minute):
		t.Fatal("it does not give up")
	}
	if err := a.Alive(); err == nil || !strings.Contains(err.Error(), "more.conf") {
		t.Errorf("it says %v", err)
	}
	if resp, body := get(t, a.Endpoints().HTTP+"/healthz"); resp.StatusCode != 503 || !strings.HasPrefix(body, "not alive: ") {
		t.Errorf("/healthz: %s %s", resp.Status, body)
	}
}
