package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// relay brings the answers to forwarded requests back to the sockets. The
// browser's reply subject never leaves its socket: outside, a request has a
// reply subject of the relay's own. An answer is one message, or parts and a last
// message.
type relay struct {
	nc      *nats.Conn
	timeout time.Duration
	prefix  string // its own inbox, with the last dot
	pacing  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	sub     *nats.Subscription
	waiting map[string]*waiting // by the last token of the reply subject
}

// waiting is a request without its last message yet.
type waiting struct {
	socket *socket
	to     answered
	about  status.ConversationID
	timer  *time.Timer

	// Ends with the request; nil until its answer is paced. Guarded by relay.mu.
	ctx    context.Context
	cancel context.CancelFunc

	flow string // where the edge waits to hear that there is room; "" for nowhere. Guarded by relay.mu
}

// answered takes the answer to a request. It must not block.
type answered interface {
	// part takes a part of an answer that has more.
	part(header nats.Header, body []byte)
	// last takes the last message, the only one of most answers.
	last(header nats.Header, body []byte)
	// unanswered says that there is none in time.
	unanswered()
}

// edgeRefusal is the error that an answer of the edge is; nil for none.
func edgeRefusal(header nats.Header, data []byte) *status.Error {
	if header.Get(micro.ErrorHeader) == "" {
		return nil
	}
	var refused struct{ Error *status.Error }
	if err := json.Unmarshal(data, &refused); err != nil || refused.Error == nil {
		return status.ErrUnavailable.Withf("%s", refusal.ReasonUnavailable)
	}
	return refused.Error
}

func newRelay(nc *nats.Conn, timeout time.Duration) *relay {
	return &relay{nc: nc, timeout: timeout, prefix: nc.NewInbox() + ".", waiting: map[string]*waiting{}}
}

func (r *relay) start() error {
	sub, err := r.nc.Subscribe(r.prefix+"*", r.answer)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.sub = sub
	r.mu.Unlock()
	return r.nc.Flush()
}

func (r *relay) stop() error {
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

// forward sends a request on behalf of the socket. The answer is for to, or for
// nobody if that is nil.
func (r *relay) forward(s *socket, subject string, body []byte, to answered) error {
	m := &nats.Msg{Subject: subject, Data: body}
	if to != nil {
		c, _ := status.ConversationOf(subject)
		m.Reply = r.await(s, c, to)
	}
	return r.nc.PublishMsg(m)
}

// await returns the reply subject of a request of the socket about c, whose answer is
// for to.
func (r *relay) await(s *socket, c status.ConversationID, to answered) (reply string) {
	token := nats.NewInbox()[len(nats.InboxPrefix):]
	w := &waiting{socket: s, about: c, to: to}
	r.mu.Lock()
	r.waiting[token] = w
	w.timer = time.AfterFunc(r.timeout, func() {
		if r.take(token) != nil {
			to.unanswered()
		}
	})
	r.mu.Unlock()
	s.countRequest(c, 1)
	return r.prefix + token
}

// take removes the request and returns it; nil when it is gone already.
func (r *relay) take(token string) *waiting {
	r.mu.Lock()
	w := r.dropLocked(token)
	r.mu.Unlock()
	if w != nil {
		w.socket.countRequest(w.about, -1)
	}
	return w
}

// dropLocked removes the request and ends what waits for it; mu is held.
func (r *relay) dropLocked(token string) *waiting {
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
func (r *relay) goesOn(token string) *waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.waiting[token]
	if w != nil {
		w.timer.Reset(r.timeout)
	}
	return w
}

// answer hands an answer, or a part of one, to the socket that asked.
func (r *relay) answer(m *nats.Msg) {
	token := strings.TrimPrefix(m.Subject, r.prefix)
	if m.Header.Get(status.HeaderSequence) != "" { // "no responders" has a subject too, nats-server 2.15.2
		w := r.goesOn(token)
		if w != nil {
			w.to.part(m.Header, m.Data)
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
	w.socket.out.Settle(w)
	w.to.last(m.Header, m.Data)
}

// answerBytes is a batch of an answer: history's batches end at 128 KiB.
const answerBytes = 128 << 10

// pace tells on the subject that there is room for the next parts, as soon as
// there is; or that the request is gone, as w is when it is nil.
func (r *relay) pace(token string, w *waiting, subject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w == nil || r.waiting[token] != w {
		r.gone(subject)
		return
	}
	w.flow = subject
	if w.ctx == nil {
		w.ctx, w.cancel = context.WithCancel(w.socket.ctx)
	}
	r.pacing.Go(func() { // ends with room, the request or the socket
		if w.socket.out.Ready(w.ctx, w, answerBytes) != nil || !r.hasRoom(token) {
			return
		}
		if err := r.nc.Publish(subject, nil); err != nil {
			w.socket.gateway.opts.Logger.Error("cannot tell that there is room", "error", err)
		}
	})
}

// hasRoom notes that it is told that there is room; false when the request is gone,
// which has been told.
func (r *relay) hasRoom(token string) bool {
	w := r.goesOn(token)
	if w == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.flow = ""
	return true
}

// forget drops the requests of a socket that is gone. The edge need not wait for it:
// its user may be back already, and reads only so many answers at a time.
func (r *relay) forget(s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token, w := range r.waiting {
		if w.socket != s {
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
func (r *relay) gone(flow string) { _ = r.nc.Publish(flow, []byte(status.EdgeFlowGone)) }
