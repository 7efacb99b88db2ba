package refusal

import (
	"fmt"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// reasonLimited says which limit was hit, and what to do.
func reasonLimited(v limit.Verdict) string {
	switch v.Name {
	case limit.Categories:
		return reasonTooManyCategories(v)
	case limit.SubscriptionChanges:
		return reasonTooManyChanges(v)
	case limit.Subscriptions:
		return reasonTooManySubs(v.Limit)
	case limit.GrantChanges:
		return reasonTooManyGrantChanges(v)
	}
	return ""
}

// LoginLimited is what a login is told that the limit ends; "" when it is none on
// logins.
func LoginLimited(v limit.Verdict) string {
	switch v.Name {
	case limit.FailedLogins:
		return ReasonFailedLogins(v)
	case limit.ConnectionsPerUser:
		return ReasonUserConnections(v)
	}
	return ""
}

// ReasonTokenTooLong is of a token of more than most bytes.
func ReasonTokenTooLong(most int) string {
	return fmt.Sprintf("token too long: at most %d bytes are allowed", most)
}

// ReasonFailedLogins is of an address that has tried too many bad tokens.
func ReasonFailedLogins(v limit.Verdict) string {
	return fmt.Sprintf("%d failed logins from this address within a minute, which is the limit: try again in %d s", v.Limit, v.RetryAfterSeconds())
}

// ReasonUserConnections is of a user with as many connections as one may have.
func ReasonUserConnections(v limit.Verdict) string {
	return fmt.Sprintf("this user has %d connections, which is the limit: close one first", v.Limit)
}

// Texts of -ERR that leave the connection open. The first words are nats-server's:
// clients find the subscription by them. A reason never contains
// `Subscription to "` or `using queue "`.

// SubText is the text of the -ERR that refuses a SUB; queue and reason may be "".
func SubText(subject, queue, reason string) string {
	text := fmt.Sprintf("Permissions Violation for Subscription to %q", subject)
	if queue != "" {
		text += fmt.Sprintf(" using queue %q", queue)
	}
	return withReason(text, reason)
}

// PubText is the text of the -ERR that refuses a PUB; reason may be "".
func PubText(subject, reason string) string {
	return withReason(fmt.Sprintf("Permissions Violation for Publish to %q", subject), reason)
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

// ReasonLostAccess is of a subscription in a conversation that the user may not see any more.
func ReasonLostAccess(c status.ConversationID) string {
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

// ReasonTooManyInStream is of a stream over HTTP that asks for more categories than it may have.
func ReasonTooManyInStream(most int) string {
	return fmt.Sprintf("a stream may have %d categories: name fewer in the parameter categories", most)
}

func reasonTooManyChanges(v limit.Verdict) string {
	return fmt.Sprintf("more than %d subscription changes within a minute: try again in %d s", v.Limit, v.RetryAfterSeconds())
}

func reasonTooManyConversations(limit int) string {
	return fmt.Sprintf("this login has subscriptions or requests in %d conversations, which is its limit: unsubscribe from one first", limit)
}

// reasonTooManyGrantChanges is of a user who has caused too many login decisions.
func reasonTooManyGrantChanges(v limit.Verdict) string {
	return fmt.Sprintf("more than %d grant changes within a minute: try again in %d s", v.Limit, v.RetryAfterSeconds())
}

// ReasonTooManyRequests is of a connection whose requests are not answered yet.
func ReasonTooManyRequests(limit int) string {
	return fmt.Sprintf("%d requests wait for an answer, which is the limit: wait for one first", limit)
}

// Reasons that need no figures.
const (
	ReasonConnectFirst  = "CONNECT must come first"
	ReasonConnectTwice  = "a connection is authenticated once: open another one, or hand in a fresh token with a request to gateway.token"
	ReasonNoToken       = "no token: put your application's token into the connection's token option"
	ReasonTokenBytes    = "token malformed: it has control characters, or bytes that are not UTF-8"
	ReasonNoCategory    = "this is no category: 1 to 32 of a-z, 0-9 and _, a letter first"
	ReasonNoBearer      = "no token: send your application's token in the header Authorization: Bearer, or in the cookie that the settings name"
	reasonNotGranted    = "the login does not cover it"
	ReasonLongQueue     = "the name of the queue group is too long: at most 128 bytes"
	ReasonNotServed     = "only status, presence and inbox subjects are served here"
	ReasonUnavailable   = "the service is not available just now: try again"
	ReasonOtherUser     = "the fresh token is another user's: open another connection for that user"
	ReasonUpstreamFull  = "the server follows as many subjects as it may: try again later"
	ReasonUpstreamFails = "statuses cannot be delivered just now: subscribe again"
)
