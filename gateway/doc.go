// Package gateway is the endpoint that browsers connect to: WebSocket outside,
// NATS client protocol inside.
//
// One CONNECT:
//
//	ServeHTTP      origin checked, upgraded (upgrade.go)
//	  → socket     one browser's connection (socket.go); a webSocket speaks NATS (websocket.go):
//	               one goroutine reads frames (read.go) into operations (operate.go)
//	  → CONNECT    the token finds its credential (connect.go, credential.go)
//	  → link       an in-process connection on which the server asks the callout (link.go)
//	  → grant      the signed user JWT, held by the credential for all its sockets
//
// One SUB: the grant decides (subscribe.go). Covered: the fan-out has one more
// receiver. Not covered, but in a conversation that the directory admits the
// user to: a fresh link brings a grant that covers it, and the SUB goes on.
// Refused: an -ERR that names the subscription (internal/refusal has every text).
//
// One request: edge.<c>.<verb> goes out on the gateway's own connection with
// the user's name as the last token; the answer comes back to the socket's own
// inbox (request.go, internal/relay). Inboxes never leave the socket.
//
// Input is handled in order and one operation after the other, so a PONG means
// that everything before its PING took effect. Output never waits for a slow
// browser (internal/outbox).
package gateway
