package relay_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/status"
)

func TestAnAnswerInPartsHasMoreTimeWithEachPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 30 * time.Second
		r := newAsker(timeout)
		reply := r.Ask()
		part := &nats.Msg{Subject: reply, Header: nats.Header{status.HeaderSequence: {"1"}}}
		last := &nats.Msg{Subject: reply}
		for range 8 {
			time.Sleep(timeout - 1)
			r.Answer(part)
		}
		if r.Parts != 8 || r.Waiting() != 1 {
			t.Fatalf("%d parts of 8, and %d waits", r.Parts, r.Waiting())
		}
		time.Sleep(timeout)
		synctest.Wait()
		r.Answer(part)
		r.Answer(last)
		if r.Parts != 8 || r.Ends != 0 || r.Unanswered != 1 || r.Waiting() != 0 {
			t.Fatalf("after its time: %+v", r)
		}

		last.Subject = r.Ask()
		time.Sleep(timeout - 1)
		r.Answer(last)
		time.Sleep(timeout)
		synctest.Wait()
		if r.Ends != 1 || r.Unanswered != 1 {
			t.Fatalf("in time: %+v", r)
		}
	})
}

// asker is a connection that asks by a relay of its own; it counts what becomes of its
// requests.
type asker struct {
	relay *relay.Relay
	out   outbox.Outbox

	Parts, Ends, Unanswered int
	waiting                 atomic.Int64
}

func newAsker(timeout time.Duration) *asker {
	return &asker{relay: relay.NewWithoutConn(timeout)}
}

func (a *asker) Ask() (reply string)                   { return a.relay.Await(a, a) }
func (a *asker) Answer(m *nats.Msg)                    { a.relay.Answer(m) }
func (a *asker) Waiting() int                          { return int(a.waiting.Load()) }
func (a *asker) Outbox() *outbox.Outbox                { return &a.out }
func (a *asker) Context() context.Context              { return context.Background() }
func (a *asker) Asking(_ status.ConversationID, n int) { a.waiting.Add(int64(n)) }

func (a *asker) Part(nats.Header, []byte) { a.Parts++ }
func (a *asker) Last(nats.Header, []byte) { a.Ends++ }
func (a *asker) NoAnswer()                { a.Unanswered++ }
