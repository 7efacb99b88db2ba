package authcallout

import (
	"context"
	"errors"
	"fmt"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Cause is the kind of a denial, for counting and audit. Its values are stable.
type Cause string

// The causes.
const (
	CauseToken        Cause = "token"            // the token is missing, expired, forged
	CauseConversation Cause = "conversation"     // the conversation to join is not theirs
	CauseNoLink       Cause = "no_link"          // not a browser that came through the gateway
	CauseKey          Cause = "key"              // the nkey is not known, or it did not sign
	CauseIdentity     Cause = "identity_failed"  // the token could not be checked
	CauseDirectory    Cause = "directory_failed" // the directory did not answer
	CauseTimeout      Cause = "timeout"          // one of both took too long
	CauseQueueFull    Cause = "queue_full"       // too many at once
	CauseGivenUp      Cause = "given_up"         // the gateway did not wait for the verdict
	CauseInternal     Cause = "internal"         // our own fault
	CauseRefused      Cause = "refused"          // by a service of somebody else's
)

// denialOf maps each error of a request to what the browser is told. Only texts
// of this function and of identity.TokenError leave the service; the error itself
// goes to the log.
func denialOf(err error) (session.Denial, Cause) {
	var token *identity.TokenError
	var notTheirs *notTheirsError
	switch {
	case errors.As(err, &token):
		// Hides nothing: the reason is a fixed text, and whoever holds the
		// token can read it themselves. Final: the same token stays wrong.
		return session.Denial{Reason: token.Reason, Final: true, BadToken: !token.Signed}, CauseToken

	case errors.As(err, &notTheirs):
		// Hides whether the conversation exists. Final, also for one that is
		// about to be created: the browser can ask for it by SUB.
		return session.Denial{Reason: status.NotTheirs(string(notTheirs.id)), Final: true}, CauseConversation

	case errors.Is(err, errNoLink):
		// Hides whether the token is good: it was not looked at.
		return session.Denial{Reason: "this token is for browsers: connect through the WebSocket endpoint", Final: true}, CauseNoLink

	case errors.Is(err, errUnknownKey), errors.Is(err, errBadSignature), errors.Is(err, errKeyElsewhere):
		// Only for the audit: the server tells a NATS client nothing. Does not tell
		// which of them it was.
		return session.Denial{Reason: "this key is not known, has ended, or did not sign the server's nonce", Final: true}, CauseKey

	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// Hides which of the services behind is slow, or that we are stopping.
		return session.Denial{Reason: "the authorization took too long: try again"}, CauseTimeout

	case errors.Is(err, errVerifier):
		// Hides the verifier's address and its error.
		return session.Denial{Reason: "the token cannot be checked at the moment: try again"}, CauseIdentity

	case errors.Is(err, errDirectory):
		// Hides the directory's address and its error.
		return session.Denial{Reason: "access cannot be checked at the moment: try again"}, CauseDirectory

	case errors.Is(err, errQueueFull):
		// Hides how many there are.
		return session.Denial{Reason: "too many connect at the moment: try again"}, CauseQueueFull

	case errors.Is(err, errGivenUp):
		// Nobody is left to read it.
		return session.Denial{Reason: "the connection was given up"}, CauseGivenUp
	}
	// Hides everything else: a panic, a key that does not sign, a request that
	// makes no sense. Not final, so that a client outlives our faults.
	return session.Denial{Reason: "the authorization failed: try again"}, CauseInternal
}

// notTheirsError names the conversation that had to be granted and was not.
type notTheirsError struct{ id status.ConversationID }

func (e *notTheirsError) Error() string { return fmt.Sprintf("%v: %q", errNotTheirs, string(e.id)) }
func (e *notTheirsError) Unwrap() error { return errNotTheirs }
