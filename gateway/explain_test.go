package gateway_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// evidence is what app hands over, from the rig's members and its callout's rules.
func (r *rig) evidence() gateway.Evidence {
	return gateway.Evidence{
		Conversation: func(ctx context.Context, id status.ConversationID) (directory.Conversation, error) {
			if ok, _ := r.members.Admits(ctx, id, "alice"); ok {
				return directory.Conversation{ID: id, Owner: "alice"}, nil
			}
			return directory.Conversation{}, fmt.Errorf("%w: %q", directory.ErrNotFound, id)
		},
		Grant: func(ctx context.Context, user status.UserID, ask session.Ask) (*session.Grant, error) {
			claims := jwt.NewUserClaims("preview")
			claims.Name, claims.Subs = string(user), 64
			claims.Sub.Allow = jwt.StringList{"_INBOX.>"}
			claims.Pub.Allow = jwt.StringList{"gateway.token", "gateway.subscriptions"}
			for _, id := range ask.Want {
				if in, _ := r.members.Admits(ctx, id, user); in {
					claims.Sub.Allow.Add(status.ConversationSubjects(id), status.PresenceSubject(id))
					claims.Pub.Allow.Add(status.EdgeSubject(id, "join"))
				}
			}
			return session.GrantOf(claims)
		},
	}
}

func (r *rig) explain(user status.UserID, subject string) session.Explanation {
	r.t.Helper()
	x, err := r.gateway.Explain(r.t.Context(), session.Question{User: user, Subject: subject}, r.evidence())
	must(r.t, err)
	return x
}

var seconds = regexp.MustCompile(`\d+ s$`)

// TestAnExplainedLimitIsTheOneThatIsMet asks, then subscribes, until each limit
// is met: what is explained is what comes, and explaining counts nothing.
func TestAnExplainedLimitIsTheOneThatIsMet(t *testing.T) {
	for _, tt := range []struct {
		name     string
		limits   limit.Options
		allowed  int
		subjects func(i int) string
	}{
		{"categories", limit.Options{MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 3}}}, 3, func(i int) string { return fmt.Sprintf("status.c1.x%d", i) }},
		{"categories that only count", limit.Options{MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 3, DryRun: true}}}, 5, func(i int) string { return fmt.Sprintf("status.c1.x%d", i) }},
		{"a wildcard over more than is left", limit.Options{MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 8}}}, 1, func(i int) string { return fmt.Sprintf("status.c%d.*", i%2+1) }},
		{"changes", limit.Options{SubscriptionChanges: limit.Rule{Value: 4}}, 4, func(i int) string { return fmt.Sprintf("status.c1.x%d", i) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, gateway.Options{Limits: tt.limits})
			r.members.set("c1", "alice", true)
			r.members.set("c2", "alice", true)
			b := r.login("alice")
			for i := range 5 {
				subject := tt.subjects(i)
				x := r.explain("alice", subject)
				for range 3 {
					x = r.explain("alice", subject) // it counts nothing
				}
				b.send(fmt.Sprintf("SUB %s %d", subject, i), "PING")
				answer := ""
				if line := b.line(); line != "PONG" {
					answer = strings.TrimSuffix(strings.TrimPrefix(line, "-ERR '"), "'")
					b.expect("PONG")
				}
				if x.Allowed != (answer == "") || seconds.ReplaceAllString(x.Answer, "") != seconds.ReplaceAllString(answer, "") {
					t.Fatalf("%d: explained %v %q, the browser got %q", i, x.Allowed, x.Answer, answer)
				}
				if want := i < tt.allowed; i <= tt.allowed && x.Allowed != want {
					t.Fatalf("%d: allowed is %v: %q", i, x.Allowed, x.Answer)
				}
			}
		})
	}
}

func TestConnectionsThatDifferAreToldApart(t *testing.T) {
	r := newRig(t, gateway.Options{Limits: limit.Options{MeterRules: limit.MeterRules{Categories: limit.Rule{Value: 1}}}})
	r.members.set("c1", "alice", true)
	full, empty := r.login("alice"), r.login("alice")
	full.sub("status.c1.engine", "1")
	x := r.explain("alice", "status.c1.tool")
	if x.Allowed || len(x.Sessions) != 2 || x.Sessions[0].Allowed || !x.Sessions[1].Allowed || x.Answer != x.Sessions[0].Answer {
		t.Fatalf("explained %+v", x)
	}
	last := x.Steps[len(x.Steps)-1]
	if last.Name != "verdict" || !strings.Contains(last.Found, fmt.Sprintf("refused on connection %d, allowed on the others", x.Sessions[0].ID)) {
		t.Errorf("the verdict is %+v", last)
	}
	full.send("SUB status.c1.tool 2", "PING")
	if got := full.expect("-ERR"); got != "-ERR '"+x.Answer+"'" {
		t.Errorf("the full one got %s", got)
	}
	empty.sub("status.c1.tool", "1")
}

func TestEveryStepSaysWhatWasRead(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.login("alice")
	x := r.explain("alice", "status.c1.engine")
	var names []string
	for _, step := range x.Steps {
		names = append(names, step.Name)
		if step.Found == "" || step.From == "" {
			t.Errorf("step %+v says nothing", step)
		}
	}
	if got := strings.Join(names, " "); got != "user membership grant limits verdict" {
		t.Errorf("the steps are %s", got)
	}
	verdicts := r.gateway.Stats().Verdicts
	r.explain("alice", "status.c1.engine")
	if now := r.gateway.Stats().Verdicts; now != verdicts {
		t.Errorf("explaining asked for %d verdicts", now-verdicts)
	}
}

func TestWhatCannotBeReadIsNotExplained(t *testing.T) {
	r := newRig(t, gateway.Options{})
	ev := r.evidence()
	ev.Grant = func(context.Context, status.UserID, session.Ask) (*session.Grant, error) {
		return nil, &session.Denial{Reason: "the directory is away"}
	}
	if _, err := r.gateway.Explain(t.Context(), session.Question{User: "alice", Subject: "status.c1.engine"}, ev); err == nil {
		t.Error("explained")
	}
}
