package status

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
func EdgeVerbs() []string { return []string{EdgeJoin} }

// EdgeJoin asks for the welcome: categories, limits and the last status of each
// category.
const EdgeJoin = "join"
