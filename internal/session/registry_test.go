package session_test

import (
	"testing"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestAVerdictReachesTheLinkThatAskedForIt(t *testing.T) {
	r := session.NewRegistry()
	key, other := session.Key{ServerID: "S", ClientID: 1}, session.Key{ServerID: "T", ClientID: 1}
	ask := session.Ask{Join: "c1", Want: []status.ConversationID{"c2"}}
	l, err := r.Open(key, ask)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := r.Ask(key); !ok || got.Join != "c1" || len(got.Want) != 1 {
		t.Fatalf("got %+v, %v", got, ok)
	}
	if _, ok := r.Ask(other); ok {
		t.Fatal("another server's client has the same link")
	}
	if _, denial := l.Verdict(); denial != session.ErrNoVerdict {
		t.Fatalf("before any verdict: %v", denial)
	}
	if !r.Grant(key, "jwt") {
		t.Fatal("the link is not there")
	}
	if got, denial := l.Verdict(); got != "jwt" || denial != nil {
		t.Fatalf("got %q, %v", got, denial)
	}
	if !r.Deny(key, &session.Denial{Reason: "no", Final: true}) {
		t.Fatal("the link is not there")
	}
	if got, denial := l.Verdict(); got != "" || denial == nil || denial.Error() != "no" {
		t.Fatalf("got %q, %v", got, denial)
	}
}

func TestAClosedLinkTakesNoVerdict(t *testing.T) {
	r := session.NewRegistry()
	key := session.Key{ServerID: "S", ClientID: 1}
	l, err := r.Open(key, session.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(key, session.Ask{}); err == nil {
		t.Fatal("the same link was opened twice")
	}
	l.Close()
	l.Close()
	if r.Grant(key, "jwt") || r.Deny(key, &session.Denial{}) {
		t.Fatal("a verdict for a closed link was taken")
	}
	again, err := r.Open(key, session.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // the old one: must not take the new one away
	if _, ok := r.Ask(key); !ok {
		t.Fatal("the new link is gone")
	}
	again.Close()
}

// A service whose verdict comes late has its say all the same.
func TestAVerdictSettlesItsLinkOnce(t *testing.T) {
	registry := session.NewRegistry()
	key := session.Key{ServerID: "N", ClientID: 1}
	link, err := registry.Open(key, session.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	select {
	case <-link.Settled():
		t.Error("it is settled without a verdict")
	default:
	}
	registry.Deny(key, &session.Denial{Reason: "no"})
	registry.Grant(key, "yes")
	<-link.Settled()
	if userJWT, _ := link.Verdict(); userJWT != "yes" {
		t.Errorf("got %q", userJWT)
	}
}

func TestAnAskInWords(t *testing.T) {
	for want, ask := range map[string]session.Ask{
		"":         {},
		"c1":       {Join: "c1", Want: []status.ConversationID{"c1"}},
		"c2,c1,c3": {Join: "c2", Want: []status.ConversationID{"c1", "c2", "c3"}},
		"c1,c3":    {Want: []status.ConversationID{"c1", "c3"}},
	} {
		if got := ask.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
