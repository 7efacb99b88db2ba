package refusal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

// Closing is why a socket ends: what goes out as -ERR, if anything, and as the
// close frame. Every way to end one stands in this file.
type Closing struct {
	Err    string // text of a last -ERR; "" for none
	Code   ws.StatusCode
	Reason string // at most 123 bytes (RFC 6455, section 5.5)

	// What a stream over HTTP says in its place; nil for nothing. RetryAfter is in
	// seconds, 0 for as long as you like.
	Wire       *status.Error
	RetryAfter int
	Tail       []byte // how an answer over HTTP ends that has come to its end

	// For those who look on: what is counted as refused, and what is written to
	// the audit; "" for nothing.
	Why  metrics.Refusal
	Kind audit.Kind
	User status.UserID // of a login that was denied, if known
}

// EndError is a Closing on its way up to whoever ends the socket.
type EndError struct{ Closing }

func (e *EndError) Error() string { return e.Reason }

// End is the error that ends a socket so.
func End(c Closing) error { return &EndError{c} }

// comesBack ends a socket whose client should come back, as nats-core and nats.ws do by
// themselves; wire may be nil.
func comesBack(code ws.StatusCode, reason string, wire *status.Error) Closing {
	c := Closing{Code: code, Reason: reason}
	if wire != nil {
		c.Wire = wire.Withf("%s", reason)
	}
	return c
}

// CloseStopping ends a socket because the server stops.
func CloseStopping() Closing {
	return comesBack(ws.StatusGoingAway, "server is stopping: reconnect", status.ErrUnavailable)
}

// CloseExpired ends a socket whose grant is over.
func CloseExpired() Closing {
	return comesBack(ws.StatusNormalClosure, "grant expired: reconnect with a fresh token", status.ErrExpired)
}

// CloseDead ends a socket whose browser does not answer.
func CloseDead() Closing { return comesBack(ws.StatusGoingAway, "no answer to a ping", nil) }

// CloseSlow ends a socket whose browser reads too slowly.
func CloseSlow() Closing {
	return comesBack(ws.StatusPolicyViolation, "slow consumer: statuses waited longer than allowed; reconnect and read the history", nil)
}

// CloseAccessLost ends a socket whose access has changed, nobody can say to what.
func CloseAccessLost() Closing {
	return comesBack(ws.StatusGoingAway, "access changed and could not be read again: reconnect", status.ErrUnavailable)
}

// CloseDone ends a socket because its browser has ended it.
func CloseDone() Closing { return Closing{Code: ws.StatusNormalClosure} }

// CloseByOperator ends a socket that an operator wants gone without a reason.
func CloseByOperator() Closing { return CloseKicked("connection ended by an operator: reconnect") }

// CloseKicked ends a socket that an operator wants gone.
func CloseKicked(reason string) Closing {
	reason = fitting(reason)
	return Closing{Code: ws.StatusGoingAway, Reason: reason, Kind: audit.KindKicked, Wire: status.ErrKicked.Withf("%s", reason)}
}

// CloseLinkEnded ends a socket whose kept link the server has closed: by a kick, of
// which nats-server 2.15.2 says nothing on the link, because the grant has expired, or
// because the server has ended and another takes its place. Only a kick is an
// operator's act.
func CloseLinkEnded(last string, serverRuns bool) Closing {
	switch {
	case !serverRuns:
		return ClosePassing(ReasonUnavailable)
	case last == "":
		return CloseByOperator()
	case strings.Contains(last, "Authentication Expired"):
		return CloseExpired()
	}
	return ClosePassing(ReasonUnavailable)
}

// ClosePassing ends a socket that could not be let in just now. It is a plain
// close: an -ERR would make clients give up.
func ClosePassing(reason string) Closing {
	return Closing{Code: TryAgainLater, Reason: reason, Why: metrics.RefusalUnavailable,
		Wire: status.ErrUnavailable.Withf("%s", reason), RetryAfter: RetryAfterOthers}
}

// CloseConnectTimeout ends a socket that did not log in in time.
func CloseConnectTimeout() Closing {
	return Closing{Code: TryAgainLater, Reason: "no CONNECT in time", Why: metrics.RefusalConnectTimeout, Kind: audit.KindClosed}
}

// TryAgainLater is 1013 of the IANA WebSocket close code registry.
const TryAgainLater ws.StatusCode = 1013

// CloseDenied is a final refusal: two in a row make clients give up for good.
func CloseDenied(reason string) Closing {
	return Closing{Err: "Authorization Violation: " + reason, Code: ws.StatusPolicyViolation, Reason: "authorization violation",
		Why: metrics.RefusalToken, Kind: audit.KindDenied, Wire: status.ErrUnauthorized.Withf("%s", reason)}
}

// CloseLongConnect ends a login whose CONNECT is too long. During a login clients
// give up at once for this form only; for any other they wait 20 s for a PONG.
func CloseLongConnect(limit int) Closing {
	return CloseDenied(fmt.Sprintf("token too long: CONNECT may have at most %d bytes with it", limit))
}

// CloseProtocol ends a socket that broke the NATS protocol.
func CloseProtocol(err error) Closing {
	return Closing{Err: err.Error(), Code: ws.StatusPolicyViolation, Reason: "NATS protocol violation",
		Why: metrics.RefusalProtocol, Kind: audit.KindClosed}
}

// CloseTooLarge ends a socket that sent more at once than is allowed.
func CloseTooLarge(what error, limit int) Closing {
	why := metrics.RefusalPayload
	if errors.Is(what, natsproto.ErrControlLineTooLong) {
		why = metrics.RefusalControlLine
	}
	return Closing{
		Why:    why,
		Kind:   audit.KindLimited,
		Err:    fmt.Sprintf("%v: at most %d bytes", what, limit),
		Code:   ws.StatusMessageTooBig,
		Reason: "too large",
	}
}

// CloseFrame ends a socket that broke RFC 6455.
func CloseFrame(reason string) Closing {
	return Closing{Code: ws.StatusProtocolError, Reason: reason, Why: metrics.RefusalProtocol, Kind: audit.KindClosed}
}

// CloseNotUTF8 ends a socket whose text, or whose reason to close, is none.
func CloseNotUTF8() Closing {
	return Closing{Code: ws.StatusInvalidFramePayloadData, Reason: "a text that is not UTF-8",
		Why: metrics.RefusalProtocol, Kind: audit.KindClosed}
}

// CloseLongFrame ends a socket that announces a frame longer than can be meant.
func CloseLongFrame(limit int64) Closing {
	c := CloseTooLarge(natsproto.ErrPayloadTooLarge, 0)
	c.Err = fmt.Sprintf("%v: at most %d bytes in a frame", natsproto.ErrPayloadTooLarge, limit)
	return c
}

// CloseTooFast ends a socket that sends more operations than are allowed.
func CloseTooFast(limited int) Closing {
	return Closing{
		Err:    fmt.Sprintf("too many operations: at most %d a second", limited),
		Code:   ws.StatusPolicyViolation,
		Reason: "too many operations",
		Why:    metrics.Refusal(limit.Operations),
		Kind:   audit.KindLimited,
	}
}

// CloseTooManyFrames ends a socket that sends more frames without an operation
// than are allowed.
func CloseTooManyFrames(limited int) Closing {
	return Closing{
		Err:    fmt.Sprintf("too many frames: at most %d a second may bring no operation", limited),
		Code:   ws.StatusPolicyViolation,
		Reason: "too many frames",
		Why:    metrics.Refusal(limit.Frames),
		Kind:   audit.KindLimited,
	}
}

// CloseLimited ends a login that a limit refuses, plainly: who is told an
// Authorization Violation twice does not come back. The hit is reported already.
func CloseLimited(reason string, retryAfter int) Closing {
	return Closing{Code: TryAgainLater, Reason: reason, Wire: status.ErrLimited.Withf("%s", reason), RetryAfter: retryAfter}
}

// CloseInput ends a stream whose browser sends something after its request.
func CloseInput() Closing {
	return Closing{
		Reason: "a stream takes no input", Why: metrics.RefusalProtocol, Kind: audit.KindClosed,
		Wire: status.ErrBadRequest.Withf("a stream takes no input: send one request on a connection"),
	}
}

// CloseRefused ends a stream whose subscription is refused or has ended. That is
// noted already.
func CloseRefused(r Refusal) Closing {
	wait := r.RetryAfter
	if wait == 0 && refusedStream(r.Why).Retryable() {
		wait = RetryAfterOthers
	}
	return Closing{Reason: r.Reason, Wire: refusedStream(r.Why).Withf("%s", r.Reason), RetryAfter: wait}
}

// CloseAnswered ends a stream whose answer is complete with the last bytes of it.
func CloseAnswered(tail []byte) Closing { return Closing{Tail: tail} }

// CloseError ends a stream with an error that is noted already, if it has to be.
func CloseError(e *status.Error) Closing {
	c := Closing{Reason: e.Description, Wire: e}
	if e.Retryable() {
		c.RetryAfter = RetryAfterOthers
	}
	return c
}

// refusedStream is the error for what is refused to a stream.
func refusedStream(why metrics.Refusal) *status.Error {
	switch why {
	case metrics.RefusalConversation:
		return status.ErrNotTheirs
	case metrics.RefusalToken:
		return status.ErrUnauthorized
	case metrics.RefusalPermission:
		return status.ErrNotGranted
	case metrics.RefusalUnavailable:
		return status.ErrUnavailable
	case metrics.Refusal(limit.Categories), metrics.Refusal(limit.Subscriptions):
		return status.ErrTooManyCategories
	}
	return status.ErrLimited
}

// fitting makes a text fit for a close frame (RFC 6455, section 5.5).
func fitting(text string) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) > ws.MaxControlFramePayloadSize-2 {
		text = strings.ToValidUTF8(text[:ws.MaxControlFramePayloadSize-2], "")
	}
	return text
}
