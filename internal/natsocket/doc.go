// Package natsocket speaks the NATS client protocol with a browser, over WebSocket (RFC
// 6455). It is a dialect of package browser.
//
//	Check, TakeOver      the opening handshake (handshake.go)
//	Run ── readAll       frames, in pieces as they come (read.go)
//	  └─ parser ── operate   one operation after the other (operate.go)
//	       CONNECT ── connect.go      SUB, UNSUB ── subscribe.go
//	       PUB ── publish.go: a request to the edge, gateway.token (token.go),
//	              gateway.subscriptions (listing.go)
//	receiver             a status goes out: one frame for all that have the same sid (deliver.go)
//
// Input is handled in order, and the next operation waits until the one before took
// effect: so a PONG means that everything before its PING did. Inboxes never leave the
// socket.
package natsocket
