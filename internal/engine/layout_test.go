package engine_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/engine"
)

// layOutAsBefore moves the streams of a stopped server's account STATE to STATUS,
// where they were once.
func layOutAsBefore(t *testing.T, opts engine.Options) (status, state string) {
	t.Helper()
	status, state = filepath.Join(opts.StoreDir, "jetstream", "STATUS", "streams"), filepath.Join(opts.StoreDir, "jetstream", "STATE", "streams")
	streams, err := os.ReadDir(state)
	if err != nil || len(streams) < 4 {
		t.Fatalf("%v in %s: %v", streams, state, err)
	}
	for _, s := range streams {
		if err := os.Rename(filepath.Join(state, s.Name()), filepath.Join(status, s.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Dir(state)); err != nil {
		t.Fatal(err)
	}
	return status, state
}

// filled is the options of a server that has stopped, with a conversation and two
// records of the audit.
func filled(t *testing.T) engine.Options {
	t.Helper()
	opts := options(t)
	e := start(t, opts)
	publish(t, connect(t, e, engine.PartDirectory), "$KV.directory.c1", `{"id":"c1"}`)
	for range 2 {
		publish(t, connect(t, e, engine.PartAudit), "audit.denied", "{}")
	}
	publish(t, connect(t, e, engine.PartAudit), "audit.admin.kicked", "{}")
	publish(t, connect(t, e, engine.PartMarks), "marks.node", "{}")
	stop(t, e)
	return opts
}

func doesNotStart(t *testing.T, opts engine.Options) error {
	t.Helper()
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err = e.Start(t.Context()); err == nil {
		stop(t, e)
		t.Fatal("it has started")
	}
	return err
}

func TestAnOldDataFolderLosesNothingToTheNewAccounts(t *testing.T) {
	opts := filled(t)
	layOutAsBefore(t, opts)
	var log bytes.Buffer
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e := start(t, opts)
	js, err := jetstream.New(connect(t, e, engine.PartStateStreams))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"AUDIT": 2, "AUDIT_ADMIN": 1, "MARKS": 1, "KV_directory": 1, "KV_keys": 0} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := s.CachedInfo().State.Msgs; n != want {
			t.Errorf("%s has %d messages, want %d", name, n, want)
		}
	}
	if ack := publish(t, connect(t, e, engine.PartAudit), "audit.denied", "{}"); ack.Sequence != 3 {
		t.Errorf("the next record is %d, want 3", ack.Sequence)
	}
	if err := e.Health(); err != nil {
		t.Error(err)
	}
	stop(t, e)
	if !strings.Contains(log.String(), "moved") || !strings.Contains(log.String(), "KV_directory") {
		t.Errorf("the log does not say it:\n%s", &log)
	}
	log.Reset()
	stop(t, start(t, opts)) // and once only
	if strings.Contains(log.String(), "moved") {
		t.Errorf("again:\n%s", &log)
	}
}

func TestAStreamInBothAccountsIsRefusedAndNotTouched(t *testing.T) {
	opts := filled(t)
	status, state := layOutAsBefore(t, opts)
	if err := os.MkdirAll(filepath.Join(state, "MARKS"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := doesNotStart(t, opts); !strings.Contains(err.Error(), "the stream MARKS is there twice") {
		t.Error(err)
	}
	for _, stream := range []string{"MARKS", "AUDIT", "KV_directory"} {
		if _, err := os.Stat(filepath.Join(status, stream, "meta.inf")); err != nil {
			t.Error(err)
		}
	}
}

func TestAClusterRefusesAnOldDataFolder(t *testing.T) {
	opts := filled(t)
	status, _ := layOutAsBefore(t, opts)
	opts.Config = append(engine.DefaultOptions().Config, "\ncluster { name: c, listen: 127.0.0.1:-1 }\n"...)
	if err := doesNotStart(t, opts); !strings.Contains(err.Error(), "a cluster cannot take it along") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(status, "AUDIT", "meta.inf")); err != nil {
		t.Error(err)
	}
}
