package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// sessions stands for the gateway.
type sessions struct {
	list   []session.Info
	kicked []admin.KickRequest
	by     string
}

func (s *sessions) Sessions(f session.Filter) []session.Info {
	var out []session.Info
	for _, i := range s.list {
		if i.ID > f.After && (f.User == "" || f.User == i.User) && (f.Limit == 0 || len(out) < f.Limit) {
			out = append(out, i)
		}
	}
	return out
}

func (s *sessions) Kick(user status.UserID, reason, by string) int {
	s.kicked, s.by = append(s.kicked, admin.KickRequest{User: user, Reason: reason}), by
	return len(s.Sessions(session.Filter{User: user}))
}

func (s *sessions) ConversationUse(c status.ConversationID) session.Use {
	return session.Use{Connections: 2, Users: 1, Categories: map[status.Category]int{"engine": len(c)}}
}

type explainer struct{}

func (explainer) Explain(_ context.Context, q session.Question) (session.Explanation, error) {
	if q.User == "nobody-knows" {
		return session.Explanation{}, &session.Denial{Reason: "access cannot be checked at the moment: try again"}
	}
	return session.Explanation{Question: q, Allowed: true, Steps: []session.Step{{Name: "verdict", Found: "allowed", From: "a test"}}}, nil
}

// events takes what is recorded.
type events struct {
	mu  sync.Mutex
	all []audit.Event
}

func (e *events) Record(event audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

func (e *events) reasons() (list []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		list = append(list, string(event.Kind)+" by "+event.Actor+": "+string(event.Conversation)+" "+string(event.User)+" "+event.Reason)
	}
	return list
}

func TestSessionsAreListedInAsManyPagesAsTheyNeed(t *testing.T) {
	gw := &sessions{}
	const n = 2500
	for i := range n {
		user := status.UserID("alice")
		if i%2 == 1 {
			user = "bob"
		}
		gw.list = append(gw.list, session.Info{ID: uint64(i + 1), User: user, Address: "192.0.2.7", ConnectedAt: time.Unix(1700000000, 0).UTC(),
			Name: strings.Repeat("n", 400), Conversations: []status.ConversationID{"c1"}, Subscriptions: []session.Subscription{{Subject: "status.c1.*", Delivered: i}}})
	}
	h := start(t, admin.Options{Sessions: gw})
	for user, want := range map[status.UserID]int{"": n, "alice": n / 2, "carol": 0} {
		got, err := h.client.Sessions(t.Context(), user)
		must(t, err)
		if len(got) != want || !slices.IsSortedFunc(got, func(a, b session.Info) int { return int(a.ID) - int(b.ID) }) {
			t.Errorf("of %q there are %d sessions, want %d by id", user, len(got), want)
		}
	}
	got, err := h.client.Sessions(t.Context(), "bob")
	must(t, err)
	if first := got[0]; first.ID != 2 || first.Address != "192.0.2.7" || first.Subscriptions[0].Delivered != 1 || !first.ConnectedAt.Equal(gw.list[1].ConnectedAt) {
		t.Errorf("the first is %+v", first)
	}
	m, err := h.nc.Request("admin.session.list", []byte(`{"limit":1}`), 5*time.Second)
	must(t, err)
	var page map[string]any
	must(t, json.Unmarshal(m.Data, &page))
	if page["more"] != true || len(page["sessions"].([]any)) != 1 {
		t.Errorf("a page of one is %s", m.Data)
	}
}

func TestEachChangeAndEachKickIsAudited(t *testing.T) {
	gw, heard := &sessions{list: []session.Info{{ID: 1, User: "bob"}}}, &events{}
	h := start(t, admin.Options{Sessions: gw, Audit: heard})
	ctx := t.Context()
	_, err := h.client.Create(ctx, admin.CreateRequest{ID: "c1", Owner: "alice", Members: []status.UserID{"carol", "dave"}})
	must(t, err)
	_, err = h.client.Add(ctx, "c1", "bob")
	must(t, err)
	_, err = h.client.Remove(ctx, "c1", "bob")
	must(t, err)
	c, err := h.client.AddCategory(ctx, "c1", "deploy")
	must(t, err)
	if !slices.Equal(c.Categories, []status.Category{"deploy"}) {
		t.Errorf("with a category more it is %+v", c)
	}
	c, err = h.client.RetireCategory(ctx, "c1", "deploy")
	must(t, err)
	if len(c.Categories) != 0 {
		t.Errorf("with the category retired it is %+v", c)
	}
	if _, err := h.client.RetireCategory(ctx, "c1", "engine"); !errors.Is(err, admin.ErrInvalid) {
		t.Errorf("retiring a default category: %v", err)
	}
	n, err := h.client.Kick(ctx, "bob", "go home")
	must(t, err)
	if n != 1 || len(gw.kicked) != 1 || gw.kicked[0] != (admin.KickRequest{User: "bob", Reason: "go home"}) || gw.by != "operator" {
		t.Errorf("kicked %d: %+v by %q", n, gw.kicked, gw.by)
	}
	_, err = h.client.Import(ctx, strings.NewReader(`{"id":"c2","owner":"alice","subscribers":{"users":3}}`), nil)
	must(t, err)
	_, err = h.client.Import(ctx, strings.NewReader(`{"id":"c2","owner":"alice","members":["erin"]}`), nil)
	must(t, err)
	_, err = h.client.Delete(ctx, "c1")
	must(t, err)
	want := []string{
		"conversation_created by operator: c1 alice conversation created, members: carol dave",
		"member_added by operator: c1 bob member added",
		"member_removed by operator: c1 bob member removed",
		"category_added by operator: c1  category added: deploy",
		"category_retired by operator: c1  category retired: deploy",
		"sessions_ended by operator:  bob sessions ended: 1: go home",
		"conversation_created by operator: c2 alice conversation imported: created",
		"conversation_changed by operator: c2 alice conversation imported: changed, members: erin",
		"conversation_deleted by operator: c1  conversation deleted, and its statuses (0)",
	}
	if got := heard.reasons(); !slices.Equal(got, want) {
		t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestShowSaysWhoListens(t *testing.T) {
	h := start(t, admin.Options{Sessions: &sessions{}})
	_, err := h.client.Create(t.Context(), admin.CreateRequest{ID: "c1", Owner: "alice"})
	must(t, err)
	c, use, err := h.client.Subscribers(t.Context(), "c1")
	must(t, err)
	if c.Owner != "alice" || use == nil || use.Connections != 2 || use.Users != 1 || use.Categories["engine"] != 2 {
		t.Errorf("shown %+v with %+v", c, use)
	}
}

func TestWhyRefusesWhatNoBrowserCanAsk(t *testing.T) {
	h := start(t, admin.Options{Sessions: &sessions{}, Explainer: explainer{}})
	x, err := h.client.Why(t.Context(), session.Question{User: "alice", Subject: "status.c1.engine"})
	must(t, err)
	if !x.Allowed || x.User != "alice" || x.Subject != "status.c1.engine" || len(x.Steps) != 1 || x.Steps[0].Found != "allowed" {
		t.Errorf("explained %+v", x)
	}
	for _, tt := range []struct {
		name, subject, request string
		want                   *status.Error
		text                   string
	}{
		{"no user", "why", `{"subject":"status.c1.engine"}`, admin.ErrBadRequest, "bad user id"},
		{"no subject", "why", `{"user":"alice"}`, admin.ErrBadRequest, "subject is missing"},
		{"a subject with a space", "why", `{"user":"alice","subject":"status.c1.engine 7"}`, admin.ErrBadRequest, "white space"},
		{"a queue with a line break", "why", `{"user":"alice","subject":"a","queue":"a\r\nPUB"}`, admin.ErrBadRequest, "white space"},
		{"a subject that fits into no line", "why", `{"user":"alice","subject":"` + strings.Repeat("a", 5000) + `"}`, admin.ErrBadRequest, "5000 bytes"},
		{"an unknown action", "why", `{"user":"alice","subject":"a","action":"read"}`, admin.ErrBadRequest, "use subscribe or publish"},
		{"a token, which is never asked for", "why", `{"user":"alice","subject":"a","token":"x"}`, admin.ErrBadRequest, `unknown field "token"`},
		{"a directory that is away", "why", `{"user":"nobody-knows","subject":"a"}`, admin.ErrUnavailable, "cannot be checked"},
		{"a kick of nobody", "session.kick", `{}`, admin.ErrBadRequest, "bad user id"},
		{"a kick with a long reason", "session.kick", `{"user":"alice","reason":"` + strings.Repeat("a", 124) + `"}`, admin.ErrBadRequest, "at most 123"},
		{"a list beyond the greatest page", "session.list", `{"limit":1001}`, admin.ErrBadRequest, "use 1 to 1000"},
		{"a category that is none", "category.add", `{"id":"c1","category":"Deploy"}`, admin.ErrInvalid, "bad category"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := h.nc.Request("admin."+tt.subject, []byte(tt.request), 5*time.Second)
			must(t, err)
			var body struct {
				Error *status.Error `json:"error"`
			}
			if err := json.Unmarshal(m.Data, &body); err != nil || body.Error == nil {
				t.Fatalf("body is %q", m.Data)
			}
			if !errors.Is(body.Error, tt.want) || !strings.Contains(body.Error.Description, tt.text) {
				t.Errorf("got %+v, want %d and %q", body.Error, tt.want.ErrCode, tt.text)
			}
		})
	}
}

func TestWithoutAGatewayThereAreNoSessions(t *testing.T) {
	h := start(t, admin.Options{})
	if _, err := h.client.Sessions(t.Context(), ""); !errors.Is(err, admin.ErrNoService) {
		t.Errorf("sessions: %v", err)
	}
	if _, err := h.client.Why(t.Context(), session.Question{User: "alice", Subject: "a"}); !errors.Is(err, admin.ErrNoService) {
		t.Errorf("why: %v", err)
	}
}
