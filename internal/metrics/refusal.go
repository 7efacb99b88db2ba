package metrics

import "github.com/statuswire/statuswire/internal/limit"

// Refusal is why a browser was refused something. Its values are stable, and
// those of a limit are the limit's name: Refusal(limit.Categories).
type Refusal string

// The reasons beside the limits of internal/limit.
const (
	RefusalControlLine    Refusal = "control_line"    // a line of the protocol was too long
	RefusalPayload        Refusal = "payload"         // a payload was too large
	RefusalRequests       Refusal = "requests"        // too many requests waited for their answer
	RefusalConversations  Refusal = "conversations"   // a login had subscriptions in too many conversations
	RefusalOrigin         Refusal = "origin"          // a page of another origin
	RefusalToken          Refusal = "token"           // a login without a good token
	RefusalConversation   Refusal = "conversation"    // a conversation that is unknown or a stranger's
	RefusalPermission     Refusal = "permission"      // a subject that is not served, or outside of the grant
	RefusalProtocol       Refusal = "protocol"        // bytes that are not NATS, or not WebSocket
	RefusalConnectTimeout Refusal = "connect_timeout" // no CONNECT in time
	RefusalUnavailable    Refusal = "unavailable"     // a part behind did not answer
	RefusalStopping       Refusal = "stopping"        // the server is stopping
	RefusalOther          Refusal = "other"
)

// Refusals lists every reason.
func Refusals() []Refusal {
	var all []Refusal
	for _, s := range limit.Settings() {
		all = append(all, Refusal(s.Name))
	}
	return append(all,
		RefusalControlLine, RefusalPayload, RefusalRequests, RefusalConversations,
		RefusalOrigin, RefusalToken, RefusalConversation, RefusalPermission,
		RefusalProtocol, RefusalConnectTimeout, RefusalUnavailable, RefusalStopping, RefusalOther)
}
