package authcallout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
)

// What the gateway is told before a link is what it would be told by one.
func TestScreenDeniesAsALoginWould(t *testing.T) {
	r := start(t, setup{})
	forged, err := identity.Issue([]byte("another secret that is 32 bytes!"), "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	expired, err := identity.Issue(tokenSecret, "alice", time.Minute, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"no token": "", "expired": expired, "forged": forged, "no JWT": "letmein", "three dots": "...",
		"long": strings.Repeat("x", 3000), "good": token(t, "alice", time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			before := r.service.Stats().Denied[authcallout.CauseToken]
			proof, screened := r.service.Screen(t.Context(), token)
			if (proof != nil) != (name == "good") || proof != nil && proof.User() != "alice" {
				t.Errorf("it proves %+v", proof)
			}
			link := r.connect(t, session.Ask{}, map[string]string{"auth_token": token})
			if (screened == nil) != (link.denial == nil) || screened != nil && *screened != *link.denial {
				t.Fatalf("screened %+v, by a link %+v", screened, link.denial)
			}
			want := uint64(0)
			if screened != nil {
				want = 2
			}
			if got := r.service.Stats().Denied[authcallout.CauseToken] - before; got != want {
				t.Errorf("%d denials are counted, want %d", got, want)
			}
		})
	}
}

// verify is a verifier of the test's own.
type verify func(context.Context, string) (identity.Identity, error)

func (v verify) Verify(ctx context.Context, token string) (identity.Identity, error) {
	return v(ctx, token)
}

func TestScreenOutlivesItsVerifier(t *testing.T) {
	r := start(t, setup{
		verifier: verify(func(ctx context.Context, token string) (identity.Identity, error) {
			switch token {
			case "panic":
				panic("of the verifier")
			case "slow":
				<-ctx.Done()
				return identity.Identity{}, ctx.Err()
			}
			return identity.Identity{}, errors.New("keys.example.com does not answer")
		}),
		opts: authcallout.Options{Timeout: 50 * time.Millisecond},
	})
	for token, want := range map[string]string{
		"panic": "the authorization failed: try again",
		"slow":  "the authorization took too long: try again",
		"other": "the token cannot be checked at the moment: try again",
	} {
		if proof, d := r.service.Screen(t.Context(), token); d == nil || proof != nil || d.Final || d.BadToken || d.Reason != want {
			t.Errorf("%s: %+v, want %q", token, d, want)
		}
	}
}
