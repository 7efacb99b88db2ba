package authcallout

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/session"
)

// question is a request of the gateway's in the same process. It waits in the same
// queue as nats-server's requests, and the same workers answer it.
type question struct {
	ctx    context.Context
	login  session.Login
	ask    session.Ask
	answer chan answer // has room for the one answer
}

// answer is the user JWT, or the denial.
type answer struct {
	userJWT string
	denial  *session.Denial
}

// Decide has the callout decide about a login without nats-server in between: the same
// decision, signed into the same user JWT, which is all that the grant is read from. A
// denial is a *session.Denial; any other error is passing. It gives up when ctx ends.
func (s *Service) Decide(ctx context.Context, login session.Login, ask session.Ask) (*session.Grant, error) {
	if s.deps.ServerID() == "" {
		return nil, errNoServer // nothing that is granted could be served
	}
	q := &question{ctx: ctx, login: login, ask: ask, answer: make(chan answer, 1)}
	s.enqueue(job{asked: q, arrived: time.Now()})
	select {
	case a := <-q.answer:
		return s.read(a)
	case <-ctx.Done():
		return nil, fmt.Errorf("no verdict: %w", ctx.Err())
	case <-s.ended:
	}
	select {
	case a := <-q.answer:
		return s.read(a)
	default:
		return nil, errStopped
	}
}

func (s *Service) read(a answer) (*session.Grant, error) {
	if a.denial != nil {
		return nil, a.denial
	}
	return s.authority.Grant(a.userJWT, time.Now())
}

// replyHere decides about a login of the gateway's, and answers.
func (s *Service) replyHere(ctx context.Context, j job) {
	q := j.asked
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.ctx, cancel)()
	g, err := s.decideHere(ctx, q)
	v := Verdict{Address: q.address(), User: g.user}
	var userJWT string
	if err == nil {
		userJWT, err = s.sign(s.subject, g)
	}
	if q.ctx.Err() != nil {
		err = errGivenUp
	}
	if err != nil {
		s.deny(&v, err)
	} else {
		v.Conversations, v.Expires = g.conversations, g.expires
	}
	s.count(&v, j)
	q.answer <- answer{userJWT, v.Denial}
	s.tell(v)
}

func (s *Service) decideHere(ctx context.Context, q *question) (grant, error) {
	g := grant{connection: jwt.ConnectionTypeInProcess}
	who, proven := s.proven(q.login)
	if !proven {
		var err error
		if who, err = s.identify(ctx, q.login.Token); err != nil {
			return g, err
		}
	}
	g.user = who.User
	return s.entitled(ctx, g, who.Expires, q.ask)
}

// turnAwayHere denies a question that was not looked at.
func (s *Service) turnAwayHere(j job, why error) {
	v := Verdict{Address: j.asked.address()}
	s.deny(&v, why)
	s.count(&v, j)
	j.asked.answer <- answer{denial: v.Denial}
	s.tell(v)
}

func (q *question) address() string {
	if !q.login.Remote.IsValid() {
		return ""
	}
	return q.login.Remote.Addr().Unmap().String()
}
