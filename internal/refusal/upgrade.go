package refusal

import (
	"fmt"
	"net/http"

	"github.com/statuswire/statuswire/internal/limit"
)

// Upgrade is the answer to a request that gets no socket.
type Upgrade struct {
	Code       int // of HTTP
	RetryAfter int // seconds; 0 for a refusal that stands
	Text       string
}

// stands is a refusal that trying again does not help.
func stands(code int, text string) *Upgrade { return &Upgrade{Code: code, Text: text} }

// UpgradeStopping refuses because the server stops.
func UpgradeStopping() *Upgrade {
	return &Upgrade{http.StatusServiceUnavailable, 2, "the server is stopping: try again"}
}

// UpgradeUnavailable refuses because a part behind does not answer.
func UpgradeUnavailable() *Upgrade {
	return &Upgrade{http.StatusServiceUnavailable, RetryAfterOthers, ReasonUnavailable}
}

// UpgradeOrigin refuses a page of an origin that is not allowed.
func UpgradeOrigin() *Upgrade {
	return stands(http.StatusForbidden, "this origin is not allowed: add it to allowed_origins")
}

// What follows is for a handshake that is none (RFC 6455, section 4.2.1).

// UpgradeMethod refuses a method other than GET.
func UpgradeMethod() *Upgrade {
	return stands(http.StatusMethodNotAllowed, "a WebSocket begins with GET")
}

// UpgradeProto refuses an HTTP version by which there are no WebSockets here.
func UpgradeProto() *Upgrade {
	return stands(http.StatusHTTPVersionNotSupported, "a WebSocket begins with HTTP/1.1: have the proxy in front ask by that")
}

// UpgradeWanted refuses a request that asks for no WebSocket.
func UpgradeWanted() *Upgrade {
	return stands(http.StatusUpgradeRequired, "this is a WebSocket endpoint: the header Upgrade must list websocket")
}

// UpgradeConnection refuses one whose Upgrade a proxy has not passed on.
func UpgradeConnection() *Upgrade {
	return stands(http.StatusBadRequest, "the header Connection must list Upgrade: have the proxy in front pass it on")
}

// UpgradeNoVersion refuses one that names no version of the protocol.
func UpgradeNoVersion() *Upgrade {
	return stands(http.StatusBadRequest, "the header Sec-WebSocket-Version is missing")
}

// UpgradeVersion refuses one that names another version.
func UpgradeVersion() *Upgrade {
	return stands(http.StatusUpgradeRequired, "the header Sec-WebSocket-Version must be 13")
}

// UpgradeKey refuses one without a key, or with one that is none.
func UpgradeKey() *Upgrade {
	return stands(http.StatusBadRequest, "the header Sec-WebSocket-Key must be one, of 16 bytes in base64")
}

// UpgradeBody refuses one with a body.
func UpgradeBody() *Upgrade {
	return stands(http.StatusBadRequest, "an upgrade has no body")
}

// RetryAfterOthers is how many seconds to wait, at least, for what ends when
// somebody else is done.
const RetryAfterOthers = 5

// UpgradeLimited is the answer to one that a limit refuses.
func UpgradeLimited(v limit.Verdict) *Upgrade {
	switch v.Name {
	case limit.UpgradesPerAddress:
		return &Upgrade{http.StatusTooManyRequests, max(1, v.RetryAfterSeconds()),
			fmt.Sprintf("this address opens more than %d connections a second, which is its limit: try again", v.Limit)}
	case limit.ConnectionsPerAddress:
		return &Upgrade{http.StatusTooManyRequests, RetryAfterOthers,
			fmt.Sprintf("this address has %d connections, which is its limit: close one first", v.Limit)}
	case limit.Connections:
		return &Upgrade{http.StatusServiceUnavailable, RetryAfterOthers, "this server has all the connections that it can have: try again"}
	case limit.Handshakes:
		return &Upgrade{http.StatusServiceUnavailable, RetryAfterOthers, "too many logins are under way: try again"}
	}
	return &Upgrade{http.StatusServiceUnavailable, max(1, v.RetryAfterSeconds()), "too many connections are being opened: try again"}
}
