// Package browser is one browser, whatever it speaks: its life, what it is subscribed
// to, what that counts, whom it is present for, how far it has got, what it asks.
//
//	gateway ── Hub.Serve ──▶ Browser ── Dialect ──▶ natsocket, sse
//	                           │
//	   LogIn ──▶ access        │  the grant: TakeGrant, and what it loses (lose.go)
//	   Admit, Listen, Keep ──▶ fanout, one subscription (subscribe.go)
//	   Forward ──▶ relay       │  one request
//	                           ▼
//	                         outbox ◀── who delivers: the dialect's receivers
//
// A Hub is what the browsers of a node share. A dialect fills in how things are said:
// its goroutine is the browser's (Dialect.Run), and handles what comes in one after the
// other; messages are written by whoever delivers them.
package browser
