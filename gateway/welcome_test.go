package gateway_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/statuswire/statuswire/gateway"
)

const wholeWelcome = `{"conversation":"c1","categories":["engine","tool"],"presence":[{"user":"alice"}],"added_later":"<&>","snapshot":{"up_to_seq":5,"statuses":[` +
	`{"seq":2,"subject":"status.c1.engine","status":{"text":"<b>"}},{"seq":4,"subject":"status.c1.tool","status":{"text":"secret"}}],"truncated":true,"left_out":[{"category":"info","seq":1},{"category":"tool","seq":1}]}}`

// answers serves edge.<c>.join.<user>.
func (r *rig) answers(answer *nats.Msg) {
	r.t.Helper()
	_, err := r.edge.Subscribe("edge.*.join.*", func(m *nats.Msg) { _ = m.RespondMsg(answer) })
	must(r.t, err)
	must(r.t, r.edge.Flush())
}

// A login decision of somebody's own may grant single categories: a join tells the
// last status of no others.
func TestAWelcomeHasOnlyWhatIsGranted(t *testing.T) {
	for _, c := range []struct {
		name  string
		allow []string // nil: the whole conversation
		deny  []string
		has   []string // subjects; nil: the answer as it came
	}{
		{name: "all of it"},
		{name: "a category", allow: []string{"status.c1.engine"}, has: []string{"status.c1.engine"}},
		{name: "two categories", allow: []string{"status.c1.engine", "status.c1.tool"}, has: []string{"status.c1.engine", "status.c1.tool"}},
		{name: "another category", allow: []string{"status.c1.info"}, has: []string{}},
		{name: "a category in a queue group alone", allow: []string{"status.c1.engine", "status.c1.tool workers"}, has: []string{"status.c1.engine"}},
		{name: "all but a category", deny: []string{"status.*.tool"}, has: []string{"status.c1.engine"}},
		{name: "nothing but to ask", allow: []string{}, has: []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, gateway.Options{})
			r.members.set("c1", "alice", true)
			r.callout.set(func(co *callout) {
				co.grant = func(_ string, claims *jwt.UserClaims) {
					if c.allow != nil && claims.Sub.Allow.Contains("status.c1.*") {
						claims.Sub.Allow.Remove("status.c1.*")
						claims.Sub.Allow.Add(c.allow...)
					}
					claims.Sub.Deny.Add(c.deny...)
				}
			})
			r.answers(&nats.Msg{Data: []byte(wholeWelcome)})
			b := r.login("alice")
			b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "")
			_, body, _ := strings.Cut(b.expectMsg("_INBOX.a 1 "), "\t")
			if c.has == nil {
				if body != wholeWelcome {
					t.Fatalf("got %s", body)
				}
				return
			}
			var got struct {
				AddedLater string `json:"added_later"`
				Snapshot   struct {
					UpTo      int `json:"up_to_seq"`
					Truncated bool
					LeftOut   []struct{ Category string } `json:"left_out"`
					Statuses  []struct {
						Subject string
						Status  json.RawMessage
					}
				}
			}
			must(t, json.Unmarshal([]byte(body), &got))
			has := []string{}
			for _, st := range got.Snapshot.Statuses {
				has = append(has, st.Subject)
			}
			if !slices.Equal(has, c.has) {
				t.Errorf("it has %q, want %q", has, c.has)
			}
			for _, l := range got.Snapshot.LeftOut {
				if may := c.deny != nil && l.Category == "info" || slices.Contains(c.allow, "status.c1."+l.Category); !may {
					t.Errorf("it says that %s was left out", l.Category)
				}
			}
			if !strings.Contains(body, `"statuses":[`) || len(has) > 0 && string(got.Snapshot.Statuses[0].Status) != `{"text":"<b>"}` {
				t.Errorf("got %s", body)
			}
			if got.Snapshot.UpTo != 5 || !got.Snapshot.Truncated || got.AddedLater != "<&>" {
				t.Errorf("got %s", body)
			}
		})
	}
}

func TestAWelcomeThatCannotBeReadIsNotPassedOn(t *testing.T) {
	for _, body := range []string{"", "alice secret", `{"snapshot":{"statuses":"secret"}}`, `{"secret":1}`, `{"snapshot":{"statuses":["secret"]}}`,
		`{"snapshot":{"statuses":[],"left_out":"secret"}}`, `{"snapshot":{"statuses":[],"left_out":["secret"]}}`} {
		t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
			r := newRig(t, gateway.Options{})
			r.members.set("c1", "alice", true)
			r.callout.set(func(c *callout) {
				c.grant = func(_ string, claims *jwt.UserClaims) { claims.Sub.Deny.Add("status.*.tool") }
			})
			r.answers(&nats.Msg{Data: []byte(body)})
			b := r.login("alice")
			b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "")
			got := b.expectMsg("_INBOX.a 1 ")
			if strings.Contains(got, "secret") || !strings.Contains(got, micro.ErrorCodeHeader+": 503") || !strings.HasSuffix(got, `"err_code":20030,"description":"the service is not available just now: try again"}}`) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestARefusedJoinIsToldWhateverIsGranted(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	r.callout.set(func(c *callout) {
		c.grant = func(_ string, claims *jwt.UserClaims) { claims.Sub.Deny.Add("status.*.tool") }
	})
	b := r.login("alice")
	b.send("SUB _INBOX.a 1", "PUB edge.c1.join _INBOX.a 0", "")
	if got := b.expectMsg("_INBOX.a 1 "); !strings.Contains(got, "\tNATS/1.0 503\r\n") { // nobody answers
		t.Errorf("got %q", got)
	}
	r.answers(&nats.Msg{Header: nats.Header{micro.ErrorHeader: {"busy"}}, Data: []byte(`{"error":{"code":429,"err_code":20031,"description":"busy"}}`)})
	b.send("PUB edge.c1.join _INBOX.a 0", "")
	if got := b.expectMsg("_INBOX.a 1 "); !strings.HasSuffix(got, `{"error":{"code":429,"err_code":20031,"description":"busy"}}`) {
		t.Errorf("got %q", got)
	}
}
