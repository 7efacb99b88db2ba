package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/logtest"
)

// fill stores statuses of the same size: count on each subject, in turn.
func fill(t *testing.T, e *engine.Engine, count int, subjects ...string) {
	t.Helper()
	nc := connect(t, e, engine.PartBroadcaster)
	for i := range count {
		for _, subject := range subjects {
			publish(t, nc, "ingest."+subject, fmt.Sprintf("%03d", i))
		}
	}
}

func stored(t *testing.T, e *engine.Engine) jetstream.StreamState {
	t.Helper()
	info, err := statusStream(t, e).Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	return info.State
}

// refused starts an engine that must refuse, and returns why.
func refused(t *testing.T, opts engine.Options) *engine.ShrinkError {
	t.Helper()
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start(t.Context())
	var shrink *engine.ShrinkError
	if !errors.As(err, &shrink) {
		stop(t, e)
		t.Fatalf("started with %+v: %v", opts.Retention, err)
	}
	return shrink
}

func TestALowerLimitThatDropsNothingNeedsNoFlag(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	fill(t, e, 7, "c1.engine", "c1.tool", "c2.engine")
	before := stored(t, e)
	stop(t, e)
	for _, r := range []engine.Retention{
		{MaxPerSubject: 7},       // exactly what is stored
		{MaxBytes: 1 << 20},      // more than is stored
		{MaxAge: 12 * time.Hour}, // older than all
		{MaxAge: 48 * time.Hour, MaxBytes: 2 << 30, MaxPerSubject: 20_000}, // all grow again
	} {
		opts.Retention = r
		e = start(t, opts)
		if after := stored(t, e); after.Msgs != before.Msgs || after.FirstSeq != before.FirstSeq {
			t.Errorf("%+v dropped statuses: %d of %d are left", r, after.Msgs, before.Msgs)
		}
		stop(t, e)
	}
}

func TestALimitPerSubjectOneTooLowIsRefusedAndThenDropsTheOldestOfEach(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	fill(t, e, 7, "c1.engine", "c1.tool")
	fill(t, e, 6, "c2.engine")
	stop(t, e)
	opts.Retention.MaxPerSubject = 6
	err := refused(t, opts)
	if want := "max_per_subject 6: 2 of 20 stored statuses would go, on 2 subjects, of which one has 7"; len(err.Losses) != 1 || err.Losses[0] != want {
		t.Errorf("refused with %q", err.Losses)
	}

	opts.Retention.MaxPerSubject = 0 // as before: nothing is gone
	e = start(t, opts)
	if got := stored(t, e).Msgs; got != 20 {
		t.Errorf("after the refusal %d are left", got)
	}
	stop(t, e)

	opts.Retention.MaxPerSubject, opts.AllowShrink = 6, true
	var log logtest.Log
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e = start(t, opts)
	got := stored(t, e)
	for _, subject := range []string{"status.c1.engine", "status.c1.tool", "status.c2.engine"} {
		if got.Subjects[subject] != 6 {
			t.Errorf("%s has %d", subject, got.Subjects[subject])
		}
	}
	if got.FirstSeq != 3 { // 1 and 2 were the first of each
		t.Errorf("the first is %d", got.FirstSeq)
	}
	if !strings.Contains(log.String(), "statuses=2 left=18") {
		t.Errorf("logged %q", log.String())
	}
}

func TestABytesLimitOneTooLowIsRefusedAndThenDropsTheOldest(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	nc := connect(t, e, engine.PartBroadcaster)
	for range 40 {
		publish(t, nc, "ingest.c1.engine", strings.Repeat("x", 60<<10))
	}
	before := stored(t, e)
	stop(t, e)

	opts.Retention.MaxBytes = int64(before.Bytes)
	e = start(t, opts)
	if got := stored(t, e).Msgs; got != 40 {
		t.Errorf("exactly as much as is stored: %d are left", got)
	}
	stop(t, e)

	opts.Retention.MaxBytes--
	err := refused(t, opts)
	want := fmt.Sprintf("max_bytes %d: %d bytes are stored, the oldest 1 would go", before.Bytes-1, before.Bytes)
	if len(err.Losses) != 1 || err.Losses[0] != want {
		t.Errorf("refused with %q", err.Losses)
	}

	opts.AllowShrink = true
	e = start(t, opts)
	if got := stored(t, e); got.Msgs != 39 || got.FirstSeq != 2 {
		t.Errorf("%d are left, the first is %d", got.Msgs, got.FirstSeq)
	}
}

func TestAnAgeLimitThatDropsTheOldestIsRefused(t *testing.T) {
	t.Parallel() // it waits for statuses to become old
	opts := options(t)
	e := start(t, opts)
	fill(t, e, 3, "c1.engine", "c2.engine")
	fill(t, e, 1, "c1.tool")
	old := stored(t, e)
	<-time.After(2 * time.Second)
	fill(t, e, 2, "c1.engine")
	all := stored(t, e)
	stop(t, e)

	for range 5 { // until a start was quick enough for the newer ones to be new
		opts.Retention.MaxAge = time.Since(old.LastTime) - time.Millisecond
		err := refused(t, opts)
		if time.Since(all.LastTime) > opts.Retention.MaxAge {
			continue
		}
		want := fmt.Sprintf("max_age %v: 7 of 9 stored statuses are older and would go, the oldest is of %s",
			opts.Retention.MaxAge, old.FirstTime.UTC().Format(time.RFC3339))
		if len(err.Losses) != 1 || err.Losses[0] != want {
			t.Errorf("refused with %q, want %q", err.Losses, want)
		}
		break
	}
	opts.Retention.MaxAge = 0
	if got := stored(t, start(t, opts)); got.Msgs != all.Msgs {
		t.Errorf("after the refusal %d of %d are left", got.Msgs, all.Msgs)
	}
}

func TestALowerAgeLimitHoldsAtOnceAndForWhatComesLater(t *testing.T) {
	t.Parallel() // it waits for statuses to become old
	opts := options(t)
	var log logtest.Log
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e := start(t, opts)
	fill(t, e, 5, "c1.engine")
	// The server's clock for ages may be a tick behind.
	<-time.After(time.Until(stored(t, e).LastTime.Add(time.Second + 2*ats.TickInterval)))
	stop(t, e)

	opts.Retention.MaxAge, opts.AllowShrink = time.Second, true
	e = start(t, opts)
	if got := stored(t, e); got.Msgs != 0 || got.LastSeq != 5 {
		t.Errorf("%d are left, the last is %d", got.Msgs, got.LastSeq)
	}
	if !strings.Contains(log.String(), "statuses=5 left=0") {
		t.Errorf("logged %q", log.String())
	}
	fill(t, e, 1, "c1.engine")
	for deadline := time.Now().Add(20 * time.Second); stored(t, e).Msgs != 0; {
		if time.Now().After(deadline) {
			t.Fatal("a new status outlives the limit")
		}
	}
}

func TestEveryLimitThatDropsSomethingIsNamedAtOnce(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	nc := connect(t, e, engine.PartBroadcaster)
	for range 20 {
		publish(t, nc, "ingest.c1.engine", strings.Repeat("x", 60<<10))
	}
	stop(t, e)
	opts.Retention = engine.Retention{MaxBytes: 1 << 20, MaxPerSubject: 3}
	err := refused(t, opts)
	if len(err.Losses) != 2 || !strings.Contains(err.Error(), "max_bytes 1048576: ") || !strings.Contains(err.Error(), "max_per_subject 3: 17 of 20 ") {
		t.Errorf("refused with %q", err)
	}
}

// The edge to the nanosecond, where a test with real statuses cannot hit it.
func TestAStatusAtTheCutoffIsTooOldAndOneAfterItIsNot(t *testing.T) {
	cutoff := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name   string
		state  jetstream.StreamState
		tooOld bool
	}{
		{"an empty stream", jetstream.StreamState{}, false},
		{"one at the cutoff", jetstream.StreamState{Msgs: 1, FirstTime: cutoff}, true},
		{"one a nanosecond later", jetstream.StreamState{Msgs: 1, FirstTime: cutoff.Add(1)}, false},
	} {
		if got := engine.TooOld(c.state, cutoff); got != c.tooOld {
			t.Errorf("%s: too old is %v", c.name, got)
		}
	}
}
