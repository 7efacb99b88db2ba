package audit_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

// mostWritten is what may be written to AUDIT in a time, whatever strangers and users
// do; with what is left out told, once each MaxWindow for both, or without that.
func mostWritten(o audit.Options, d time.Duration, sums bool) (bytes float64) {
	for _, b := range []audit.Budget{o.Strangers, o.Users} {
		bytes += float64(b.Burst) + b.PerSecond*d.Seconds()
		if sums {
			bytes += float64(audit.CostOfSum()) * d.Seconds() / o.MaxWindow.Seconds()
		}
	}
	return bytes
}

// The arithmetic of docs/audit.md.
func TestNinetyDaysOfTheAuditCannotBeWashedOut(t *testing.T) {
	o := audit.DefaultOptions()
	all, hour := mostWritten(o, engine.AuditMaxAge, true), mostWritten(o, time.Hour, true)
	t.Logf("at most %.1f MB in 90 days, of %.1f MB; %.1f MB in an hour, which is %.1f %%",
		all/1e6, engine.AuditMaxBytes/1e6, hour/1e6, 100*hour/engine.AuditMaxBytes)
	if all > engine.AuditMaxBytes {
		t.Errorf("in %v there may be %.0f bytes, more than the stream holds", engine.AuditMaxAge, all)
	}
	if hour > engine.AuditMaxBytes/40 {
		t.Errorf("in an hour there may be %.0f bytes", hour)
	}
}

// TestThePageHasTheNumbers holds what docs/audit.md says of bounds.
func TestThePageHasTheNumbers(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	o := audit.DefaultOptions()
	for _, want := range []string{
		fmt.Sprintf("| %d records | one a minute |", o.Share.Records),
		fmt.Sprintf("| all users' | %d MiB | %.0f bytes a second |", o.Users.Burst>>20, o.Users.PerSecond),
		fmt.Sprintf("| all that have not logged in | %d MiB | %.0f bytes a second |", o.Strangers.Burst>>20, o.Strangers.PerSecond),
		fmt.Sprintf("%d MiB + %d MiB + %.0f B × 7,776,000 = %.0f MB are written", o.Users.Burst>>20, o.Strangers.Burst>>20,
			o.Users.PerSecond+o.Strangers.PerSecond, mostWritten(o, engine.AuditMaxAge, false)/1e6),
		fmt.Sprintf("the two %.0f MB, which is less than the 1,074 MB", mostWritten(o, engine.AuditMaxAge, true)/1e6),
		fmt.Sprintf("In an hour it is %.0f MB, %.0f %% of the stream", mostWritten(o, time.Hour, true)/1e6, 100*mostWritten(o, time.Hour, true)/engine.AuditMaxBytes),
		fmt.Sprintf("At most %d,%03d records of strangers and as many of users", o.MaxOpen/1000, o.MaxOpen%1000),
		fmt.Sprintf("acts wait in memory, %d MiB of them", o.MaxActBytes>>20),
		fmt.Sprintf("a stop could not write within %.0f s", o.FlushTimeout.Seconds()),
		fmt.Sprintf("for at most %.0f s, and logs what", o.FlushTimeout.Seconds()),
		fmt.Sprintf("%d stands for %d or more", audit.MaxAddresses, audit.MaxAddresses),
		fmt.Sprintf("at most %d bytes of `subject` and `reason` and %d of each other", audit.MaxTextBytes, audit.MaxNameBytes),
		"`AUDIT` is kept for 90 days and holds 1 GiB, `AUDIT_ADMIN` for a year and 1 GiB",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if o.Share.Every != time.Minute || o.MaxWindow != time.Minute || o.Window != time.Second || engine.AuditMaxAge != 7_776_000*time.Second {
		t.Errorf("the page says a second and a minute: %+v", o)
	}
}

// What the budgets reckon is at least what the stream counts.
func TestARecordTakesNoMoreOfTheStreamThanIsReckoned(t *testing.T) {
	s := newSite(t)
	const node = "a-node"
	r := s.recorder(t, audit.Options{Node: node})
	long := strings.Repeat(`"x\`, 300)
	reckoned, records := 0, 0
	at := time.Date(2024, 1, 19, 12, 0, 0, 123456789, time.UTC)
	for i := range 40 {
		e := audit.Event{Time: at, Kind: audit.Kinds()[i%5], Address: elsewhere(i)}
		if i%2 == 0 {
			e.Reason, e.Subject, e.Origin, e.Conversation, e.Limit = long, long, long, "c1", "subscription_changes"
		}
		if i%3 == 0 {
			e.User, e.Code, e.Session, e.DryRun, e.Actor = status.UserID(fmt.Sprint("user", i)), 1008, 1<<40, true, "operator"
		}
		reckoned += audit.Cost(e, node)
		records++
		r.Record(e)
		if i%4 == 0 { // more of the same, which costs nothing more
			e.Address = strings.Replace(e.Address, "::1", "::dead:beef", 1)
			e.Time, e.Count = at.Add(987654321), 123456789
			r.Record(e)
		}
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := s.wantRecordsIn(t, engine.StreamAudit, records)
	t.Logf("%d records take %d bytes, %d are reckoned", records, state.Bytes, reckoned)
	if state.Bytes > uint64(reckoned) {
		t.Errorf("%d records take %d bytes, only %d are reckoned", records, state.Bytes, reckoned)
	}
}
