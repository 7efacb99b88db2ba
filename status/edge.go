package status

import "fmt"

// What a browser may ask the gateway that holds its socket. Both are answered
// there and never forwarded.
const (
	// GatewaySubscriptions lists the connection's own subscriptions.
	GatewaySubscriptions = "gateway.subscriptions"
	// GatewayToken takes a fresh token and renews the grant in place.
	GatewayToken = "gateway.token"
)

// EdgeVerbs are the requests that the edge answers for a conversation, each on
// EdgeSubject(c, verb). A grant for a conversation covers all of them.
func EdgeVerbs() []string { return []string{EdgeJoin, EdgePresence} }

const (
	// EdgeJoin asks for the welcome: categories, limits, who is present, and the
	// last status of each category.
	EdgeJoin = "join"
	// EdgePresence asks who is present.
	EdgePresence = "presence"
)

// Why a request to the edge was refused. What is passing is ErrUnavailable and
// ErrOverloaded here too.
var (
	ErrBadRequest = &Error{400, 20101, "request makes no sense"}
	ErrNotTheirs  = &Error{404, 20102, "conversation is not found or not yours"}
)

// NotTheirs is the one text for a conversation that does not exist and for a
// stranger's, so that nobody can find out which ids are taken. What is no id is
// cut as Quote does it.
func NotTheirs(conversation string) string {
	quoted := Quote(conversation)
	if _, err := ParseConversationID(conversation); err == nil {
		quoted = fmt.Sprintf("%q", conversation)
	}
	return fmt.Sprintf("conversation %s is not found or not yours", quoted)
}
