package authcallout

import (
	"context"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Verifier says whom an application's token speaks for. An *identity.TokenError
// is the token's fault and final; any other error counts as passing, and is
// logged, so it must not hold the token. Verify must give up when the context
// ends.
type Verifier interface {
	Verify(ctx context.Context, token string) (identity.Identity, error)
}

// Directory says whose a conversation is. directory.ErrNotFound is an answer;
// any other error counts as passing. Both must give up when the context ends.
type Directory interface {
	Conversation(ctx context.Context, id status.ConversationID) (directory.Conversation, error)
	// OfUser is asked for connections to the server's own WebSocket listener only.
	OfUser(ctx context.Context, user status.UserID, limit int) ([]status.ConversationID, error)
}

// Deps is what the service works with. All but XKey and Named are
// required.
type Deps struct {
	// ServerID is the public key of the server whose requests are answered. It is
	// asked with each request: another server may have taken the place of the first.
	ServerID func() string
	// Issuer is the account key that signs grants: auth_callout's issuer.
	Issuer nkeys.KeyPair
	// XKey is the curve key that requests are encrypted to: auth_callout's
	// xkey. Nil: requests are not encrypted, and one that is is not read.
	XKey nkeys.KeyPair
	// Sessions is where the gateway opens its links.
	Sessions  *session.Registry
	Verifier  Verifier
	Directory Directory
	// Named decides about clients with an nkey that nats.conf does not know. Nil:
	// there are no such keys.
	Named *NamedKeys
}
