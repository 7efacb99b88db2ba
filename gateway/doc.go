// Package gateway is the endpoint that browsers connect to: WebSocket or HTTP outside,
// NATS inside. It lets connections in (origin.go, client_address.go, admission.go),
// upgrades them or takes them over (upgrade.go, http.go), and hands each to the part
// that speaks with it; it starts and stops those parts, and answers operators
// (inspect.go, explain.go).
//
//	ServeHTTP ── upgrade.go ──▶ natsocket ┐
//	API ──────── http.go ─────▶ sse       ├─▶ browser ──▶ access: what it may do
//	                                      ┘      ├──────▶ fanout: statuses
//	                                             └──────▶ relay: requests
//
// What a browser may do its grant says, a signed user JWT, and nothing else.
package gateway
