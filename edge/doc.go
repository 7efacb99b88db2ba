// Package edge answers what browsers and operators ask about a conversation, as
// the NATS micro service "edge" (ADR-32):
//
//	edge.<c>.join              operators: any conversation
//	edge.<c>.join.<user>       the gateway, for the user whom the last token names
//	edge.<c>.presence          who is present, in the same two forms
//	edge.<c>.presence.<user>
//	edge.<c>.history           stored statuses, in the same two forms
//	edge.<c>.history.<user>
//
// Only the gateway's own connection may publish the forms with a user, which is why
// the user in it can be believed; whether the conversation is theirs the edge
// asks the directory all the same.
//
// The answer is one JSON document; a refusal has the headers Nats-Service-Error
// and Nats-Service-Error-Code and a status.Error as its payload. A stranger's
// conversation is refused word for word like one that does not exist.
//
// A history is answered with many messages, by goroutines of its own beside the
// workers that answer the rest. A gateway paces it:
//
//	edge ── status ── status ── status, reply: edge.<c>.flow.<token> ──▶ gateway
//	edge ◀───────────────────────────── edge.<c>.flow.<token> ────────── gateway, once the browser has room
//	edge ── status ── … ── last message, empty: 204 EOB ───────────────▶ gateway
//
// The gateway says "gone" there when the browser has left, and the answer ends.
package edge
