package relay

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/internal/outbox"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// Relay forwards requests and brings their answers back. Safe for concurrent use.
type Relay struct {
	nc      *nats.Conn
	timeout time.Duration
	logger  *slog.Logger
	prefix  string // its own inbox, with the last dot
	pacing  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	sub     *nats.Subscription
	waiting map[string]*waiting // by the last token of the reply subject
}

// waiting is a request without its last message yet.
type waiting struct {
	asker Asker
	to    Receiver
	about status.ConversationID
	timer *time.Timer

	// Ends with the request; nil until its answer is paced. Guarded by Relay.mu.
	ctx    context.Context
	cancel context.CancelFunc

	flow string // where the edge waits to hear that there is room; "" for nowhere. Guarded by Relay.mu
}

// Asker is the connection that a request is forwarded for.
type Asker interface {
	// Asking notes n more requests about the conversation, "" for none, that wait for
	// their answer.
	Asking(c status.ConversationID, n int)
	// Outbox is where the answers go in the end: they are paced by its room.
	Outbox() *outbox.Outbox
	// Context ends with the connection.
	Context() context.Context
}

// Receiver takes the answer to a request. It must not block.
type Receiver interface {
	// Part takes a part of an answer that has more.
	Part(header nats.Header, body []byte)
	// Last takes the last message, the only one of most answers.
	Last(header nats.Header, body []byte)
	// NoAnswer says that there is none in time.
	NoAnswer()
}

// IsNobody is true for the answer that the server gives because nobody is there to ask.
func IsNobody(header nats.Header) bool { return header.Get("Status") == "503" }

// RefusedBy is the error that an answer of the edge is; nil for none.
func RefusedBy(header nats.Header, data []byte) *status.Error {
	if header.Get(micro.ErrorHeader) == "" {
		return nil
	}
	var refused struct{ Error *status.Error }
	if err := json.Unmarshal(data, &refused); err != nil || refused.Error == nil {
		return status.ErrUnavailable.Withf("%s", refusal.ReasonUnavailable)
	}
	return refused.Error
}

// New makes a relay on the connection, which gives an answer so much time, and
// each part of one so much again. It starts nothing.
func New(nc *nats.Conn, timeout time.Duration, logger *slog.Logger) *Relay {
	return &Relay{nc: nc, timeout: timeout, logger: logger, prefix: nc.NewInbox() + ".", waiting: map[string]*waiting{}}
}

// Start begins to listen for answers.
func (r *Relay) Start() error {
	sub, err := r.nc.Subscribe(r.prefix+"*", r.answer)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.sub = sub
	r.mu.Unlock()
	return r.nc.Flush()
}

// Stop drops the requests that wait. It returns when nothing of the relay is under way.
func (r *Relay) Stop() error {
	r.mu.Lock()
	for token := range r.waiting {
		r.dropLocked(token)
	}
	sub := r.sub
	r.sub = nil
	r.mu.Unlock()
	r.pacing.Wait()
	if sub == nil || r.nc.IsClosed() {
		return nil
	}
	return sub.Unsubscribe()
}

// Forward sends a request on behalf of the asker. The answer is for to, or for
// nobody if that is nil.
func (r *Relay) Forward(a Asker, subject string, body []byte, to Receiver) error {
	m := &nats.Msg{Subject: subject, Data: body}
	if to != nil {
		c, _ := status.ConversationOf(subject)
		m.Reply = r.await(a, c, to)
	}
	return r.nc.PublishMsg(m)
}

// await returns the reply subject of a request of the asker about c, whose answer is
// for to.
func (r *Relay) await(a Asker, c status.ConversationID, to Receiver) (reply string) {
	token := nats.NewInbox()[len(nats.InboxPrefix):]
	w := &waiting{asker: a, about: c, to: to}
	r.mu.Lock()
	r.waiting[token] = w
	w.timer = time.AfterFunc(r.timeout, func() {
		if r.take(token) != nil {
			to.NoAnswer()
		}
	})
	r.mu.Unlock()
	a.Asking(c, 1)
	return r.prefix + token
}

// take removes the request and returns it; nil when it is gone already.
func (r *Relay) take(token string) *waiting {
	r.mu.Lock()
	w := r.dropLocked(token)
	r.mu.Unlock()
	if w != nil {
		w.asker.Asking(w.about, -1)
	}
	return w
}

// dropLocked removes the request and ends what waits for it; mu is held.
func (r *Relay) dropLocked(token string) *waiting {
	w := r.waiting[token]
	if w == nil {
		return nil
	}
	delete(r.waiting, token)
	w.timer.Stop()
	if w.cancel != nil {
		w.cancel()
	}
	return w
}

// goesOn returns the request, which has more time from now on; nil when it is gone.
func (r *Relay) goesOn(token string) *waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.waiting[token]
	if w != nil {
		w.timer.Reset(r.timeout)
	}
	return w
}

// answer hands an answer, or a part of one, to whom it is for.
func (r *Relay) answer(m *nats.Msg) {
	token := strings.TrimPrefix(m.Subject, r.prefix)
	if m.Header.Get(status.HeaderSequence) != "" { // "no responders" has a subject too, nats-server 2.15.2
		w := r.goesOn(token)
		if w != nil {
			w.to.Part(m.Header, m.Data)
		}
		if status.IsEdgeFlowSubject(m.Reply) {
			r.pace(token, w, m.Reply)
		}
		return
	}
	w := r.take(token)
	if w == nil {
		return
	}
	w.asker.Outbox().Settle(w)
	w.to.Last(m.Header, m.Data)
}

// answerBytes is a batch of an answer: history's batches end at 128 KiB.
const answerBytes = 128 << 10

// pace tells on the subject that there is room for the next parts, as soon as
// there is; or that the request is gone, as w is when it is nil.
func (r *Relay) pace(token string, w *waiting, subject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w == nil || r.waiting[token] != w {
		r.gone(subject)
		return
	}
	w.flow = subject
	if w.ctx == nil {
		w.ctx, w.cancel = context.WithCancel(w.asker.Context())
	}
	r.pacing.Go(func() { // ends with room, the request or the asker
		if w.asker.Outbox().Ready(w.ctx, w, answerBytes) != nil || !r.hasRoom(token) {
			return
		}
		if err := r.nc.Publish(subject, nil); err != nil {
			r.logger.Error("cannot tell that there is room", "error", err)
		}
	})
}

// hasRoom notes that it is told that there is room; false when the request is gone,
// which has been told.
func (r *Relay) hasRoom(token string) bool {
	w := r.goesOn(token)
	if w == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.flow = ""
	return true
}

// Forget drops the requests of an asker that is gone. The edge need not wait for it:
// its user may be back already, and reads only so many answers at a time.
func (r *Relay) Forget(a Asker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, w := range r.waiting {
		if w.asker != a {
			continue
		}
		r.dropLocked(token)
		if w.flow != "" {
			r.gone(w.flow)
		}
	}
}

// gone tells the edge that nobody waits for the answer. If it does not hear that, it
// has its own patience.
func (r *Relay) gone(flow string) { _ = r.nc.Publish(flow, []byte(status.EdgeFlowGone)) }
