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
