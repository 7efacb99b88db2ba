package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/noise"
	"github.com/statuswire/statuswire/status"
)

// removal is an act. Two of them are equal, and two records all the same.
var removal = audit.Event{
	Kind: audit.KindMemberRemoved, Conversation: "c1", User: "bob", Actor: "operator", Reason: "member removed",
}

func TestEachActIsARecordOfItsOwnWrittenAtOnce(t *testing.T) {
	s := newSite(t)
	r := s.recorder(t, audit.Options{Window: time.Hour, MaxWindow: time.Hour, Node: "n1"})
	const acts = 100
	for i := range acts {
		e := removal
		e.Session = uint64(i / 2) // each twice
		r.Record(e)
	}
	subjects, texts := s.storedIn(t, engine.StreamAuditAdmin, acts) // without an end of any window
	for i, text := range texts {
		var rec audit.Record
		if err := json.Unmarshal([]byte(text), &rec); err != nil {
			t.Fatal(err)
		}
		if subjects[i] != "audit.admin.member_removed" || rec.Count != 1 || rec.Session != uint64(i/2) || rec.Actor != "operator" || rec.Node != "n1" || rec.Time.IsZero() {
			t.Errorf("record %d is %s on %s", i, text, subjects[i])
		}
	}
	if st := r.Stats(); st.Acts != (audit.ActStats{Recorded: acts, Written: acts}) || st.Recorded != 0 {
		t.Errorf("stats %+v", st)
	}
	s.wantRecordsIn(t, engine.StreamAudit, 0)
}

func TestNoNoiseOfStrangersTouchesWhatAdministratorsDo(t *testing.T) {
	s := newSite(t)
	r := s.recorder(t, audit.Options{MaxOpen: 100, Strangers: audit.Budget{Burst: 8 << 10, PerSecond: 40}})
	const acts, noisePerAct = 40, 500
	var flood sync.WaitGroup
	for i := range acts {
		flood.Go(func() {
			for k := range noisePerAct {
				r.Record(audit.Event{Kind: audit.KindDenied, Address: elsewhere(i*noisePerAct + k), Reason: "token expired"})
			}
		})
		e := removal
		e.User = status.UserID(fmt.Sprint("user", i))
		r.Record(e)
	}
	flood.Wait()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, texts := s.storedIn(t, engine.StreamAuditAdmin, acts)
	for i, text := range texts {
		if !strings.Contains(text, fmt.Sprintf(`"count":1,"user":"user%d"`, i)) {
			t.Errorf("record %d is %s", i, text)
		}
	}
	st := r.Stats()
	if st.Records > 40 || st.Written != acts*noisePerAct || st.Lost != 0 {
		t.Errorf("of the noise: %+v", st)
	}
	s.wantRecordsIn(t, engine.StreamAudit, int(st.Records))
}

func TestActsWaitWhileTheStreamIsAwayAndAreWrittenInTheirOrder(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	inBubble(t, audit.Options{Logger: logger}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		s.fail(errors.New("no space left on device"))
		const acts = 1000
		for i := range acts {
			e := removal
			e.Session = uint64(i)
			r.Record(e)
			time.Sleep(time.Second)
		}
		if st := r.Stats().Acts; st.Waiting != acts || st.Retries == 0 || st.Written != 0 {
			t.Errorf("stats %+v", st)
		}
		s.fail(nil)
		time.Sleep(time.Minute)
		got := s.take()
		if len(got) != acts {
			t.Fatalf("%d records of %d acts", len(got), acts)
		}
		for i, rec := range got {
			if rec.Session != uint64(i) {
				t.Fatalf("record %d is of act %d", i, rec.Session)
			}
		}
		if gap := got[1].Time.Sub(got[0].Time); gap != time.Second {
			t.Errorf("they tell when they were written: %v", gap)
		}
		if st := r.Stats().Acts; st.Waiting != 0 || st.Written != acts || st.Lost != 0 {
			t.Errorf("stats %+v", st)
		}
	})
	if n := strings.Count(log.String(), "AUDIT_ADMIN does not acknowledge"); n != 1 || !strings.Contains(log.String(), "no space left") {
		t.Errorf("the log:\n%s", log.String())
	}
}

// An import is as many acts as it has lines, all at once.
func TestAnImportOf10000LinesIsAsManyRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := audit.NewWith(func(rec audit.Record) error {
			time.Sleep(time.Millisecond) // far slower than the stream
			return s.write(rec)
		}, audit.Options{})
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		const lines = 10_000
		for i := range lines {
			r.Record(audit.Event{
				Kind: audit.KindConversationCreated, Conversation: status.ConversationID(fmt.Sprint("c", i)), User: "alice", Actor: "operator",
				Reason: "conversation imported: created, members: " + strings.Repeat("x", 400),
			})
		}
		time.Sleep(lines * time.Millisecond)
		if got := s.take(); len(got) != lines || got[lines-1].Conversation != "c9999" {
			t.Errorf("%d records", len(got))
		}
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestActsThatFindNoRoomAreInTheLogAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		handler := noise.New(slog.NewTextHandler(&log, nil), noise.Options{})
		s := &shelf{err: errors.New("no space left on device")}
		r := audit.NewWith(s.write, audit.Options{Logger: slog.New(handler), MaxActBytes: 1000, FlushTimeout: time.Second})
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		const acts = 100
		for i := range acts {
			e := removal
			e.Session = uint64(1000 + i)
			r.Record(e)
		}
		waiting := r.Stats().Acts.Waiting
		if st := r.Stats().Acts; waiting < 2 || waiting > 8 || int(st.Lost) != acts-waiting {
			t.Errorf("stats %+v", st)
		}
		err := r.Stop(t.Context())
		if err == nil || err.Error() != "audit: 0 events and 100 acts of administrators could not be written" {
			t.Errorf("stop: %v", err)
		}
		r.Record(removal)
		handler.Close()
		if n := strings.Count(log.String(), "an administrator's act is not recorded"); n != acts+1 {
			t.Errorf("%d of %d are in the log", n, acts+1)
		}
		for _, want := range []string{
			`why="too many wait for the stream AUDIT_ADMIN"`, `why="the stream AUDIT_ADMIN did not acknowledge in time"`,
			`why="the audit has stopped"`, `\"kind\":\"member_removed\",\"count\":1,\"user\":\"bob\",\"conversation\":\"c1\"`,
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %s", want)
			}
		}
	})
}

// While acts wait for their stream, other events wait for theirs: neither holds up the other.
func TestActsAndOtherEventsDoNotWaitForEachOther(t *testing.T) {
	for _, stuck := range []audit.Kind{audit.KindRefused, audit.KindMemberRemoved} {
		t.Run(string(stuck), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{}
				r := audit.NewWith(func(rec audit.Record) error {
					if rec.Kind == stuck {
						return errors.New("no answer")
					}
					return s.write(rec)
				}, audit.Options{FlushTimeout: time.Second})
				if err := r.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.Record(refusal)
				r.Record(removal)
				time.Sleep(10 * time.Second)
				if got := s.take(); len(got) != 1 || got[0].Kind == stuck {
					t.Errorf("written: %+v", got)
				}
				_ = r.Stop(t.Context())
			})
		})
	}
}
