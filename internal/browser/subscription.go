package browser

import (
	"cmp"
	"context"
	"sync/atomic"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Subscription is one subscription of a browser.
type Subscription struct {
	// What a delivery reads stands together, as in Outbox.
	browser *Browser
	sid     string
	tally   outbox.Tally

	gap atomic.Pointer[[]string] // of statuses, not told to the browser yet

	op           limit.SubOp // as the meter sees it
	subject      string
	queue        string
	conversation status.ConversationID // "" for an inbox
	upstream     *fanout.Subscription  // nil for an inbox

	// lostWith is the last grant that covered it, from when access was lost until it
	// ends; else nil.
	lostWith atomic.Pointer[session.Grant]

	// Of a resumable browser; guarded by Browser.mu.
	place  fanout.Place // how far it has arrived
	placed bool         // that is known
	over   bool         // the fan-out has ended it
}

// Init makes the zero value a subscription of the browser that nothing knows yet.
func (sub *Subscription) Init(b *Browser, subject, queue, sid string) {
	sub.browser, sub.sid, sub.subject, sub.queue = b, sid, subject, queue
	sub.conversation, _ = status.ConversationOf(subject)
}

// Subject, Queue and SID are as the browser has asked for it.
func (sub *Subscription) Subject() string { return sub.subject }

// Queue is its queue group; "" for none.
func (sub *Subscription) Queue() string { return sub.queue }

// SID is the browser's name for it.
func (sub *Subscription) SID() string { return sub.sid }

// Conversation is what it is in; "" for an inbox.
func (sub *Subscription) Conversation() status.ConversationID { return sub.conversation }

// ListenBy has the subscription share what another receiver has of the fan-out.
func (sub *Subscription) ListenBy(up *fanout.Subscription) { sub.upstream = up }

// Tally counts its messages, for Outbox.
func (sub *Subscription) Tally() *outbox.Tally { return &sub.tally }

// Outbox is where its messages go.
func (sub *Subscription) Outbox() *outbox.Outbox { return &sub.browser.out }

// Counts returns how many messages it got, and how many it may get in all, 0 for any.
func (sub *Subscription) Counts() (delivered, most int) { return sub.browser.out.Counts(&sub.tally) }

// Drop ends it.
func (sub *Subscription) Drop() { sub.browser.drop(sub) }

// MayReceive is false for a message that the grant denies, although it allows the
// subscription.
func (sub *Subscription) MayReceive(subject string) bool {
	g := sub.browser.filter.Load()
	return g == nil || cmp.Or(sub.lostWith.Load(), g).CanReceive(subject, sub.queue)
}

// Filtered is true when MayReceive is false for some messages.
func (sub *Subscription) Filtered() bool { return sub.browser.filter.Load() != nil }

// PieceBytes is what the fan-out sends between two calls of Ready: 16 KiB and
// headers, seldom one large status.
const PieceBytes = 32 << 10

// HasRoom implements fanout.Pacer.
func (sub *Subscription) HasRoom() bool { return sub.browser.out.HasRoom() }

// Ready implements fanout.Pacer.
func (sub *Subscription) Ready(ctx context.Context) error {
	return sub.browser.out.ReadyOrGone(ctx, sub, PieceBytes)
}

// Ended implements fanout.Receiver. The browser may subscribe again and go on.
func (sub *Subscription) Ended(_ *fanout.Subscription, reason string) {
	b := sub.browser
	b.mu.Lock()
	sub.over = true
	if b.subs[sub.sid] == sub {
		b.forgetLocked(sub)
		b.leaveMarkLocked(sub)
	}
	b.mu.Unlock()
	b.out.End(&sub.tally)
	b.dialect.SubEnded(sub, refusal.Refusal{Why: metrics.RefusalUnavailable, Reason: reason})
}
