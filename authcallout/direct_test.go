package authcallout_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// What the gateway is granted in the process is what a link would be.
func TestDecideGrantsWhatALinkIsGranted(t *testing.T) {
	r := start(t, setup{opts: authcallout.Options{GrantLifetime: time.Minute, MaxSubscriptions: 7, MaxCategories: 3, MaxConversations: 2}})
	for _, c := range []struct {
		name  string
		token string
		ask   session.Ask
	}{
		{"nothing asked", token(t, "alice", time.Hour), session.Ask{}},
		{"joined and wanted", token(t, "alice", time.Hour), session.Ask{Join: "c2", Want: ids("c1")}},
		{"what is not theirs is left out", token(t, "bob", time.Hour), session.Ask{Want: ids("c1", "c2", "nope", "*", "c3")}},
		{"more than a grant holds", token(t, "alice", time.Hour), session.Ask{Want: ids("many1", "many2", "many3")}},
		{"a token that ends first", token(t, "alice", 20*time.Second), session.Ask{}},
		{"a stranger's", token(t, "alice", time.Hour), session.Ask{Join: "c3"}},
		{"no conversation at all", token(t, "alice", time.Hour), session.Ask{Join: "c3.>"}},
		{"no token", "", session.Ask{}},
		{"no JWT", "letmein", session.Ask{}},
		{"a directory that is down", token(t, "alice", time.Hour), session.Ask{Join: "broken"}},
		{"one that panics", token(t, "alice", time.Hour), session.Ask{Join: "panic"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			login := session.Login{Token: c.token, Remote: browser}
			for _, screened := range []bool{false, true} {
				if screened {
					login.Proof, _ = r.service.Screen(t.Context(), c.token)
				}
				got, err := r.service.Decide(t.Context(), login, c.ask)
				l := r.connect(t, c.ask, map[string]string{"auth_token": c.token})
				if l.denial != nil {
					var denial *session.Denial
					if !errors.As(err, &denial) || *denial != *l.denial {
						t.Errorf("screened %v: %v, by a link %+v", screened, err, l.denial)
					}
					continue
				}
				want, err2 := r.read(l.jwt)
				if err != nil || err2 != nil {
					t.Fatalf("screened %v: %v, by a link %v", screened, err, err2)
				}
				if d := got.Expires.Sub(want.Expires).Abs(); d > soon {
					t.Errorf("it ends %v apart", d)
				}
				got.Expires = want.Expires
				got, want = bare(got), bare(want)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("screened %v: %+v, by a link %+v", screened, got, want)
				}
			}
		})
	}
}

// bare is what can be compared of a grant: what it lets its holder do is the
// conversations' and the limits'.
func bare(g *session.Grant) *session.Grant {
	return &session.Grant{
		User: g.User, Expires: g.Expires, Conversations: g.Conversations,
		MaxSubscriptions: g.MaxSubscriptions, MaxPayloadBytes: g.MaxPayloadBytes, MaxCategories: g.MaxCategories, MaxChanges: g.MaxChanges,
	}
}

func TestAVerdictInTheProcessIsToldAsAnyOther(t *testing.T) {
	var heard verdicts
	r := start(t, setup{opts: authcallout.Options{OnVerdict: heard.add}})
	login := session.Login{Token: token(t, "alice", time.Hour), Remote: browser}
	for join, denied := range map[status.ConversationID]bool{"c1": false, "c3": true} {
		before := len(heard.all())
		_, err := r.service.Decide(t.Context(), login, session.Ask{Join: join})
		if (err != nil) != denied {
			t.Errorf("%s: %v", join, err)
		}
		waitFor(t, "it to be told", func() bool { return len(heard.all()) > before })
		v := heard.all()[before]
		if v.User != "alice" || v.Address != "203.0.113.9" || (v.Denial != nil) != denied || (v.Cause == authcallout.CauseConversation) != denied ||
			denied == (len(v.Conversations) == 1) || denied != v.Expires.IsZero() {
			t.Errorf("%s: told %+v", join, v)
		}
	}
}

func TestWhoGivesUpIsNotDecidedFor(t *testing.T) {
	g := newGate()
	r := start(t, setup{directory: g, opts: authcallout.Options{Workers: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error, 1)
	go func() { // ends with cancel
		_, err := r.service.Decide(ctx, session.Login{Token: token(t, "alice", time.Hour)}, session.Ask{Join: "c1"})
		outcome <- err
	}()
	<-g.entered
	cancel()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waitFor(t, "it to be counted", func() bool { return r.service.Stats().Denied[authcallout.CauseGivenUp] == 1 })
	close(g.open) // and the worker is free
	if _, err := r.service.Decide(t.Context(), session.Login{Token: token(t, "alice", time.Hour)}, session.Ask{}); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

func TestAStoppedServiceDecidesNothingAndKeepsNobodyWaiting(t *testing.T) {
	r := start(t, setup{})
	stop(t, r.service.Stop)
	_, err := r.service.Decide(t.Context(), session.Login{Token: token(t, "alice", time.Hour)}, session.Ask{})
	var denial *session.Denial
	if err == nil || errors.As(err, &denial) {
		t.Errorf("got %v, want an error that is passing", err)
	}
}

func TestStopDecidesForWhoWaitsInTheProcess(t *testing.T) {
	g := newGate()
	r := start(t, setup{directory: g, opts: authcallout.Options{Workers: 1}})
	outcome := make(chan error, 1)
	go func() { // ends when the gate opens
		_, err := r.service.Decide(t.Context(), session.Login{Token: token(t, "alice", time.Hour)}, session.Ask{Join: "c1"})
		outcome <- err
	}()
	<-g.entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.service.Stop(context.Background()) }() // ends when the gate opens
	close(g.open)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-outcome; err != nil {
		t.Errorf("got %v", err)
	}
}
