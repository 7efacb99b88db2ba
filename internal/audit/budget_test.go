package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

// The arithmetic of docs/audit.md: what may be written in a time, whatever strangers
// and users do.
func TestNinetyDaysOfTheAuditCannotBeWashedOut(t *testing.T) {
	o := audit.DefaultOptions()
	most := func(d time.Duration) float64 {
		total := 0.0
		for _, b := range []audit.Budget{o.Strangers, o.Users} {
			total += float64(b.Burst) + b.PerSecond*d.Seconds()
			total += float64(audit.CostOfSum()) * d.Seconds() / o.MaxWindow.Seconds()
		}
		return total
	}
	all := most(engine.AuditMaxAge)
	hour := most(time.Hour)
	t.Logf("at most %.1f MB in 90 days, of %.1f MB; %.1f MB in an hour, which is %.1f %%",
		all/1e6, engine.AuditMaxBytes/1e6, hour/1e6, 100*hour/engine.AuditMaxBytes)
	if all > engine.AuditMaxBytes {
		t.Errorf("in %v there may be %.0f bytes, more than the stream holds", engine.AuditMaxAge, all)
	}
	if hour > engine.AuditMaxBytes/40 {
		t.Errorf("in an hour there may be %.0f bytes", hour)
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
