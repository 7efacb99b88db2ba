package session

import (
	"time"

	"github.com/statuswire/statuswire/status"
)

// Filter says which connections are asked for.
type Filter struct {
	// User is whose; "" for everybody's.
	User status.UserID
	// After leaves out those whose ID is not greater.
	After uint64
	// Limit is how many at most, by ID; 0 for all.
	Limit int
}

// Info is what operators may know of one connection. A token is not part of it.
type Info struct {
	// ID is the gateway's number of the connection; audit records have it too.
	ID      uint64        `json:"id"`
	User    status.UserID `json:"user"`
	Address string        `json:"address"` // the browser's, without the port
	// ConnectedAt is when the WebSocket was opened, UTC.
	ConnectedAt time.Time `json:"connected_at,omitzero"`
	// Name, Lang and Version are what CONNECT said.
	Name    string `json:"name,omitempty"`
	Lang    string `json:"lang,omitempty"`
	Version string `json:"version,omitempty"`
	// Expires is when the grant ends, UTC; zero for never.
	Expires time.Time `json:"expires,omitzero"`
	// Conversations are those in which it has a subscription, sorted.
	Conversations []status.ConversationID `json:"conversations"`
	// Subscriptions are by subject.
	Subscriptions []Subscription `json:"subscriptions"`
	// Delivered is how many messages its present subscriptions got.
	Delivered int `json:"delivered"`
	// QueueBytes is what waits because the browser reads too slowly.
	QueueBytes int `json:"queue_bytes"`
	// RTTMilliseconds is the round trip of the last WebSocket ping, which a browser
	// gets when it has sent nothing for a while; 0 for none yet.
	RTTMilliseconds float64 `json:"rtt_ms,omitempty"`
	// SubscriptionChanges is how many the user made in the last minute, over all
	// of the user's connections on this node.
	SubscriptionChanges int `json:"subscription_changes"`
}

// Subscription is one subscription of a connection.
type Subscription struct {
	Subject   string `json:"subject"`
	Queue     string `json:"queue,omitempty"`
	Delivered int    `json:"delivered"` // messages
}

// Use is who listens in a conversation now, on one node.
type Use struct {
	Connections int `json:"connections"`
	Users       int `json:"users"`
	// Categories is how many connections each category reaches. A wildcard
	// counts in all of the conversation's. Those with none are left out.
	Categories map[status.Category]int `json:"categories"`
}

// Actions that a Question can be about.
const (
	Subscribe = "subscribe"
	Publish   = "publish"
)

// Question is what an Explanation answers: may the user do that now?
type Question struct {
	User    status.UserID `json:"user"`
	Subject string        `json:"subject"`
	Queue   string        `json:"queue,omitempty"` // of a subscription
	// Action is Subscribe or Publish. Empty: Publish for edge.… and gateway.…,
	// which are requests, else Subscribe.
	Action string `json:"action,omitempty"`
}

// Explanation is what would be decided, and from what.
type Explanation struct {
	Question
	Steps []Step `json:"steps"`
	// Allowed is the verdict: for all of the user's connections, or for the next
	// one when there is none.
	Allowed bool `json:"allowed"`
	// Answer is the text of the -ERR that the browser gets; "" when allowed.
	Answer string `json:"answer,omitempty"`
	// Sessions is the verdict for each of the user's connections.
	Sessions []Verdict `json:"sessions,omitempty"`
}

// Step is one part of a decision.
type Step struct {
	Name  string `json:"step"`  // user, membership, grant, limits, verdict
	Found string `json:"found"` // what holds
	From  string `json:"from"`  // what was read for it
}

// Verdict is what one connection would get.
type Verdict struct {
	ID      uint64 `json:"id"`
	Allowed bool   `json:"allowed"`
	Answer  string `json:"answer,omitempty"`
}
