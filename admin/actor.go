package admin

import (
	"context"
)

// operatorName is who asks with the key of DIR/keys.
const operatorName = "operator"

type actorKey struct{}

// actorOf is who does what the request of this context asks for.
func actorOf(ctx context.Context) string {
	if name, ok := ctx.Value(actorKey{}).(string); ok {
		return name
	}
	return operatorName
}
