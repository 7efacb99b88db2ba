package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Evidence is what an explanation is read from beside the gateway's own state.
type Evidence struct {
	// Conversation is the directory's entry; the error wraps
	// directory.ErrNotFound when there is none.
	Conversation func(context.Context, status.ConversationID) (directory.Conversation, error)
	// Grant is what the callout would grant the user now. A denial is a
	// *session.Denial.
	Grant func(context.Context, status.UserID, session.Ask) (*session.Grant, error)
}

// Explain says what would become of a SUB or a PUB now, and from what that is
// decided, by the functions that decide it. It changes nothing. The error is the
// evidence's: what cannot be read cannot be explained.
func (g *Gateway) Explain(ctx context.Context, q session.Question, ev Evidence) (session.Explanation, error) {
	if q.Action == "" {
		q.Action = session.Subscribe
		if isEdge(q.Subject) || strings.HasPrefix(q.Subject, "gateway.") {
			q.Action = session.Publish
		}
	}
	x := &explanation{gateway: g, ev: ev, sockets: g.loggedIn(q.User)}
	x.Question = q
	for _, step := range []func(context.Context) error{x.user, x.membership, x.grant, x.limits} {
		if err := step(ctx); err != nil {
			return session.Explanation{}, err
		}
	}
	x.verdict()
	return x.Explanation, nil
}

// explanation is one that is being made.
type explanation struct {
	session.Explanation
	gateway *Gateway
	ev      Evidence
	sockets []*socket
	next    outcome // of a connection that is not there yet
}

// outcome is what one connection would get, and the state of its limits.
type outcome struct {
	refused refusal.Refusal
	grant   *session.Grant // that decided
	joined  bool           // the grant held did not do: it would grow
	usage   []limit.Usage
}

func (x *explanation) add(name, from, format string, args ...any) {
	x.Steps = append(x.Steps, session.Step{Name: name, From: from, Found: fmt.Sprintf(format, args...)})
}

func (x *explanation) user(context.Context) error {
	if len(x.sockets) == 0 {
		x.add("user", "connections of this node", "%q is not connected: what follows is for the next connection", x.User)
		return nil
	}
	var each []string
	for _, s := range x.sockets {
		each = append(each, fmt.Sprintf("%d from %s", s.id, s.remote.Addr().Unmap()))
	}
	x.add("user", "connections of this node", "%q has %d: %s", x.User, len(x.sockets), strings.Join(each, ", "))
	return nil
}

func (x *explanation) membership(ctx context.Context) error {
	id, ok := status.ConversationOf(x.Subject)
	if !ok {
		x.add("membership", "the subject", "the subject names no single conversation: no membership is asked for")
		return nil
	}
	from := fmt.Sprintf("directory entry %q", id)
	c, err := x.ev.Conversation(ctx, id)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		x.add("membership", from, "there is no conversation %q", id)
		return nil
	case err != nil:
		return err
	case x.User == c.Owner:
		x.add("membership", from, "%q owns %q%s", x.User, id, x.unknownCategory(c))
	case c.Admits(x.User):
		x.add("membership", from, "%q is a member of %q, which %q owns%s", x.User, id, c.Owner, x.unknownCategory(c))
	default:
		x.add("membership", from, "%q is neither the owner of %q, %q, nor a member; the browser is told the same as for one that does not exist", x.User, id, c.Owner)
	}
	return nil
}

// unknownCategory warns of a subject that is allowed and never used.
func (x *explanation) unknownCategory(c directory.Conversation) string {
	name, ok := strings.CutPrefix(x.Subject, "status."+string(c.ID)+".")
	if !ok || name == "*" || name == ">" {
		return ""
	}
	for _, known := range c.AllCategories() {
		if string(known) == name {
			return ""
		}
	}
	return fmt.Sprintf("; %q is none of its categories, so nothing is ever published there", name)
}

// grant has each connection decided, and tells of the grants.
func (x *explanation) grant(ctx context.Context) error {
	if len(x.sockets) == 0 {
		held, err := x.ev.Grant(ctx, x.User, session.Ask{})
		if err != nil {
			return err
		}
		if x.next, err = x.decide(ctx, held, nil); err != nil {
			return err
		}
		x.tellGrant("what the callout would sign now", "the next connection", x.next)
		return nil
	}
	for _, s := range x.sockets {
		held, _ := s.held()
		if held == nil {
			continue
		}
		o, err := x.decide(ctx, held, s)
		if err != nil {
			return err
		}
		from := "grant held since the login"
		if o.joined {
			from = "grant held, and what the callout would sign now"
		}
		x.tellGrant(from, fmt.Sprintf("connection %d", s.id), o)
		x.Sessions = append(x.Sessions, session.Verdict{ID: s.id, Allowed: !o.refused.Is(), Answer: x.answer(o)})
		x.next = o
		x.tellLimits(fmt.Sprintf("connection %d", s.id), o)
	}
	return nil
}

func (x *explanation) tellGrant(from, whose string, o outcome) {
	covers := "covers " + listConversations(o.grant.Conversations)
	allows := "does not allow"
	if x.Action == session.Publish && o.grant.CanPublish(x.Subject) || x.Action == session.Subscribe && o.grant.CanSubscribe(x.Subject, x.Queue) {
		allows = "allows"
	}
	grown := ""
	if o.joined {
		grown = " would grow by a join: then it"
	}
	until := ""
	if !o.grant.Expires.IsZero() {
		until = " until " + o.grant.Expires.UTC().Format(time.RFC3339)
	}
	x.add("grant", from, "the grant of %s%s %s%s, and %s to %s %q", whose, grown, covers, until, allows, x.Action, x.Subject)
}

// listConversations writes at most ten.
func listConversations(ids []status.ConversationID) string {
	if len(ids) == 0 {
		return "no conversation"
	}
	const most = 10
	var words []string
	for _, id := range ids[:min(most, len(ids))] {
		words = append(words, fmt.Sprintf("%q", id))
	}
	if more := len(ids) - most; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}

func (x *explanation) limits(context.Context) error {
	if len(x.sockets) == 0 {
		x.tellLimits("the next connection", x.next)
	}
	return nil
}

func (x *explanation) tellLimits(whose string, o outcome) {
	var each []string
	for _, u := range o.usage {
		if u.Limit < 0 {
			each = append(each, fmt.Sprintf("%s %d, no limit", u.Name, u.Used))
			continue
		}
		dry := ""
		if u.DryRun {
			dry = " (counted only)"
		}
		each = append(each, fmt.Sprintf("%s %d of %d%s", u.Name, u.Used, u.Limit, dry))
	}
	hit := "none is hit"
	if o.refused.Limit != "" {
		hit = fmt.Sprintf("%s is hit", o.refused.Limit)
	}
	x.add("limits", "counters of this node, limits of the grant and the settings", "%s: %s: %s", whose, strings.Join(each, ", "), hit)
}

func (x *explanation) verdict() {
	x.Allowed, x.Answer = !x.next.refused.Is(), x.answer(x.next)
	differ := false
	for _, v := range x.Sessions {
		differ = differ || v.Allowed != x.Sessions[0].Allowed
		if !v.Allowed && x.Allowed {
			x.Allowed, x.Answer = false, v.Answer
		}
	}
	switch {
	case differ:
		var refused []string
		for _, v := range x.Sessions {
			if !v.Allowed {
				refused = append(refused, fmt.Sprint(v.ID))
			}
		}
		x.add("verdict", "the steps above", "refused on connection %s, allowed on the others: %s", strings.Join(refused, ", "), x.Answer)
	case x.Allowed:
		x.add("verdict", "the steps above", "allowed")
	default:
		x.add("verdict", "the steps above", "refused: %s", x.Answer)
	}
}

// answer is the text of the -ERR that the browser gets.
func (x *explanation) answer(o outcome) string {
	switch {
	case !o.refused.Is():
		return ""
	case x.Action == session.Publish:
		return refusal.PubText(x.Subject, o.refused.Reason)
	}
	return refusal.SubText(x.Subject, x.Queue, o.refused.Reason)
}

// decide is what doSub and doPub decide, without doing it. s is nil for the next
// connection.
func (x *explanation) decide(ctx context.Context, held *session.Grant, s *socket) (o outcome, failed error) {
	o.grant = held
	var v limit.Verdict
	v, o.usage = x.gateway.wouldCount(ctx, x.Subject, x.User, held, s)
	counted := func() refusal.Refusal {
		if x.Action == session.Publish || !v.Refused() {
			return refusal.Refusal{}
		}
		return refusal.By(v)
	}
	more := func(g *session.Grant) (*session.Grant, refusal.Refusal) {
		next, r, err := x.wouldJoin(ctx, g, s, v.Free, counted)
		failed = err
		if next != g {
			o.grant, o.joined = next, true
		}
		return next, r
	}
	if x.Action == session.Publish {
		if o.refused = decidePub(held, x.Subject, more); !o.refused.Is() && isEdge(x.Subject) && s != nil {
			o.refused = s.decideAsk()
		}
		return o, failed
	}
	if o.refused = decideSub(held, x.Subject, x.Queue, more); !o.refused.Is() {
		o.refused = counted()
	}
	return o, failed
}

// wouldJoin is what join comes to, without a link. restored says that it would bring
// back what was there before a reconnect.
func (x *explanation) wouldJoin(ctx context.Context, g *session.Grant, s *socket, restored bool, before func() refusal.Refusal) (*session.Grant, refusal.Refusal, error) {
	c, ok := status.ConversationOf(x.Subject)
	if !ok || g.Covers(c) {
		return g, refusal.Refusal{}, nil
	}
	var cred *credential
	if s != nil {
		cred = s.currentCredential()
	}
	if r := x.gateway.decideJoin(ctx, c, g.User, cred); r.Is() {
		return g, r, nil
	}
	if v := x.gateway.mayChangeGrant(g.User); v.Refused() && !restored {
		return g, refusal.By(v), nil
	}
	if r := before(); r.Is() {
		return g, r, nil
	}
	want := []status.ConversationID{c}
	if cred != nil {
		var err error
		if want, err = cred.wanted(need{conversations: want}); err != nil {
			return g, refusal.GrantFull(maxConversations), nil
		}
	}
	next, err := x.ev.Grant(ctx, g.User, session.Ask{Want: want})
	if err != nil {
		return g, refusal.Refusal{}, err
	}
	return next, refusal.Refusal{}, nil
}

// wouldCount says what the limits would say of the SUB, and where they stand.
func (g *Gateway) wouldCount(ctx context.Context, subject string, user status.UserID, grant *session.Grant, s *socket) (limit.Verdict, []limit.Usage) {
	op, now := g.subOp(ctx, subject), time.Now()
	meterRules, changeRule := g.rules(grant)
	var v, c limit.Verdict
	var usage limit.MeterUsage
	var changes limit.Usage
	counting := false
	if s != nil {
		s.mu.Lock()
		if counting = s.meter != nil; counting {
			v, usage = s.meter.Check(op), s.meter.Usage(now)
			c, changes = s.changes.Check(now, subject), s.changes.Usage(now)
		}
		s.mu.Unlock()
	}
	if !counting {
		meter := limit.NewMeter(meterRules)
		v, usage = meter.Check(op), meter.Usage(now)
		c, changes = g.changes.Check(now, string(user), subject, changeRule)
	}
	if !v.Refused() && countsAsChange(subject) {
		v = c
	}
	return v, []limit.Usage{usage.Subscriptions, usage.Categories, changes, g.grantChanges.Usage(now, user)}
}

// decideAsk returns a refusal when too many requests wait for an answer.
func (s *socket) decideAsk() refusal.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests < s.gateway.opts.MaxRequests {
		return refusal.Refusal{}
	}
	return refusal.Refusal{Why: "requests", Limit: "requests", Reason: refusal.ReasonTooManyRequests(s.gateway.opts.MaxRequests)}
}
