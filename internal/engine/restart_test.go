//go:build unix

package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/storage"
	"github.com/statuswire/statuswire/internal/storage/storagetest"
)

// ingest publishes as the broadcaster does.
func ingest(t *testing.T, nc *nats.Conn, timeout time.Duration, data string) error {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	_, err = js.Publish(ctx, "ingest.c1.engine", []byte(data), jetstream.WithRetryAttempts(0))
	return err
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

func TestAFailedWriteShowsAndOnlyARestartEndsIt(t *testing.T) {
	if !storagetest.Alone(t) {
		return
	}
	e := start(t, options(t))
	nc := connect(t, e, engine.PartBroadcaster)
	for i := range 100 {
		if err := ingest(t, nc, 5*time.Second, fmt.Sprintf(`{"text":"%d"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if faults := e.Inspect(); len(faults) != 0 || e.Health() != nil {
		t.Fatalf("all is well, and it says %v", faults)
	}
	select { // nothing has been logged so far, or it is known
	case <-e.Troubled():
	default:
	}
	free := storagetest.FullDisk(t, 4096)
	if err := ingest(t, nc, 300*time.Millisecond, strings.Repeat("x", 8192)); err == nil {
		t.Fatal("a write to a full disk was acknowledged")
	}
	select {
	case <-e.Troubled():
	case <-time.After(10 * time.Second):
		t.Error("nobody was told that something is wrong")
	}
	free()
	if err := ingest(t, nc, 300*time.Millisecond, `{}`); err == nil {
		t.Fatal("the stream has recovered by itself: the restart is not needed any more")
	}
	faults := e.Inspect()
	if len(faults) != 1 || faults[0].Stream != engine.StreamStatus || !faults[0].Stays || faults[0].Gone || faults[0].Cause != syscall.EFBIG.Error() {
		t.Fatalf("got %+v", faults)
	}
	if strings.Contains(faults[0].Error(), e.StoreDir()) {
		t.Errorf("%q names the folder", faults[0].Error())
	}

	id, url := e.ServerID(), e.ClientURL()
	anew, err := e.Restart(t.Context())
	if err != nil || len(anew) != 0 {
		t.Fatalf("began anew: %v, %v", anew, err)
	}
	if faults := e.Inspect(); len(faults) != 0 {
		t.Errorf("after the restart: %v", faults)
	}
	if e.ServerID() == id || e.ClientURL() != url {
		t.Errorf("server %s at %s, before %s at %s", e.ServerID(), e.ClientURL(), id, url)
	}
	if !nc.IsConnected() || nc.ConnectedServerId() != e.ServerID() {
		t.Error("the connection of a part was not back when the restart was done")
	}
	if got := stored(t, e).Msgs; got != 100 {
		t.Errorf("%d of 100 acknowledged statuses are left", got)
	}
	if err := ingest(t, nc, 5*time.Second, `{}`); err != nil {
		t.Errorf("publishing after the restart: %v", err)
	}
}

func TestStreamsWhoseFolderHasGoneBeginAnew(t *testing.T) {
	opts := options(t)
	opts.StoreDir = filepath.Join(opts.StoreDir, "streams")
	e := start(t, opts)
	nc := connect(t, e, engine.PartBroadcaster)
	if err := ingest(t, nc, 5*time.Second, `{}`); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(opts.StoreDir); err != nil {
		t.Fatal(err)
	}
	faults := e.Inspect()
	if len(faults) != len(e.Streams()) || len(faults) < 4 {
		t.Fatalf("of %v: %v", e.Streams(), faults)
	}
	for _, f := range faults {
		if !f.Stays || !f.Gone {
			t.Errorf("got %+v", f)
		}
	}
	anew, err := e.Restart(t.Context())
	if err != nil || len(anew) != len(e.Streams()) {
		t.Fatalf("began anew: %v, %v", anew, err)
	}
	if err := ingest(t, nc, 5*time.Second, `{}`); err != nil || stored(t, e).Msgs != 1 {
		t.Errorf("publishing after the restart: %v, %d are stored", err, stored(t, e).Msgs)
	}
}

func TestAStreamThatWasDeletedIsMissedAndMadeAnew(t *testing.T) {
	opts := options(t)
	const may = `"$JS.API.STREAM.UPDATE.*"`
	opts.Config = bytes.ReplaceAll(engine.DefaultOptions().Config, []byte(may), []byte(may+`, "$JS.API.STREAM.DELETE.*"`))
	e := start(t, opts)
	js, err := jetstream.New(connect(t, e, engine.PartStateStreams))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), engine.StreamMarks); err != nil {
		t.Fatal(err)
	}
	faults := e.Inspect()
	if len(faults) != 1 || faults[0].Stream != engine.StreamMarks || !faults[0].Stays || !faults[0].Gone {
		t.Fatalf("got %+v", faults)
	}
	if anew, err := e.Restart(t.Context()); err != nil || !slices.Equal(anew, []string{engine.StreamMarks}) {
		t.Errorf("began anew: %v, %v", anew, err)
	}
	if err := e.Health(); err != nil {
		t.Error(err)
	}
}

func TestAJetStreamThatHasShutDownShowsAndComesBack(t *testing.T) {
	e := start(t, options(t))
	if err := e.Server().ShutdownJetStream(); err != nil { // as it does when a write is not permitted
		t.Fatal(err)
	}
	until(t, "every stream is missed", func() bool { return len(e.Inspect()) == len(e.Streams()) })
	if anew, err := e.Restart(t.Context()); err != nil || len(anew) != 0 {
		t.Fatalf("began anew: %v, %v", anew, err)
	}
	if err := e.Health(); err != nil {
		t.Error(err)
	}
}

func TestServicesComeBackToARestartedEngine(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	service := dial(t, e, opts.Keys.Service, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	sub, err := service.SubscribeSync("status.*.*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the service is back", func() bool { return service.ConnectedServerId() == e.ServerID() })
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := ingest(t, connect(t, e, engine.PartBroadcaster), 5*time.Second, `{}`); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(10 * time.Second); err != nil {
		t.Errorf("what is stored after the restart does not come: %v", err)
	}
	// The mapping of the account holds as before, and the permissions behind it.
	broadcaster := connect(t, e, engine.PartBroadcaster)
	way, err := broadcaster.SubscribeSync("submit.c1.engine")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(broadcaster.Flush(), service.Publish("status.c1.engine", []byte(`{}`))); err != nil {
		t.Fatal(err)
	}
	if _, err := way.NextMsg(10 * time.Second); err != nil {
		t.Errorf("what a service publishes after the restart does not come to the broadcaster: %v", err)
	}
}

func TestARestartThatCannotBeIsTriedAgain(t *testing.T) {
	opts := options(t)
	opts.StoreDir = filepath.Join(opts.StoreDir, "streams")
	e := start(t, opts)
	nc := connect(t, e, engine.PartBroadcaster)
	if err := ingest(t, nc, 5*time.Second, `{}`); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Restart(short); err == nil {
		t.Fatal("a restart whose time is over succeeded")
	}
	if faults := e.Inspect(); len(faults) != len(e.Streams()) {
		t.Errorf("without a server: %v", faults)
	}
	if anew, err := e.Restart(t.Context()); err != nil || len(anew) != 0 {
		t.Fatalf("began anew: %v, %v", anew, err)
	}
	if got := stored(t, e).Msgs; got != 1 {
		t.Errorf("%d statuses are left of 1", got)
	}
}

func TestARestartOutsideOfItsLifeIsRefused(t *testing.T) {
	e, err := engine.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Restart(t.Context()); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("before Start: %v", err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, e)
	if _, err := e.Restart(t.Context()); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

func TestStopDuringARestartEndsEverything(t *testing.T) {
	e := start(t, options(t))
	done := make(chan error, 1)
	go func() {
		_, err := e.Restart(t.Context())
		done <- err
	}()
	stop(t, e)
	if err := <-done; err != nil && !errors.Is(err, engine.ErrNotRunning) && !errors.Is(err, nats.ErrConnectionClosed) {
		t.Logf("the restart ended with %v", err)
	}
	// goleak holds that nothing runs on.
}

var _ storage.Engine = (*engine.Engine)(nil)
