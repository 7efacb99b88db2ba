// Package refusal is what browsers are told when something is refused to them, or
// ended: every text, HTTP status and close code stands here, and nowhere else. It is
// pure: what is refused others decide, tell and note.
//
//	Refusal   a SUB, a PUB or a request: the connection stays       refusal.go, reasons.go
//	Closing   a connection ends: -ERR and close frame, or over HTTP an error   closing.go
//	Upgrade   a request gets no connection: an HTTP answer          upgrade.go
//
// What is final is told so that clients give up ("Authorization Violation", HTTP 401,
// 403); what is passing so that they come back (a plain close, HTTP 429, 503).
package refusal
