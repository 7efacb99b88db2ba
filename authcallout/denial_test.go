package authcallout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/identity"
)

func TestDenialOf(t *testing.T) {
	const secret = "10.0.0.7"
	hidden := errors.New("dial " + secret)
	for _, c := range []struct {
		name  string
		err   error
		want  string
		cause authcallout.Cause
		final bool
	}{
		{"the token's fault", fmt.Errorf("%w: %w", authcallout.ErrVerifier, identity.ErrExpired), "token expired: get a fresh one", authcallout.CauseToken, true},
		{"not theirs", authcallout.ErrNotTheirs("c1"), `conversation "c1" is not found or not yours`, authcallout.CauseConversation, true},
		{"no link", authcallout.ErrNoLink, "this token is for browsers: connect through the WebSocket endpoint", authcallout.CauseNoLink, true},
		{"a verifier that is down", fmt.Errorf("%w: %w", authcallout.ErrVerifier, hidden), "the token cannot be checked at the moment: try again", authcallout.CauseIdentity, false},
		{"a directory that is down", fmt.Errorf("%w: %w: %w", authcallout.ErrDirectory, hidden, directory.ErrUnavailable), "access cannot be checked at the moment: try again", authcallout.CauseDirectory, false},
		{"a directory that is slow", fmt.Errorf("%w: %w: %w", authcallout.ErrDirectory, hidden, context.DeadlineExceeded), "the authorization took too long: try again", authcallout.CauseTimeout, false},
		{"a verifier that is slow", fmt.Errorf("%w: %w", authcallout.ErrVerifier, context.DeadlineExceeded), "the authorization took too long: try again", authcallout.CauseTimeout, false},
		{"stopping", context.Canceled, "the authorization took too long: try again", authcallout.CauseTimeout, false},
		{"a full queue", authcallout.ErrQueueFull, "too many connect at the moment: try again", authcallout.CauseQueueFull, false},
		{"a link given up", authcallout.ErrGivenUp, "the connection was given up", authcallout.CauseGivenUp, false},
		{"anything else", hidden, "the authorization failed: try again", authcallout.CauseInternal, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, cause := authcallout.DenialOf(c.err)
			if d.Reason != c.want || d.Final != c.final || cause != c.cause {
				t.Errorf("denial %q, final %v, cause %s; want %q, %v, %s", d.Reason, d.Final, cause, c.want, c.final, c.cause)
			}
			if strings.Contains(d.Reason, secret) {
				t.Errorf("%q shows what is inside", d.Reason)
			}
			// nats.js takes a text with these for the refusal of a subscription.
			if strings.Contains(d.Reason, `Subscription to "`) || strings.Contains(d.Reason, `using queue "`) {
				t.Errorf("%q would be read as a refused subscription", d.Reason)
			}
		})
	}
}

func TestEveryFaultOfATokenIsFinalAndSaysItsReason(t *testing.T) {
	for _, fault := range []*identity.TokenError{
		identity.ErrEmpty, identity.ErrTooLong, identity.ErrMalformed, identity.ErrWrongAlgorithm,
		identity.ErrWrongSignature, identity.ErrExpired, identity.ErrNotYetValid, identity.ErrMissingExpiry,
		identity.ErrMissingUser, identity.ErrBadUser, identity.ErrWrongIssuer, identity.ErrWrongAudience,
		identity.ErrBadHeader, identity.ErrCritical, identity.ErrBadClaims, identity.ErrTwice, identity.ErrBadExpiry,
		identity.ErrBadNotBefore, identity.ErrBadIssuedAt, identity.ErrBadIssuer, identity.ErrBadAudience,
		identity.ErrBadID, identity.ErrWrongType, identity.ErrUserNoString,
	} {
		d, cause := authcallout.DenialOf(fmt.Errorf("wrapped: %w", fault))
		if d.Reason != fault.Reason || !d.Final || cause != authcallout.CauseToken {
			t.Errorf("%v: denial %+v, cause %s", fault, d, cause)
		}
	}
}

func TestALongConversationNameIsCutInTheReason(t *testing.T) {
	d, _ := authcallout.DenialOf(authcallout.ErrNotTheirs(strings.Repeat("x\n", 2000)))
	if len(d.Reason) > 250 || strings.Contains(d.Reason, "\n") {
		t.Errorf("reason of %d bytes: %q", len(d.Reason), d.Reason)
	}
}

func TestExpiryNeverOutlivesTheToken(t *testing.T) {
	now := time.Unix(1000, 600e6)
	for _, c := range []struct {
		name  string
		token time.Time
		want  time.Time
		err   error
	}{
		{"a token without an end", time.Time{}, time.Unix(1060, 0), nil},
		{"a later token", time.Unix(5000, 0), time.Unix(1060, 0), nil},
		{"an earlier token, cut to the second", time.Unix(1030, 900e6), time.Unix(1030, 0), nil},
		{"a token that ends within this second", time.Unix(1000, 900e6), time.Time{}, identity.ErrExpired},
		{"a token that has ended", time.Unix(999, 0), time.Time{}, identity.ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := authcallout.Expiry(now, c.token, time.Minute)
			if !got.Equal(c.want) || !errors.Is(err, c.err) {
				t.Errorf("Expiry = %v, %v; want %v, %v", got, err, c.want, c.err)
			}
		})
	}
}
