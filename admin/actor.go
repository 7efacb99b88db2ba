package admin

import (
	"context"
	"strings"

	"github.com/statuswire/statuswire/internal/keyring"
)

// OperatorName is who asks with the operator's key of DIR/keys.
const OperatorName = "operator"

// Who asks is the last token of the subject, and nats.conf lets each key publish its
// own name only. A header would not do: nats-server adds Nats-Request-Info to what
// comes from another account, behind what the client has put there, and a client's
// header may end before it (2.15.2).

type actorKey struct{}

// withActor notes who asks on the subject. It is false for nobody.
func withActor(ctx context.Context, subject string) (context.Context, bool) {
	name := subject[strings.LastIndexByte(subject, '.')+1:]
	if name != OperatorName {
		if _, err := keyring.ParseName(name); err != nil {
			return ctx, false
		}
	}
	return context.WithValue(ctx, actorKey{}, name), true
}

// actorOf is who does what the request of this context asks for.
func actorOf(ctx context.Context) string {
	name, _ := ctx.Value(actorKey{}).(string)
	return name
}
