package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/directory"
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
	Grant browser.Sign
}

// Explain says what would become of a SUB or a PUB now, and from what that is
// decided, by the functions that decide it. It changes nothing. The error is the
// evidence's: what cannot be read cannot be explained.
func (g *Gateway) Explain(ctx context.Context, q session.Question, ev Evidence) (session.Explanation, error) {
	if q.Action == "" {
		q.Action = session.Subscribe
		if access.IsRequest(q.Subject) || strings.HasPrefix(q.Subject, "gateway.") {
			q.Action = session.Publish
		}
	}
	x := &explanation{gateway: g, ev: ev, browsers: g.browsers.LoggedIn(q.User)}
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
	gateway  *Gateway
	ev       Evidence
	browsers []*browser.Browser
	next     browser.Outcome // of a connection that is not there yet
}

func (x *explanation) add(name, from, format string, args ...any) {
	x.Steps = append(x.Steps, session.Step{Name: name, From: from, Found: fmt.Sprintf(format, args...)})
}

func (x *explanation) user(context.Context) error {
	if len(x.browsers) == 0 {
		x.add("user", "connections of this node", "%q is not connected: what follows is for the next connection", x.User)
		return nil
	}
	var each []string
	for _, b := range x.browsers {
		each = append(each, fmt.Sprintf("%d from %s", b.ID(), b.Remote().Addr().Unmap()))
	}
	x.add("user", "connections of this node", "%q has %d: %s", x.User, len(x.browsers), strings.Join(each, ", "))
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
	if len(x.browsers) == 0 {
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
	for _, b := range x.browsers {
		held := b.Grant()
		if held == nil {
			continue
		}
		o, err := x.decide(ctx, held, b)
		if err != nil {
			return err
		}
		from := "grant held since the login"
		if o.Joined {
			from = "grant held, and what the callout would sign now"
		}
		x.tellGrant(from, fmt.Sprintf("connection %d", b.ID()), o)
		x.Sessions = append(x.Sessions, session.Verdict{ID: b.ID(), Allowed: !o.Refused.Is(), Answer: x.answer(o)})
		x.next = o
		x.tellLimits(fmt.Sprintf("connection %d", b.ID()), o)
	}
	return nil
}

func (x *explanation) tellGrant(from, whose string, o browser.Outcome) {
	covers := "covers " + listConversations(o.Grant.Conversations)
	allows := "does not allow"
	if x.Action == session.Publish && o.Grant.CanPublish(x.Subject) || x.Action == session.Subscribe && o.Grant.CanSubscribe(x.Subject, x.Queue) {
		allows = "allows"
	}
	grown := ""
	if o.Joined {
		grown = " would grow by a join: then it"
	}
	until := ""
	if !o.Grant.Expires.IsZero() {
		until = " until " + o.Grant.Expires.UTC().Format(time.RFC3339)
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
	if len(x.browsers) == 0 {
		x.tellLimits("the next connection", x.next)
	}
	return nil
}

func (x *explanation) tellLimits(whose string, o browser.Outcome) {
	var each []string
	for _, u := range o.Usage {
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
	if o.Refused.Limit != "" {
		hit = fmt.Sprintf("%s is hit", o.Refused.Limit)
	}
	x.add("limits", "counters of this node, limits of the grant and the settings", "%s: %s: %s", whose, strings.Join(each, ", "), hit)
}

func (x *explanation) verdict() {
	x.Allowed, x.Answer = !x.next.Refused.Is(), x.answer(x.next)
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
func (x *explanation) answer(o browser.Outcome) string {
	switch {
	case !o.Refused.Is():
		return ""
	case x.Action == session.Publish:
		return refusal.PubText(x.Subject, o.Refused.Reason)
	}
	return refusal.SubText(x.Subject, x.Queue, o.Refused.Reason)
}

// decide is what the browser would be told, nil for the next connection.
func (x *explanation) decide(ctx context.Context, held *session.Grant, b *browser.Browser) (browser.Outcome, error) {
	return x.gateway.browsers.Would(ctx, x.Question, held, b, x.ev.Grant)
}
