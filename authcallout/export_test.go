package authcallout

import "github.com/statuswire/statuswire/status"

// DenialOf is what the browser is told of an error.
var DenialOf = denialOf

// Errors of the stages of a request, as denialOf meets them.
var (
	ErrNoLink    = errNoLink
	ErrVerifier  = errVerifier
	ErrDirectory = errDirectory
	ErrQueueFull = errQueueFull
	ErrGivenUp   = errGivenUp
)

// ErrNotTheirs names the conversation that had to be granted.
func ErrNotTheirs(id string) error { return &notTheirsError{status.ConversationID(id)} }

// Expiry is the end of a grant.
var Expiry = expiry
