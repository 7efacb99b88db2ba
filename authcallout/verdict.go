package authcallout

import (
	"time"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Verdict is what was decided about one connection.
type Verdict struct {
	// Key is the link's, also when there is none.
	Key session.Key
	// Address is the client's, without the port; "" if the server knows none.
	Address string
	// User is empty when the token was not good or not looked at.
	User status.UserID
	// Named is the named key of a client that is no browser.
	Named keyring.Name
	// Conversations are the granted ones, sorted.
	Conversations []status.ConversationID
	// Expires is the grant's end.
	Expires time.Time
	// Denial is nil for a grant; Cause is its kind.
	Denial *session.Denial
	Cause  Cause
	// Duration is from the arrival of the request, with its time in the queue.
	Duration time.Duration
}
