package mark_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStore(t testing.TB, opts mark.Options) *mark.Store {
	t.Helper()
	s, err := mark.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func key(user, name string) mark.Key {
	return mark.Key{User: status.UserID(user), Name: "the-name-of-browser-tab-" + name}
}

func open(t testing.TB, s *mark.Store, k mark.Key) *mark.Holder {
	t.Helper()
	h := s.Open(k)
	if h == nil {
		t.Fatalf("%v is not resumable", k)
	}
	return h
}

// set marks a subject with one subscription.
func set(h *mark.Holder, subject string, after uint64) { setN(h, subject, after, 1) }

func setN(h *mark.Holder, subject string, after uint64, subscriptions int) {
	h.Set(map[string]mark.Mark{subject: {Place: mark.Place{After: after}, Subscriptions: subscriptions}})
}

// wantTaken holds what the next subscriptions of the subject go on from; 0 stands
// for none.
func wantTaken(t testing.TB, h *mark.Holder, subject string, want ...uint64) {
	t.Helper()
	for i, after := range want {
		p, ok := h.Take(subject)
		if ok != (after != 0) || p.After != after {
			t.Fatalf("subscription %d of %s goes on from %d (%v), want %d", i+1, subject, p.After, ok, after)
		}
	}
}

func engineOf(c int) string { return fmt.Sprintf("status.c%d.engine", c) }
