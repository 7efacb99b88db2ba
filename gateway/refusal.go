package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

// Closing is why a socket ends: what goes out as -ERR, if anything, and as the
// close frame. Every way to end a socket stands in this file.
type closing struct {
	err    string // text of a last -ERR; "" for none
	code   ws.StatusCode
	reason string // at most 123 bytes (RFC 6455, section 5.5)

	// What a stream over HTTP says in its place; nil for nothing. retryAfter is in
	// seconds, 0 for as long as you like.
	wire       *status.Error
	retryAfter int
	tail       []byte // how an answer over HTTP ends that has come to its end

	// For those who look on: what is counted as refused, and what is written to
	// the audit; "" for nothing.
	why  metrics.Refusal
	kind audit.Kind
	user status.UserID // of a login that was denied, if known
}

// Ends after which the client should come back, as nats-core and nats.ws do by
// themselves.
var (
	closeStopping = closing{code: ws.StatusGoingAway, reason: "server is stopping: reconnect",
		wire: status.ErrUnavailable.Withf("server is stopping: reconnect")}
	closeExpired = closing{code: ws.StatusNormalClosure, reason: "grant expired: reconnect with a fresh token",
		wire: status.ErrExpired.Withf("grant expired: reconnect with a fresh token")}
	closeDead       = closing{code: ws.StatusGoingAway, reason: "no answer to a ping"}
	closeSlow       = closing{code: ws.StatusPolicyViolation, reason: "slow consumer: statuses waited longer than allowed; reconnect and read the history"}
	closeLinkGone   = closeKicked("connection ended by an operator: reconnect")
	closeAccessLost = closing{code: ws.StatusGoingAway, reason: "access changed and could not be read again: reconnect",
		wire: status.ErrUnavailable.Withf("access changed and could not be read again: reconnect")}
	closeDone = closing{code: ws.StatusNormalClosure}
)

// closeKicked ends a socket that an operator wants gone.
func closeKicked(reason string) closing {
	return closing{code: ws.StatusGoingAway, reason: reason, kind: audit.KindKicked, wire: status.ErrKicked.Withf("%s", reason)}
}

// closeLinkEnded ends a socket whose kept link the server has closed: by a kick, of
// which nats-server 2.15.2 says nothing on the link, because the grant has expired, or
// because the server has ended and another takes its place. Only a kick is an
// operator's act.
func closeLinkEnded(last string, serverRuns bool) closing {
	switch {
	case !serverRuns:
		return closePassing(reasonUnavailable)
	case last == "":
		return closeLinkGone
	case strings.Contains(last, "Authentication Expired"):
		return closeExpired
	}
	return closePassing(reasonUnavailable)
}

// closePassing ends a socket that could not be let in just now. It is a plain
// close: an -ERR would make clients give up.
func closePassing(reason string) closing {
	return closing{code: statusTryAgainLater, reason: reason, why: metrics.RefusalUnavailable,
		wire: status.ErrUnavailable.Withf("%s", reason), retryAfter: retryAfterOthers}
}

// closeConnectTimeout ends a socket that did not log in in time.
var closeConnectTimeout = closing{
	code: statusTryAgainLater, reason: "no CONNECT in time", why: metrics.RefusalConnectTimeout, kind: audit.KindClosed,
}

// statusTryAgainLater is 1013 of the IANA WebSocket close code registry.
const statusTryAgainLater ws.StatusCode = 1013

// closeDenied is a final refusal: two in a row make clients give up for good.
func closeDenied(reason string) closing {
	return closing{err: "Authorization Violation: " + reason, code: ws.StatusPolicyViolation, reason: "authorization violation",
		why: metrics.RefusalToken, kind: audit.KindDenied, wire: status.ErrUnauthorized.Withf("%s", reason)}
}

// closeLongConnect ends a login whose CONNECT is too long. During a login clients
// give up at once for this form only; for any other they wait 20 s for a PONG.
func closeLongConnect(limit int) closing {
	return closeDenied(fmt.Sprintf("token too long: CONNECT may have at most %d bytes with it", limit))
}

// closeProtocol ends a socket that broke the NATS protocol.
func closeProtocol(err error) closing {
	return closing{err: err.Error(), code: ws.StatusPolicyViolation, reason: "NATS protocol violation",
		why: metrics.RefusalProtocol, kind: audit.KindClosed}
}

// closeTooLarge ends a socket that sent more at once than is allowed.
func closeTooLarge(what error, limit int) closing {
	why := metrics.RefusalPayload
	if errors.Is(what, natsproto.ErrControlLineTooLong) {
		why = metrics.RefusalControlLine
	}
	return closing{
		why:    why,
		kind:   audit.KindLimited,
		err:    fmt.Sprintf("%v: at most %d bytes", what, limit),
		code:   ws.StatusMessageTooBig,
		reason: "too large",
	}
}

// closeFrame ends a socket that broke RFC 6455.
func closeFrame(reason string) closing {
	return closing{code: ws.StatusProtocolError, reason: reason, why: metrics.RefusalProtocol, kind: audit.KindClosed}
}

// closeNotUTF8 ends a socket whose text, or whose reason to close, is none.
var closeNotUTF8 = closing{code: ws.StatusInvalidFramePayloadData, reason: "a text that is not UTF-8",
	why: metrics.RefusalProtocol, kind: audit.KindClosed}

// closeLongFrame ends a socket that announces a frame longer than can be meant.
func closeLongFrame(limit int64) closing {
	c := closeTooLarge(natsproto.ErrPayloadTooLarge, 0)
	c.err = fmt.Sprintf("%v: at most %d bytes in a frame", natsproto.ErrPayloadTooLarge, limit)
	return c
}

// closeTooFast ends a socket that sends more operations than are allowed.
func closeTooFast(limited int) closing {
	return closing{
		err:    fmt.Sprintf("too many operations: at most %d a second", limited),
		code:   ws.StatusPolicyViolation,
		reason: "too many operations",
		why:    metrics.Refusal(limit.Operations),
		kind:   audit.KindLimited,
	}
}

// closeTooManyFrames ends a socket that sends more frames without an operation
// than are allowed.
func closeTooManyFrames(limited int) closing {
	return closing{
		err:    fmt.Sprintf("too many frames: at most %d a second may bring no operation", limited),
		code:   ws.StatusPolicyViolation,
		reason: "too many frames",
		why:    metrics.Refusal(limit.Frames),
		kind:   audit.KindLimited,
	}
}

// refusedUpgrade is the answer to a request that gets no socket.
type refusedUpgrade struct {
	code       int
	retryAfter int // seconds; 0 for a refusal that stands
	text       string
}

// Refusals that no limit makes.
var (
	upgradeStopping    = refusedUpgrade{http.StatusServiceUnavailable, 2, "the server is stopping: try again"}
	upgradeUnavailable = refusedUpgrade{http.StatusServiceUnavailable, retryAfterOthers, reasonUnavailable}
	upgradeOrigin      = refusedUpgrade{http.StatusForbidden, 0, "this origin is not allowed: add it to allowed_origins"}
)

// Refusals of a handshake that is none (RFC 6455, section 4.2.1).
var (
	upgradeMethod     = refusedUpgrade{http.StatusMethodNotAllowed, 0, "a WebSocket begins with GET"}
	upgradeProto      = refusedUpgrade{http.StatusHTTPVersionNotSupported, 0, "a WebSocket begins with HTTP/1.1: have the proxy in front ask by that"}
	upgradeWanted     = refusedUpgrade{http.StatusUpgradeRequired, 0, "this is a WebSocket endpoint: the header Upgrade must list websocket"}
	upgradeConnection = refusedUpgrade{http.StatusBadRequest, 0, "the header Connection must list Upgrade: have the proxy in front pass it on"}
	upgradeNoVersion  = refusedUpgrade{http.StatusBadRequest, 0, "the header Sec-WebSocket-Version is missing"}
	upgradeVersion    = refusedUpgrade{http.StatusUpgradeRequired, 0, "the header Sec-WebSocket-Version must be 13"}
	upgradeKey        = refusedUpgrade{http.StatusBadRequest, 0, "the header Sec-WebSocket-Key must be one, of 16 bytes in base64"}
	upgradeBody       = refusedUpgrade{http.StatusBadRequest, 0, "an upgrade has no body"}
)

// retryAfterOthers is how many seconds to wait, at least, for what ends when
// somebody else is done.
const retryAfterOthers = 5

// upgradeLimited is the answer to one that a limit refuses.
func upgradeLimited(v limit.Verdict) refusedUpgrade {
	switch v.Name {
	case limit.UpgradesPerAddress:
		return refusedUpgrade{http.StatusTooManyRequests, max(1, v.RetryAfterSeconds()),
			fmt.Sprintf("this address opens more than %d connections a second, which is its limit: try again", v.Limit)}
	case limit.ConnectionsPerAddress:
		return refusedUpgrade{http.StatusTooManyRequests, retryAfterOthers,
			fmt.Sprintf("this address has %d connections, which is its limit: close one first", v.Limit)}
	case limit.Connections:
		return refusedUpgrade{http.StatusServiceUnavailable, retryAfterOthers, "this server has all the connections that it can have: try again"}
	case limit.Handshakes:
		return refusedUpgrade{http.StatusServiceUnavailable, retryAfterOthers, "too many logins are under way: try again"}
	}
	return refusedUpgrade{http.StatusServiceUnavailable, max(1, v.RetryAfterSeconds()), "too many connections are being opened: try again"}
}

// closeLimited ends a login that a limit refuses, plainly: who is told an
// Authorization Violation twice does not come back. The hit is reported already.
func closeLimited(reason string, retryAfter int) closing {
	return closing{code: statusTryAgainLater, reason: reason, wire: status.ErrLimited.Withf("%s", reason), retryAfter: retryAfter}
}

// closeInput ends a stream whose browser sends something after its request.
var closeInput = closing{
	reason: "a stream takes no input", why: metrics.RefusalProtocol, kind: audit.KindClosed,
	wire: status.ErrBadRequest.Withf("a stream takes no input: send one request on a connection"),
}

// closeRefused ends a stream whose subscription is refused or has ended. That is
// noted already.
func closeRefused(r refusal) closing {
	wait := r.retryAfter
	if wait == 0 && refusedStream(r.why).Retryable() {
		wait = retryAfterOthers
	}
	return closing{reason: r.reason, wire: refusedStream(r.why).Withf("%s", r.reason), retryAfter: wait}
}

// closeAnswered ends a stream whose answer is complete with the last bytes of it.
func closeAnswered(tail []byte) closing { return closing{tail: tail} }

// closeError ends a stream with an error that is noted already, if it has to be.
func closeError(e *status.Error) closing {
	c := closing{reason: e.Description, wire: e}
	if e.Retryable() {
		c.retryAfter = retryAfterOthers
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

// loginLimited is what a login is told that the limit ends; "" when it is none on
// logins.
func loginLimited(v limit.Verdict) string {
	switch v.Name {
	case limit.FailedLogins:
		return reasonFailedLogins(v)
	case limit.ConnectionsPerUser:
		return reasonUserConnections(v)
	}
	return ""
}

func reasonTokenTooLong(most int) string {
	return fmt.Sprintf("token too long: at most %d bytes are allowed", most)
}

func reasonFailedLogins(v limit.Verdict) string {
	return fmt.Sprintf("%d failed logins from this address within a minute, which is the limit: try again in %d s", v.Limit, v.RetryAfterSeconds())
}

func reasonUserConnections(v limit.Verdict) string {
	return fmt.Sprintf("this user has %d connections, which is the limit: close one first", v.Limit)
}

// Texts of -ERR that leave the socket open. The first words are nats-server's:
// clients find the subscription by them. A reason never contains
// `Subscription to "` or `using queue "`.

func refuseSub(subject, queue, reason string) string {
	text := fmt.Sprintf("Permissions Violation for Subscription to %q", subject)
	if queue != "" {
		text += fmt.Sprintf(" using queue %q", queue)
	}
	return withReason(text, reason)
}

func refusePub(subject, reason string) string {
	return withReason(fmt.Sprintf("Permissions Violation for Publish to %q", subject), reason)
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

func reasonLostAccess(c status.ConversationID) string {
	return fmt.Sprintf("your access to conversation %q has ended", c)
}

func reasonTooManySubs(limit int) string {
	return fmt.Sprintf("this connection has %d subscriptions, which is its limit: unsubscribe from one first", limit)
}

func reasonTooManyCategories(v limit.Verdict) string {
	if v.Wanted > 1 {
		return fmt.Sprintf("it covers %d more categories, and this connection has %d of %d: subscribe to single ones, or unsubscribe first", v.Wanted, v.Used, v.Limit)
	}
	return fmt.Sprintf("this connection has %d categories of %d: unsubscribe from one first", v.Used, v.Limit)
}

func reasonTooManyInStream(most int) string {
	return fmt.Sprintf("a stream may have %d categories: name fewer in the parameter categories", most)
}

func reasonTooManyChanges(v limit.Verdict) string {
	return fmt.Sprintf("more than %d subscription changes within a minute: try again in %d s", v.Limit, v.RetryAfterSeconds())
}

func reasonTooManyConversations(limit int) string {
	return fmt.Sprintf("this login has subscriptions or requests in %d conversations, which is its limit: unsubscribe from one first", limit)
}

func reasonTooManyGrantChanges(v limit.Verdict) string {
	return fmt.Sprintf("more than %d grant changes within a minute: try again in %d s", v.Limit, v.RetryAfterSeconds())
}

func reasonTooManyRequests(limit int) string {
	return fmt.Sprintf("%d requests wait for an answer, which is the limit: wait for one first", limit)
}

const (
	reasonConnectFirst  = "CONNECT must come first"
	reasonConnectTwice  = "a connection is authenticated once: open another one, or hand in a fresh token with a request to gateway.token"
	reasonNoToken       = "no token: put your application's token into the connection's token option"
	reasonTokenBytes    = "token malformed: it has control characters, or bytes that are not UTF-8"
	reasonNoCategory    = "this is no category: 1 to 32 of a-z, 0-9 and _, a letter first"
	reasonNoBearer      = "no token: send your application's token in the header Authorization: Bearer, or in the cookie that the settings name"
	reasonNotGranted    = "the login does not cover it"
	reasonLongQueue     = "the name of the queue group is too long: at most 128 bytes"
	reasonNotServed     = "only status, presence and inbox subjects are served here"
	reasonUnavailable   = "the service is not available just now: try again"
	reasonOtherUser     = "the fresh token is another user's: open another connection for that user"
	reasonUpstreamFull  = "the server follows as many subjects as it may: try again later"
	reasonUpstreamFails = "statuses cannot be delivered just now: subscribe again"
)
