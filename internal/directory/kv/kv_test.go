package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/logtest"
	"github.com/statuswire/statuswire/status"
)

func put(t testing.TB, nc *nats.Conn, key, value string) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "$KV.directory."+key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, d *kv.Directory, id status.ConversationID) {
	t.Helper()
	if err := d.Create(t.Context(), directory.Conversation{ID: id, Owner: "alice"}); err != nil {
		t.Fatal(err)
	}
}

func knows(d *kv.Directory, id status.ConversationID) bool {
	_, err := d.Conversation(context.Background(), id)
	return err == nil
}

func TestBrokenValuesAreUnknownAndLoggedByKeyOnly(t *testing.T) {
	values := map[string]string{
		"not-json":   `secret-text`,
		"no-object":  `["secret-text"]`,
		"wrong-id":   `{"id":"other","owner":"secret-text"}`,
		"no-owner":   `{"id":"no-owner","members":["secret-text"]}`,
		"bad-member": `{"id":"bad-member","owner":"alice","members":["secret-text","secret-text"]}`,
		"empty":      ``,
		"a.b":        `{"id":"a.b","owner":"secret-text"}`,
		"a=b":        `{"id":"a=b","owner":"secret-text"}`,
	}
	e := startEngine(t)
	nc := connect(t, e, engine.PartDirectory)
	check := func(t *testing.T, log *logtest.Log, d *kv.Directory) {
		for key := range values {
			if knows(d, status.ConversationID(key)) || knows(d, "other") {
				t.Errorf("%s: the broken conversation is known", key)
			}
			if !strings.Contains(log.String(), key) {
				t.Errorf("%s: it is not in the log", key)
			}
		}
		if strings.Contains(log.String(), "secret-text") {
			t.Errorf("the log shows a value: %s", log)
		}
		list, err := d.List(t.Context(), "")
		if err != nil || len(list) != 1 || list[0].ID != "good" {
			t.Errorf("the list is %+v, %v", list, err)
		}
	}
	var log logtest.Log
	logger := slog.New(slog.NewTextHandler(&log, nil))
	watched := startDirectory(t, e, kv.Options{Logger: logger})
	for key, value := range values {
		put(t, nc, key, value)
	}
	create(t, watched, "good")
	t.Run("when they come while it runs", func(t *testing.T) { check(t, &log, watched) })
	t.Run("when they were there before", func(t *testing.T) {
		var log logtest.Log
		check(t, &log, startDirectory(t, e, kv.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	})
}

func TestABrokenEntryIsMendedByDeletingIt(t *testing.T) {
	e := startEngine(t)
	d := startDirectory(t, e, kv.Options{})
	create(t, d, "c1")
	put(t, connect(t, e, engine.PartDirectory), "c1", `{"id":"c1","owner":""}`)
	eventually(t, "a broken value takes the conversation away", func() bool { return !knows(d, "c1") })
	if ids, _ := d.OfUser(t.Context(), "alice", 10); len(ids) != 0 {
		t.Errorf("alice still has %v", ids)
	}
	if err := d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "bob"}); !errors.Is(err, directory.ErrBroken) {
		t.Errorf("create: %v", err)
	}
	if _, err := d.AddMember(t.Context(), "c1", "bob"); !errors.Is(err, directory.ErrBroken) {
		t.Errorf("add: %v", err)
	}
	if o := d.Import(t.Context(), []directory.Conversation{{ID: "c1", Owner: "bob"}}); !errors.Is(o[0].Err, directory.ErrBroken) {
		t.Errorf("import: %+v", o)
	}
	if err := d.Delete(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	create(t, d, "c1")
}

func TestAConversationWhoseDeletionMarkerWasClearedAwayCanBeCreatedAgain(t *testing.T) {
	e := startEngine(t)
	d := startDirectory(t, e, kv.Options{})
	create(t, d, "c1")
	if err := d.Delete(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	purge(t, e, "c1")
	create(t, d, "c1")
	if !knows(d, "c1") {
		t.Error("it is not known")
	}
}

// purge clears a key away without a trace, as `nats kv compact` does.
func purge(t testing.TB, e *engine.Engine, key string) {
	t.Helper()
	request, err := json.Marshal(map[string]string{"filter": "$KV.directory." + key})
	if err != nil {
		t.Fatal(err)
	}
	api(t, e, "STREAM.PURGE.KV_directory", request)
}

// api asks the JetStream API for what no part may do, with the rights of the
// account's own client inside the server.
func api(t testing.TB, e *engine.Engine, verb string, request []byte) {
	t.Helper()
	nc := superuser(t, e)
	m, err := nc.Request("$JS.API."+verb, request, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(m.Data), `"error"`) {
		t.Fatalf("%s: %s", verb, m.Data)
	}
}

func consumers(t testing.TB, e *engine.Engine) []string {
	t.Helper()
	m, err := superuser(t, e).Request("$JS.API.CONSUMER.NAMES.KV_directory", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Consumers []string }
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Consumers
}

func TestAWatchWhoseConsumerIsDeletedComesBackWithNothingMissed(t *testing.T) {
	e := startEngine(t)
	var log logtest.Log
	d := kv.New(connect(t, e, engine.PartDirectory), kv.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Heartbeat: 500 * time.Millisecond})
	var mu sync.Mutex
	told := map[status.ConversationID]int{}
	d.OnChange(func(c directory.Change) {
		mu.Lock()
		defer mu.Unlock()
		told[c.ID]++
	})
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Stop(context.Background())
	other := startDirectory(t, e, kv.Options{})
	create(t, other, "kept")
	create(t, other, "gone")
	eventually(t, "both are seen", func() bool { return knows(d, "gone") })
	for _, name := range consumers(t, e) {
		api(t, e, "CONSUMER.DELETE.KV_directory."+name, nil)
	}
	// other notices by its own write, d by the server's word or the heartbeats.
	create(t, other, "new")
	if err := other.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if !knows(other, "new") || knows(other, "gone") {
		t.Error("the writer does not see its own writes")
	}
	eventually(t, "the new one is seen", func() bool { return knows(d, "new") })
	eventually(t, "the deleted one is gone", func() bool { return !knows(d, "gone") })
	eventually(t, "all of it is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return told["new"] >= 1 && told["gone"] >= 2 && told["kept"] == 1
	})
	if err := d.Ready(); err != nil {
		t.Error(err)
	}
}

func TestABucketMadeAnewIsLoadedAnew(t *testing.T) {
	e := startEngine(t)
	d := startDirectory(t, e, kv.Options{Heartbeat: 500 * time.Millisecond})
	for i := range 20 {
		create(t, d, status.ConversationID(fmt.Sprintf("old%d", i)))
	}
	js, err := jetstream.New(superuser(t, e))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), "directory"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says that it is not up to date", func() bool { return d.Ready() != nil })
	if !knows(d, "old0") {
		t.Error("the old view no longer serves")
	}
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "directory"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutString(t.Context(), "old1", `{"id":"old1","owner":"carol","created":"2024-01-19T12:00:00Z"}`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new content is seen", func() bool {
		c, err := d.Conversation(t.Context(), "old1")
		return err == nil && c.Owner == "carol" && !knows(d, "old0")
	})
	create(t, d, "fresh")
	if err := d.Ready(); err != nil {
		t.Error(err)
	}
}

// The folder of the streams was removed under the server: nothing can be stored until
// the engine has made everything anew.
func TestABucketThatBeganAnewIsWrittenFromMemory(t *testing.T) {
	e := startEngine(t)
	var failing atomic.Bool
	d := startDirectory(t, e, kv.Options{Storable: func() error {
		if failing.Load() {
			return errors.New("stream KV_directory cannot store: it is not there any more")
		}
		return nil
	}})
	for i := range 1500 { // more than are on their way at once
		create(t, d, status.ConversationID(fmt.Sprintf("c%d", i)))
	}
	if err := d.Delete(t.Context(), "c7"); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)
	if err := os.RemoveAll(e.StoreDir()); err != nil {
		t.Fatal(err)
	}
	if anew, err := e.Restart(t.Context()); err != nil || len(anew) == 0 {
		t.Fatalf("began anew: %v, %v", anew, err)
	}
	eventually(t, "it is up to date", func() bool { return d.Ready() == nil })
	failing.Store(false)
	other := startDirectory(t, e, kv.Options{}) // reads what is stored
	list, err := other.List(t.Context(), "")
	if err != nil || len(list) != 1499 || knows(other, "c7") || !knows(d, "c0") {
		t.Errorf("%d of 1499 are stored, the deleted one %v, the view knows the others %v, %v", len(list), knows(other, "c7"), knows(d, "c0"), err)
	}
	create(t, d, "fresh")
}

func TestAChangeIsRefusedAtOnceWhileNothingCanBeStored(t *testing.T) {
	e := startEngine(t)
	d := startDirectory(t, e, kv.Options{Storable: func() error { return errors.New("stream KV_directory cannot store: no space left on device") }})
	err := d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"})
	var told *status.Error
	if !errors.Is(err, directory.ErrUnavailable) || !errors.As(err, &told) || told.ErrCode != status.ErrUnavailable.ErrCode || !strings.Contains(told.Description, "no space left on device") {
		t.Errorf("got %v", err)
	}
	if o := d.Import(t.Context(), []directory.Conversation{{ID: "c2", Owner: "alice"}}); !errors.Is(o[0].Err, directory.ErrUnavailable) {
		t.Errorf("an import: %+v", o)
	}
}

func TestAConnectionThatWasLostIsFollowedByAWholeLoad(t *testing.T) {
	e := startEngine(t)
	nc := connect(t, e, engine.PartDirectory)
	d := kv.New(nc, kv.Options{})
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Stop(context.Background())
	other := startDirectory(t, e, kv.Options{})
	for i := range 20 {
		create(t, other, status.ConversationID(fmt.Sprintf("c%d", i)))
		if i%5 == 2 {
			if err := nc.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all are seen", func() bool {
		list, _ := d.List(t.Context(), "")
		return len(list) == 20
	})
	create(t, d, "own")
}

func TestStartFailsWithItsContextWhenThereIsNoBucket(t *testing.T) {
	e := startEngine(t)
	api(t, e, "STREAM.DELETE.KV_directory", nil)
	d := kv.New(connect(t, e, engine.PartDirectory), kv.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := d.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), `bucket "directory"`) {
		t.Errorf("got %v", err)
	}
	if err := d.Ready(); err == nil {
		t.Error("it says that it is ready")
	}
	if err := d.Start(t.Context()); err == nil {
		t.Error("it started twice")
	}
}

func TestStopLeavesNoConsumerBehind(t *testing.T) {
	e := startEngine(t)
	d := startDirectory(t, e, kv.Options{})
	if got := consumers(t, e); len(got) != 1 {
		t.Fatalf("consumers while it runs: %v", got)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := consumers(t, e); len(got) != 0 {
		t.Errorf("consumers after Stop: %v", got)
	}
}
