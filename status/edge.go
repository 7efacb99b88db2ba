package status

import (
	"fmt"
	"strings"
)

// What a browser may ask the gateway that holds its socket. Both are answered
// there and never forwarded.
const (
	// GatewaySubscriptions lists the connection's own subscriptions.
	GatewaySubscriptions = "gateway.subscriptions"
	// GatewayToken takes a fresh token and renews the grant in place.
	GatewayToken = "gateway.token"
)

// EdgeVerbs are the requests that the edge answers for a conversation, each on
// EdgeSubject(c, verb). A grant for a conversation covers all of them.
func EdgeVerbs() []string { return []string{EdgeJoin, EdgePresence, EdgeHistory} }

const (
	// EdgeJoin asks for the welcome: categories, limits, who is present, and the
	// last status of each category.
	EdgeJoin = "join"
	// EdgePresence asks who is present.
	EdgePresence = "presence"
	// EdgeHistory asks for stored statuses. The answer is many messages: one for
	// each status, and a last one with an empty payload.
	EdgeHistory = "history"
)

// edgeFlow is no verb to ask with: the edge gives its messages to a gateway the
// reply subject edge.<c>.flow.<token> when it wants to know that there is room
// for more.
const edgeFlow = "flow"

// EdgeFlowSubjects is every subject on which a gateway tells that there is room.
const EdgeFlowSubjects = edgeRoot + ".*." + edgeFlow + ".*"

// EdgeFlowGone is what a gateway says there when nobody waits for the answer any
// more. An empty message says that there is room.
const EdgeFlowGone = "gone"

// EdgeFlowSubject is where a gateway tells that there is room for more of the
// answer that the token stands for.
func EdgeFlowSubject(c ConversationID, token string) string {
	return EdgeSubject(c, edgeFlow) + "." + token
}

// IsEdgeFlowSubject reports whether the subject is one of EdgeFlowSubjects.
func IsEdgeFlowSubject(subject string) bool {
	tokens := strings.Split(subject, ".")
	return len(tokens) == 4 && tokens[0] == edgeRoot && tokens[2] == edgeFlow
}

// Headers of the answer to EdgeHistory. Each status has the first three, the last
// message the others, and HeaderTruncated.
const (
	HeaderSequence  = "Nats-Sequence"   // in the stream
	HeaderSubject   = "Nats-Subject"    // status.<c>.<cat>
	HeaderTimeStamp = "Nats-Time-Stamp" // when it was stored, RFC 3339

	HeaderCount     = "Status-Count"      // how many statuses came
	HeaderNextAfter = "Status-Next-After" // everything wanted up to it has come: ask again after it
	HeaderEpoch     = "Status-Epoch"      // which life of the stream HeaderNextAfter is of: send it along
	HeaderMore      = "Status-More"       // "true" when the answer was cut: ask again at once
)

// Why a request to the edge was refused. What is passing is ErrUnavailable and
// ErrOverloaded here too.
var (
	ErrBadRequest     = &Error{400, 20101, "request makes no sense"}
	ErrNotTheirs      = &Error{404, 20102, "conversation is not found or not yours"}
	ErrAheadOfStream  = &Error{409, 20121, "position is not of the stream's data of now"}
	ErrTooManyReplays = &Error{429, 20122, "too many histories are being read"}
	// ErrTooManyRequests: of the same user.
	ErrTooManyRequests = &Error{429, 20123, "too many requests wait for their answers"}
)

// NotTheirs is the one text for a conversation that does not exist and for a
// stranger's, so that nobody can find out which ids are taken. What is no id is
// cut as Quote does it.
func NotTheirs(conversation string) string {
	quoted := Quote(conversation)
	if _, err := ParseConversationID(conversation); err == nil {
		quoted = fmt.Sprintf("%q", conversation)
	}
	return fmt.Sprintf("conversation %s is not found or not yours", quoted)
}
