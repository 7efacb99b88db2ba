package authcallout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/session"
)

// Witness hears what a callout service of somebody else's answers to our server, and
// leaves it where the gateway's links look for a verdict: nats-server keeps the user
// JWT to itself. It answers nobody. Its one life is Start and Stop.
//
//	nats-server ── request JWT ──▶ the service
//	     │              └────────▶ Witness: which link?
//	     ◀── response JWT ──────── the service
//	                └────────────▶ Witness: the user JWT, or a refusal: internal/session
//
// What it leaves is a user JWT that the service has signed, which is verified by whoever
// takes it for a grant.
type Witness struct {
	nc       *nats.Conn
	deps     WitnessDeps
	messages chan *nats.Msg
	counters counters
	running  sync.WaitGroup

	mu   sync.Mutex // guards subs
	subs []*nats.Subscription

	asked map[string]witnessed // by the reply subject; the goroutine's own
}

// WitnessDeps is what a Witness works with. All are required.
type WitnessDeps struct {
	// ServerID is the public key of the server whose requests matter.
	ServerID func() string
	// Issuer is the public account key that signs answers: auth_callout's issuer.
	Issuer string
	// Answers are the subjects where the server hears answers.
	Answers string
	// Sessions is where links are opened.
	Sessions *session.Registry
	// OnVerdict hears of each verdict. It must not block.
	OnVerdict func(Verdict)
}

// witnessed is a request that waits for its answer.
type witnessed struct {
	key      session.Key
	address  string
	userNkey string
	at       time.Time
}

// Bounds of a Witness.
const (
	// witnessQueue is how many requests and answers may wait to be looked at.
	witnessQueue = 8192
	// A request is forgotten after witnessFor, when there are more than witnessMany:
	// no server waits so long for its answer.
	witnessMany = 4096
	witnessFor  = time.Minute
)

// NewWitness starts nothing. nc must be allowed to subscribe to $SYS.REQ.USER.AUTH and
// to the answers, in the callout's account.
func NewWitness(nc *nats.Conn, deps WitnessDeps) *Witness {
	return &Witness{nc: nc, deps: deps, messages: make(chan *nats.Msg, witnessQueue), asked: map[string]witnessed{}}
}

// Start returns when nothing is missed any more.
func (w *Witness) Start(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	// One channel for both: a request is looked at before its answer.
	for _, subject := range []string{requestSubject, w.deps.Answers} {
		sub, err := w.nc.ChanSubscribe(subject, w.messages)
		if err != nil {
			return fmt.Errorf("authcallout: subscribe: %w", err)
		}
		w.subs = append(w.subs, sub)
	}
	flush, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := w.nc.FlushWithContext(flush); err != nil {
		return fmt.Errorf("authcallout: subscribe: %w", err)
	}
	w.running.Go(w.run) // ends when Stop closes the channel
	return nil
}

// Stop ends the watch. Stopping twice, or without Start, is fine.
func (w *Witness) Stop(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, sub := range w.subs {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			errs = append(errs, err)
		}
	}
	if w.subs != nil {
		close(w.messages)
		w.running.Wait()
	}
	w.subs = nil
	return errors.Join(errs...)
}

// Stats returns the counts since Start.
func (w *Witness) Stats() Stats { return w.counters.snapshot() }

func (w *Witness) run() {
	for m := range w.messages {
		if m.Subject == requestSubject {
			w.request(m)
		} else {
			w.answer(m)
		}
	}
}

// request notes a request that is about a link. Nothing of it is verified: only our own
// server can send there, and what it is good for is to find the answer's link.
func (w *Witness) request(m *nats.Msg) {
	c, err := peek(string(m.Data), w.deps.ServerID())
	if err != nil {
		return // another server's
	}
	if _, ok := w.deps.Sessions.Ask(c.key()); !ok {
		return // not a browser of the gateway's
	}
	now := time.Now()
	if len(w.asked) >= witnessMany {
		for reply, a := range w.asked {
			if now.Sub(a.at) > witnessFor {
				delete(w.asked, reply)
			}
		}
	}
	w.asked[m.Reply] = witnessed{key: c.key(), address: c.Request.Client.Host, userNkey: c.Request.UserNkey, at: now}
}

func (w *Witness) answer(m *nats.Msg) {
	a, ok := w.asked[m.Subject]
	if !ok {
		return
	}
	userJWT, err := w.read(m, a)
	if err != nil {
		return // the server does not take it either, and waits on
	}
	delete(w.asked, m.Subject)
	v := Verdict{Key: a.key, Address: a.address, Duration: time.Since(a.at)}
	if userJWT == "" {
		// What the service says of it may be meant for its operator alone.
		v.Denial = &session.Denial{Reason: "the authorization service refused this login", Final: true, BadToken: true}
		v.Cause = CauseRefused
		w.counters.verdict(v)
		w.deps.Sessions.Deny(a.key, v.Denial)
	} else {
		w.counters.verdict(v)
		w.deps.Sessions.Grant(a.key, userJWT)
	}
	w.deps.OnVerdict(v)
}

// read returns the user JWT of the answer, "" for a refusal, and an error for what is
// no answer to the request. An empty message is a refusal.
func (w *Witness) read(m *nats.Msg, a witnessed) (userJWT string, err error) {
	if len(m.Data) == 0 {
		return "", nil
	}
	c, err := jwt.DecodeAuthorizationResponseClaims(string(m.Data))
	switch {
	case err != nil:
		return "", err
	case c.Issuer != w.deps.Issuer || c.Subject != a.userNkey || c.Audience != a.key.ServerID:
		return "", errForeign
	case c.Error != "":
		return "", nil
	}
	return c.Jwt, nil
}
