package authcallout

import "errors"

// What Start returns when the service is not in the right part of its life.
var ErrStarted = errors.New("the authorization service was started or stopped already: make a new one")

// Why the gateway gets no verdict at all just now.
var (
	errNoServer = errors.New("the NATS server does not run")
	errStopped  = errors.New("the authorization service has stopped")
)

// Why a request is denied. denialOf says what each becomes.
var (
	errNoLink       = errors.New("the connection does not come from the gateway")
	errNotTheirs    = errors.New("the conversation is unknown or a stranger's")
	errVerifier     = errors.New("the token could not be checked")
	errDirectory    = errors.New("the directory did not answer")
	errQueueFull    = errors.New("the queue is full")
	errUnreadable   = errors.New("the request cannot be read")
	errGivenUp      = errors.New("the gateway does not wait for the verdict any more")
	errUnknownKey   = errors.New("the key is not known")
	errBadSignature = errors.New("the signature of the nonce is not the key's")
	errKeyElsewhere = errors.New("a named key on another listener than that of NATS clients")
	errWorkerFailed = errors.New("a worker panicked")
)
