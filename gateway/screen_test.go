package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// screen refuses tokens by how they begin; it notes what it was asked.
type screen struct {
	mu    sync.Mutex
	asked []string
}

const (
	forged  = "token has a wrong signature: it was not signed with this server's secret"
	expired = "token expired: get a fresh one"
)

func (s *screen) Screen(_ context.Context, token string) (session.Proof, *session.Denial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, token)
	switch {
	case strings.HasPrefix(token, "forged"):
		return nil, &session.Denial{Reason: forged, Final: true, BadToken: true}
	case strings.HasPrefix(token, "expired"):
		return nil, &session.Denial{Reason: expired, Final: true}
	case strings.HasPrefix(token, "unknown"):
		return nil, &session.Denial{Reason: "the token cannot be checked at the moment: try again"}
	}
	user, _, _ := strings.Cut(token, "/")
	return proofOf(user), nil
}

type proofOf status.UserID

func (p proofOf) User() status.UserID { return status.UserID(p) }

func newScreened(t *testing.T, opts gateway.Options) (*rig, *screen) {
	t.Helper()
	s := &screen{}
	return newRig(t, opts, func(d *gateway.Deps) { d.Screen = s }), s
}

// A junk token cost a link to the NATS server, and a login decision.
func TestATokenThatDoesNotVerifyOpensNoLink(t *testing.T) {
	r, asked := newScreened(t, gateway.Options{})
	for _, tt := range []struct {
		token, err string
		code       ws.StatusCode
	}{
		{"forged", "-ERR 'Authorization Violation: " + strings.ReplaceAll(forged, "'", "`") + "'", 1008},
		{"expired", "-ERR 'Authorization Violation: " + expired + "'", 1008},
		{"unknown", "", 1013},
	} {
		b := r.dial()
		b.send(`CONNECT {"auth_token":"` + tt.token + `"}`)
		if errs := b.expectClosed(tt.code); strings.Join(errs, "") != tt.err {
			t.Errorf("%s: got %q, want %q", tt.token, errs, tt.err)
		}
	}
	if got := r.get("c1/history", bearer("forged")).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("over HTTP: %d", got)
	}
	r.nothingHeld()
	if st := r.gateway.Stats(); st.Verdicts != 0 || st.Credentials != 0 || r.callout.count() != 0 {
		t.Errorf("%+v and %d callouts for tokens that nobody signed", st, r.callout.count())
	}
	r.login("alice")
	if st := r.gateway.Stats(); st.Verdicts != 1 || len(asked.asked) != 5 {
		t.Errorf("%+v for a good one, looked at %q", st, asked.asked)
	}
	var denied []string
	for _, rec := range r.records() {
		if rec.Kind == audit.KindDenied {
			denied = append(denied, fmt.Sprintf("%d %s", rec.Code, rec.Reason))
		}
	}
	want := []string{"1008 Authorization Violation: " + forged, "1008 Authorization Violation: " + expired, "401 " + forged}
	if len(denied) != len(want) {
		t.Fatalf("the audit has %q", denied)
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(denied, "\n"), w) {
			t.Errorf("the audit has %q, want %q", denied, w)
		}
	}
}

// A good token with a deleted conversation cost as much as a login.
func TestALoginThatNamesAStrangersConversationOpensNoLink(t *testing.T) {
	r, _ := newScreened(t, gateway.Options{})
	r.members.set("c1", "alice", true)
	b := r.dial()
	b.send(`CONNECT {"auth_token":"alice","user":"c2"}`)
	want := `-ERR 'Authorization Violation: conversation "c2" is not found or not yours'`
	if errs := b.expectClosed(1008); len(errs) != 1 || errs[0] != want {
		t.Errorf("got %q", errs)
	}
	r.members.mu.Lock()
	r.members.err = errors.New("it does not answer")
	r.members.mu.Unlock()
	b = r.dial()
	b.send(`CONNECT {"auth_token":"alice","user":"c1"}`)
	if errs := b.expectClosed(1013); len(errs) != 0 {
		t.Errorf("got %q: it would give up for good", errs)
	}
	if st := r.gateway.Stats(); st.Verdicts != 0 || r.callout.count() != 0 {
		t.Errorf("%+v and %d callouts", st, r.callout.count())
	}
	r.members.mu.Lock()
	r.members.err = nil
	r.members.mu.Unlock()
	b = r.dial()
	b.connect(map[string]any{"auth_token": "alice", "user": "c1"})
	if st := r.gateway.Stats(); st.Verdicts != 1 {
		t.Errorf("%+v", st)
	}
	for _, rec := range r.records() {
		if rec.Kind == audit.KindDenied && rec.User == "alice" && rec.Code == 1008 {
			return
		}
	}
	t.Error("the denial is not in the audit with its user")
}

// Twenty bad tokens locked out the good ones of the address, and so did good ones
// that had ended, or whose user named a deleted conversation.
func TestOnlyBadTokensCountAndGoodOnesPassAllTheSame(t *testing.T) {
	r, _ := newScreened(t, gateway.Options{Limits: limit.Options{FailedLogins: limit.Rule{Value: 3}}})
	heard := hear(r.gateway)
	r.members.set("c1", "alice", true)
	refuse := func(connect string, code ws.StatusCode) (why string) {
		t.Helper()
		b := r.dial()
		b.send("CONNECT " + connect)
		errs := b.expectClosed(code)
		return strings.Join(errs, "") + b.why
	}
	for range 10 {
		refuse(`{"auth_token":"expired"}`, 1008)
		refuse(`{"auth_token":"unknown"}`, 1013)
		refuse(`{"auth_token":"alice","user":"deleted"}`, 1008)
		refuse(`{}`, 1008)
		refuse(`{"auth_token":"alice","user":"no.conversation"}`, 1008)
	}
	if got := heard.String(); got != "" {
		t.Fatalf("heard %s", got)
	}
	inside := r.login("alice/inside")
	inside.sub("_INBOX.>", "1")
	for range 3 {
		refuse(`{"auth_token":"forged"}`, 1008)
	}
	// Now it is over its limit.
	const text = "3 failed logins from this address within a minute, which is the limit: try again in "
	for range 3 {
		if why := refuse(`{"auth_token":"forged"}`, 1013); !strings.HasPrefix(why, text) {
			t.Fatalf("another bad one: %q", why)
		}
	}
	if resp := r.get("c1/history", bearer("forged")); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("over HTTP: %s %v", resp.Status, resp.Header)
	}
	fresh := func(token, want string) {
		t.Helper()
		inside.send(fmt.Sprintf("PUB gateway.token _INBOX.1 %d", len(token)), token)
		if got := inside.expectMsg("_INBOX.1 1 "); !strings.Contains(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	fresh("forged", `"code":429,"description":"3 failed logins`)
	fresh("expired", `"code":401`)
	fresh("alice/fresh", `"expires"`)
	if why := refuse(`{"auth_token":"expired"}`, 1008); !strings.Contains(why, expired) {
		t.Errorf("one that has ended: %q", why)
	}
	r.login("bob")
	r.login("alice").sub("status.c1.engine", "1")
	if resp := r.get("c1/history", bearer("mallory")); resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusForbidden {
		t.Errorf("a good token over HTTP: %s", resp.Status)
	}
	if got := heard.String(); strings.Count(got, "failed_logins 127.0.0.1 ") != 5 {
		t.Errorf("heard %s", got)
	}
}

func TestAFreshTokenThatIsRefusedIsAFailedLogin(t *testing.T) {
	r, _ := newScreened(t, gateway.Options{Limits: limit.Options{FailedLogins: limit.Rule{Value: 2}}})
	b := r.login("alice")
	b.sub("_INBOX.>", "1")
	for i, want := range []string{`"code":401`, `"code":401`, `"code":429,"description":"2 failed logins from this address within a minute`} {
		token := fmt.Sprintf("forged/%d", i)
		b.send(fmt.Sprintf("PUB gateway.token _INBOX.1 %d", len(token)), token)
		if got := b.expectMsg("_INBOX.1 1 "); !strings.Contains(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	b.send("PING") // and the socket goes on
	b.expect("PONG")
}

// The audit has the close code of a WebSocket and the status of a request.
func TestABadTokenThatHasToWaitIsTold(t *testing.T) {
	r, _ := newScreened(t, gateway.Options{Limits: limit.Options{FailedLogins: limit.Rule{Value: 1}}})
	for _, code := range []ws.StatusCode{1008, 1013} {
		b := r.dial()
		b.send(`CONNECT {"auth_token":"forged"}`)
		b.expectClosed(code)
	}
	r.get("c1/history", bearer("forged"))
	codes := map[int]bool{}
	for _, rec := range r.records() {
		if rec.Kind == audit.KindLimited && rec.Limit == string(limit.FailedLogins) {
			codes[rec.Code] = true
		}
	}
	if !codes[1013] || !codes[429] || len(codes) != 2 {
		t.Errorf("codes %v", codes)
	}
}
