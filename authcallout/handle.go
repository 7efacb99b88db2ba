package authcallout

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/session"
)

// job is a request with the time of its arrival.
type job struct {
	msg     *nats.Msg // nats-server's request; nil for one of the gateway's
	asked   *question // the gateway's; nil for one of nats-server's
	arrived time.Time
}

// receive runs in the subscription's goroutine: it must not wait.
func (s *Service) receive(m *nats.Msg) {
	if m.Reply == "" {
		return
	}
	s.enqueue(job{msg: m, arrived: time.Now()})
}

// enqueue does not wait: who finds the queue full is denied.
func (s *Service) enqueue(j job) {
	select {
	case s.queue <- j:
	default:
		s.turnAway(j, errQueueFull)
	}
}

// turnAway denies a request that was not verified, so that the link has its
// answer at once instead of after the server's timeout. Other servers' requests
// stay unanswered.
func (s *Service) turnAway(j job, why error) {
	if j.asked != nil {
		s.turnAwayHere(j, why)
		return
	}
	token, _, err := s.open(j.msg)
	var c claim
	if err == nil {
		c, err = s.peek(token)
	}
	if errors.Is(err, errForeign) {
		s.counters.foreign()
		return
	}
	if err != nil {
		s.opts.Logger.Warn("authorization: unreadable request", "error", err)
		return
	}
	v := Verdict{Key: c.key()}
	s.deny(&v, why)
	s.count(&v, j)
	s.refuse(j.msg)
	s.tell(v)
}

// work decides one request after the other until Stop and until the queue is empty.
func (s *Service) work(ctx context.Context) {
	for {
		select {
		case j := <-s.queue:
			s.handle(ctx, j)
		case <-s.stopping:
			if len(s.queue) == 0 {
				return
			}
		}
	}
}

// handle answers one request. A panic in what it calls ends that request only.
func (s *Service) handle(ctx context.Context, j job) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("authorization: a worker panicked", "panic", p, "stack", string(debug.Stack()))
			s.turnAway(j, errWorkerFailed)
		}
	}()
	ctx, cancel := context.WithDeadline(ctx, j.arrived.Add(s.opts.Timeout))
	defer cancel()
	if err := ctx.Err(); err != nil { // it waited too long in the queue: nothing more is spent on it
		s.turnAway(j, err)
		return
	}
	if j.asked != nil {
		s.replyHere(ctx, j)
		return
	}
	token, sender, err := s.open(j.msg)
	var c claim
	if err == nil {
		c, err = s.peek(token)
	}
	if err == nil && s.knocks(c.key(), c.Request.Connect.Nkey) {
		if _, known := s.knownKey(c.knock()); known != nil {
			s.keepOut(j, c, known)
			return
		}
	}
	var req *jwt.AuthorizationRequestClaims
	if err == nil {
		req, err = s.verify(token, sender)
	}
	switch {
	case errors.Is(err, errForeign):
		s.counters.foreign()
	case err != nil:
		s.opts.Logger.Warn("authorization: unreadable request", "error", err)
		s.turnAway(j, err)
	case s.knocks(linkKey(req), req.ConnectOptions.Nkey):
		s.replyKey(j, req)
	default:
		s.reply(ctx, j, req)
	}
}

// knocks is true for a client with an nkey that is no browser of the gateway's.
func (s *Service) knocks(key session.Key, nkey string) bool {
	if nkey == "" || s.deps.Named == nil {
		return false
	}
	_, hasLink := s.deps.Sessions.Ask(key)
	return !hasLink
}

// keepOut denies a key before anything is spent on the request: it was not
// verified, and the answer is not signed.
func (s *Service) keepOut(j job, c claim, why error) {
	v := Verdict{Key: c.key(), Address: c.Request.Client.Host}
	s.deny(&v, why)
	s.count(&v, j)
	s.refuse(j.msg)
	s.tell(v)
}

// replyKey decides about a client with a named key.
func (s *Service) replyKey(j job, req *jwt.AuthorizationRequestClaims) {
	key, userJWT, err := s.decideKey(req)
	v := Verdict{Key: linkKey(req), Address: req.ClientInformation.Host, Named: key.Name}
	if err != nil {
		s.deny(&v, err)
		s.count(&v, j)
		s.refuse(j.msg)
		s.tell(v)
		return
	}
	s.count(&v, j)
	if err := s.answer(j.msg, req, userJWT, ""); err != nil {
		s.opts.Logger.Error("authorization: no answer", "error", err)
	}
	s.tell(v)
}

// reply decides, leaves the verdict for the gateway, and only then answers.
func (s *Service) reply(ctx context.Context, j job, req *jwt.AuthorizationRequestClaims) {
	g, err := s.decide(ctx, req)
	v := Verdict{Key: linkKey(req), Address: req.ClientInformation.Host, User: g.user}
	var userJWT string
	if err == nil {
		userJWT, err = s.sign(req.UserNkey, g)
	}
	if err == nil && g.connection == jwt.ConnectionTypeInProcess && !s.deps.Sessions.Grant(v.Key, userJWT) {
		err = errGivenUp
	}
	var reason string
	if err != nil {
		s.deny(&v, err)
		userJWT, reason = "", v.Denial.Reason
	} else {
		v.Conversations, v.Expires = g.conversations, g.expires
	}
	s.count(&v, j)
	if err := s.answer(j.msg, req, userJWT, reason); err != nil {
		s.opts.Logger.Error("authorization: no answer", "error", err)
	}
	s.tell(v)
}

// deny turns an error into the verdict's denial and leaves it for the gateway.
func (s *Service) deny(v *Verdict, err error) {
	d, cause := denialOf(err)
	d.User = v.User
	v.Denial, v.Cause = &d, cause
	s.deps.Sessions.Deny(v.Key, v.Denial)
	s.opts.Logger.Debug("authorization denied", "client", v.Key.ClientID, "address", v.Address,
		"user", string(v.User), "cause", string(cause), "error", err)
}

// count counts a verdict, before it is answered: whoever has the answer finds it counted.
func (s *Service) count(v *Verdict, j job) {
	v.Duration = time.Since(j.arrived)
	s.counters.verdict(*v)
}

// tell tells a verdict on.
func (s *Service) tell(v Verdict) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("authorization: OnVerdict panicked", "panic", fmt.Sprint(p))
		}
	}()
	s.opts.OnVerdict(v)
}
