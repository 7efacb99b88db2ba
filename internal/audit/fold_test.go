package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/status"
)

// shelf keeps records, or refuses them.
type shelf struct {
	mu      sync.Mutex
	records []audit.Record
	err     error
}

func (s *shelf) write(r audit.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.records = append(s.records, r)
	return nil
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// take returns the records since the last call.
func (s *shelf) take() []audit.Record {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.records = nil }()
	return s.records
}

// inBubble runs do with a started Recorder on a clock of its own.
func inBubble(t *testing.T, opts audit.Options, do func(*testing.T, *audit.Recorder, *shelf)) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := audit.NewWith(s.write, opts)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(t, r, s)
		_ = r.Stop(context.Background())
	})
}

var refusal = audit.Event{
	Kind: audit.KindRefused, User: "alice", Address: "192.0.2.7", Conversation: "c1",
	Subject: "status.c1.engine", Reason: `conversation "c1" is not found or not yours`, Session: 7,
}

func TestEqualEventsWithinTheWindowAreOneRecord(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		begin := time.Now()
		for range 5 {
			r.Record(refusal)
			time.Sleep(100 * time.Millisecond)
		}
		if got := s.take(); len(got) != 0 {
			t.Fatalf("before the window has ended: %+v", got)
		}
		time.Sleep(time.Second)
		got := s.take()
		if len(got) != 1 {
			t.Fatalf("%d records, not 1: %+v", len(got), got)
		}
		want := audit.Record{
			Time: begin, Until: begin.Add(400 * time.Millisecond), Kind: audit.KindRefused, Count: 5,
			User: "alice", Address: "192.0.2.7", Conversation: "c1", Subject: "status.c1.engine",
			Reason: refusal.Reason, Session: 7,
		}
		if !got[0].Time.Equal(want.Time) || !got[0].Until.Equal(want.Until) {
			t.Errorf("from %v until %v, not from %v until %v", got[0].Time, got[0].Until, want.Time, want.Until)
		}
		want.Time, want.Until = got[0].Time, got[0].Until
		if !reflect.DeepEqual(got[0], want) {
			t.Errorf("got  %+v\nwant %+v", got[0], want)
		}
	})
}

func TestASingleEventIsOneRecordAfterTheWindow(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		r.Record(refusal)
		time.Sleep(time.Second)
		got := s.take()
		if len(got) != 1 || got[0].Count != 1 || !got[0].Until.IsZero() {
			t.Fatalf("got %+v", got)
		}
		time.Sleep(time.Hour)
		if got := s.take(); len(got) != 0 {
			t.Errorf("later: %+v", got)
		}
	})
}

func TestWhatMakesEventsDifferent(t *testing.T) {
	cases := []struct {
		name    string
		change  func(*audit.Event)
		records int
	}{
		{"nothing", func(*audit.Event) {}, 1},
		{"the session", func(e *audit.Event) { e.Session = 8 }, 1},
		{"the time", func(e *audit.Event) { e.Time = time.Now().Add(-time.Second) }, 1},
		{"the kind", func(e *audit.Event) { e.Kind = audit.KindDenied }, 2},
		{"the user", func(e *audit.Event) { e.User = "bob" }, 2},
		{"the address", func(e *audit.Event) { e.Address = "192.0.2.8" }, 2},
		{"another way to write the address", func(e *audit.Event) { e.Address = "::ffff:192.0.2.7" }, 1},
		{"the origin", func(e *audit.Event) { e.Origin = "https://evil.example" }, 1},
		{"the conversation", func(e *audit.Event) { e.Conversation = "c2" }, 2},
		{"the subject", func(e *audit.Event) { e.Subject = "status.c1.tool" }, 2},
		{"the reason", func(e *audit.Event) { e.Reason = "something else" }, 2},
		{"the code", func(e *audit.Event) { e.Code = 1008 }, 2},
		{"the actor", func(e *audit.Event) { e.Actor = "operator" }, 2},
		{"the limit", func(e *audit.Event) { e.Limit = "categories" }, 2},
		{"whether it was a dry run", func(e *audit.Event) { e.DryRun = true }, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
				other := refusal
				c.change(&other)
				r.Record(refusal)
				r.Record(other)
				time.Sleep(time.Second)
				if got := s.take(); len(got) != c.records || countOf(got) != 2 {
					t.Errorf("%d records, not %d: %+v", len(got), c.records, got)
				}
			})
		})
	}
}

func TestTheSecondsToWaitDoNotMakeALimitDifferent(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		for wait := range 3 {
			e := refusal
			e.Kind, e.Limit, e.Reason = audit.KindLimited, "subscription_changes", fmt.Sprintf("wait %d seconds", 9-wait)
			r.Record(e)
		}
		time.Sleep(time.Second)
		if got := s.take(); len(got) != 1 || got[0].Count != 3 || got[0].Reason != "wait 9 seconds" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestARecordOfSeveralSessionsNamesNone(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		other := refusal
		other.Session = 8
		r.Record(refusal)
		r.Record(other)
		time.Sleep(time.Second)
		if got := s.take(); len(got) != 1 || got[0].Session != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// A second's events make a record, then two seconds' … up to a minute's.
func TestWhatGoesOnIsWrittenMoreAndMoreSeldom(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		const events = 10 * 60 * 10
		for range events {
			r.Record(refusal)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		got := s.take()
		if len(got) < 12 || len(got) > 16 { // 1+2+4+8+16+32 s, then 9 minutes
			t.Errorf("%d records", len(got))
		}
		if n := countOf(got); n != events {
			t.Errorf("the records count %d events, not %d", n, events)
		}
		for i := 1; i < len(got); i++ {
			if got[i].Time.Before(got[i-1].Until) {
				t.Errorf("record %d begins before the one before it ends", i)
			}
		}
	})
}

func TestADayOfRefusalsIsSome1450Records(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		const events = 24 * 60 * 60
		for range events {
			r.Record(refusal)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		got := s.take()
		if len(got) < 1440 || len(got) > 1460 || countOf(got) != events {
			t.Errorf("%d records of %d events", len(got), countOf(got))
		}
	})
}

func TestAfterAQuietTimeTheWindowIsShortAgain(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		for range 100 {
			r.Record(refusal)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(3 * time.Minute)
		s.take()
		r.Record(refusal)
		time.Sleep(time.Second)
		if got := s.take(); len(got) != 1 {
			t.Errorf("%d records within a second", len(got))
		}
	})
}

// One who tries everything has so many records, and then one that counts.
func TestWhoTriesEverythingIsCounted(t *testing.T) {
	for _, tt := range []struct {
		name      string
		user      status.UserID
		address   func(i int) string
		addresses int
	}{
		{"a user from one address", "alice", func(int) string { return "192.0.2.7" }, 0},
		{"a user from everywhere", "alice", func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) }, audit.MaxAddresses},
		{"a stranger from one address", "", func(int) string { return "192.0.2.7" }, 0},
		{"a stranger with all addresses of its network", "", func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, audit.MaxAddresses},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, audit.Options{Share: audit.Share{Records: 4, Every: time.Minute}}, func(t *testing.T, r *audit.Recorder, s *shelf) {
				kinds := []audit.Kind{audit.KindRefused, audit.KindDenied}
				for i := range 100 {
					e := refusal
					e.Kind, e.User, e.Address, e.Subject = kinds[i%2], tt.user, tt.address(i), fmt.Sprintf("status.c%d.engine", i)
					r.Record(e)
				}
				others := refusal
				others.User, others.Address = "", "198.51.100.7"
				r.Record(others)
				time.Sleep(time.Second)
				got := s.take()
				if len(got) != 6 || countOf(got) != 101 {
					t.Fatalf("%d records of %d events: %+v", len(got), countOf(got), got)
				}
				sums := sumsIn(got)
				if len(sums) != 1 {
					t.Fatalf("sums: %+v", sums)
				}
				sum := sums[0]
				if sum.Count != 96 || sum.User != tt.user || sum.Address != tt.address(4) || sum.Addresses != tt.addresses ||
					sum.Subject != "" || sum.Limit != "" || !maps.Equal(sum.Of, map[audit.Kind]int{"refused": 48, "denied": 48}) {
					t.Errorf("summed up: %+v", sum)
				}
				time.Sleep(2 * time.Minute)
				r.Record(refusal)
				time.Sleep(time.Second)
				if got := s.take(); len(got) != 1 || got[0].Kind != audit.KindRefused {
					t.Errorf("later: %+v", got)
				}
			})
		})
	}
}

func sumsIn(records []audit.Record) (sums []audit.Record) {
	for _, r := range records {
		if r.Kind == audit.KindOverflow {
			sums = append(sums, r)
		}
	}
	return sums
}

// The 6,000 addresses of somebody who has a /64 are one.
func TestEventsOfOneNetworkAreOneRecord(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		for i := range 6000 {
			r.Record(audit.Event{
				Kind: audit.KindDenied, Address: fmt.Sprintf("2001:db8::%x", i+1), Session: uint64(i),
				Origin: fmt.Sprintf("https://%d.evil.example", i), Reason: "this origin is not allowed", Code: 403,
			})
		}
		r.Record(audit.Event{Kind: audit.KindDenied, Address: "2001:db8:0:1::1", Reason: "this origin is not allowed", Code: 403})
		r.Record(audit.Event{Kind: audit.KindDenied, Address: "::ffff:192.0.2.7", Reason: "this origin is not allowed", Code: 403})
		r.Record(audit.Event{Kind: audit.KindDenied, Address: "192.0.2.7", Reason: "this origin is not allowed", Code: 403})
		time.Sleep(time.Second)
		got := s.take()
		if len(got) != 3 || countOf(got) != 6003 {
			t.Fatalf("%d records of %d events: %+v", len(got), countOf(got), got)
		}
		first := got[slices.IndexFunc(got, func(r audit.Record) bool { return r.Count == 6000 })]
		if first.Address != "2001:db8::1" || first.Addresses != audit.MaxAddresses || first.Origin != "https://0.evil.example" || first.Session != 0 {
			t.Errorf("got %+v", first)
		}
	})
}

func TestARecordCountsAddressesThatAreFew(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		for range 2 {
			for _, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::3"} {
				r.Record(audit.Event{Kind: audit.KindDenied, Address: address})
			}
			time.Sleep(2 * time.Second)
			if got := s.take(); len(got) != 1 || got[0].Addresses != 3 || got[0].Count != 4 {
				t.Errorf("got %+v", got)
			}
		}
	})
}

func TestWhatFindsNoRoomIsCountedInARecord(t *testing.T) {
	inBubble(t, audit.Options{MaxOpen: 10}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		for i := range 1000 {
			r.Record(audit.Event{Kind: audit.KindDenied, Address: elsewhere(i), Reason: "token expired"})
		}
		if st := r.Stats(); st.Recorded != 1000 || st.Overflowed != 990 || st.Open != 10 {
			t.Errorf("stats %+v", st)
		}
		time.Sleep(time.Second)
		got := s.take()
		if len(got) != 11 || countOf(got) != 1000 {
			t.Fatalf("%d records of %d events", len(got), countOf(got))
		}
		if sums := sumsIn(got); len(sums) != 1 || sums[0].Count != 990 || sums[0].Of["denied"] != 990 || sums[0].Limit != "records_of_strangers" ||
			sums[0].User != "" || sums[0].Address != "" || sums[0].Reason == "" {
			t.Errorf("overflow: %+v", sums)
		}
		time.Sleep(time.Minute)
		r.Record(refusal)
		time.Sleep(time.Second)
		if got := s.take(); len(got) != 1 || got[0].Kind != audit.KindRefused {
			t.Errorf("when there is room again: %+v", got)
		}
	})
}

// What is written of strangers is bounded in bytes, and so is what is written of users;
// neither touches the other, and all is counted.
func TestStrangersAndUsersHaveABudgetEach(t *testing.T) {
	stranger := func(i int) audit.Event {
		return audit.Event{Kind: audit.KindDenied, Address: elsewhere(i), Reason: "token expired"}
	}
	user := func(i int) audit.Event {
		e := refusal
		e.User = status.UserID(fmt.Sprint("user", i))
		return e
	}
	for _, tt := range []struct {
		limit        string
		noisy, quiet func(i int) audit.Event
	}{
		{"records_of_strangers", stranger, user},
		{"records_of_users", user, stranger},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			budget := audit.Budget{Burst: 64 << 10, PerSecond: 40}
			inBubble(t, audit.Options{Strangers: budget, Users: budget}, func(t *testing.T, r *audit.Recorder, s *shelf) {
				const hours, few = 2, 20
				noise := 0
				for second := range hours * 3600 {
					for range 10 { // of a network or a user each
						noise++
						r.Record(tt.noisy(noise))
					}
					if second%300 == 299 && second/300 < few {
						r.Record(tt.quiet(second))
					}
					time.Sleep(time.Second)
				}
				time.Sleep(time.Minute)
				records := s.take()
				sums := sumsIn(records)
				written, told := 0, 0
				for _, rec := range records {
					text, err := json.Marshal(rec)
					if err != nil {
						t.Fatal(err)
					}
					switch rec.Kind {
					case tt.noisy(0).Kind:
						written += len(text)
					case tt.quiet(0).Kind:
						told++
					}
				}
				if n := countOf(records); n != noise+few || told != few {
					t.Errorf("the records count %d events of %d, %d of %d of the quiet", n, noise+few, told, few)
				}
				if most := budget.Burst + hours*3600*40; written > most || written < most/4 {
					t.Errorf("%d bytes of the noisy, at most %d", written, most)
				}
				if len(sums) > hours*60+10 {
					t.Errorf("%d sums in %d hours", len(sums), hours)
				}
				for _, sum := range sums {
					if sum.Limit != tt.limit || sum.Of[tt.noisy(0).Kind] != sum.Count || sum.User != "" || sum.Address != "" {
						t.Errorf("a sum: %+v", sum)
					}
				}
			})
		})
	}
}

func TestWhileTheStreamIsAwayEventsFoldAndNoneIsLost(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		s.fail(errors.New("no answer"))
		for range 600 {
			r.Record(refusal)
			time.Sleep(100 * time.Millisecond)
		}
		if st := r.Stats(); st.Retries == 0 || st.Written != 0 {
			t.Errorf("stats %+v", st)
		}
		s.fail(nil)
		time.Sleep(time.Minute)
		got := s.take()
		if len(got) != 2 || countOf(got) != 600 {
			t.Errorf("%d records of %d events: %+v", len(got), countOf(got), got)
		}
	})
}

func TestStopWritesWhatWaits(t *testing.T) {
	inBubble(t, audit.Options{}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		begin := time.Now()
		r.Record(refusal)
		r.Record(audit.Event{Kind: audit.KindClosed, User: "bob"})
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("it took %v", took)
		}
		if got := s.take(); len(got) != 2 {
			t.Errorf("got %+v", got)
		}
		r.Record(refusal)
		if st := r.Stats(); st.Recorded != 3 || st.Written != 2 || st.Lost != 1 || st.Open != 0 {
			t.Errorf("stats %+v", st)
		}
		if err := r.Stop(t.Context()); err != nil {
			t.Errorf("the second time: %v", err)
		}
	})
}

func TestStopGivesUpInTimeAndSaysHowManyAreLost(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	inBubble(t, audit.Options{FlushTimeout: 3 * time.Second, Logger: logger}, func(t *testing.T, r *audit.Recorder, s *shelf) {
		s.fail(errors.New("no answer"))
		r.Record(refusal)
		time.Sleep(10 * time.Second) // it is being written
		r.Record(refusal)
		r.Record(audit.Event{Kind: audit.KindClosed, User: "bob"})
		begin := time.Now()
		err := r.Stop(t.Context())
		if err == nil || err.Error() != "audit: 3 events and 0 acts of administrators could not be written" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if st := r.Stats(); st.Lost != 3 || st.Open != 0 {
			t.Errorf("stats %+v", st)
		}
	})
	if n := strings.Count(log.String(), "a security event could not be written"); n != 3 || !strings.Contains(log.String(), "subject=status.c1.engine") {
		t.Errorf("the log has %d of 3:\n%s", n, log.String())
	}
}

func TestLifecycle(t *testing.T) {
	t.Run("stopped without a start, it says what is lost", func(t *testing.T) {
		r := audit.NewWith((&shelf{}).write, audit.Options{})
		r.Record(refusal)
		if err := r.Stop(t.Context()); err == nil {
			t.Error("no error")
		}
		if err := r.Start(t.Context()); !errors.Is(err, audit.ErrStarted) {
			t.Errorf("start after stop: %v", err)
		}
	})
	t.Run("stopped without a start and an event, all is well", func(t *testing.T) {
		r := audit.NewWith((&shelf{}).write, audit.Options{})
		for range 2 {
			if err := r.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("none at all takes events", func(*testing.T) {
		var r *audit.Recorder
		r.Record(refusal)
	})
	t.Run("what was recorded before the start is written", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &shelf{}
			r := audit.NewWith(s.write, audit.Options{})
			r.Record(refusal)
			time.Sleep(time.Minute)
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.take(); len(got) != 1 {
				t.Errorf("got %+v", got)
			}
			if err := r.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for _, o := range []audit.Options{
		{Window: time.Millisecond}, {Window: -1}, {Window: time.Second, MaxWindow: time.Millisecond},
		{MaxOpen: -1}, {MaxActBytes: -1}, {Share: audit.Share{Records: -1}}, {Share: audit.Share{Every: -1}},
		{Strangers: audit.Budget{Burst: -1}}, {Users: audit.Budget{PerSecond: -0.5}}, {WriteTimeout: -1}, {RetryWait: -1}, {FlushTimeout: -1},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, o := range []audit.Options{{}, audit.DefaultOptions(), {Window: time.Hour}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// elsewhere is an address of a network of its own.
func elsewhere(i int) string { return fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff) }

func countOf(records []audit.Record) (n int) {
	for _, r := range records {
		n += r.Count
	}
	return n
}
