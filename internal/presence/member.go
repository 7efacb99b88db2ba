package presence

import (
	"cmp"
	"slices"
	"time"

	"github.com/statuswire/statuswire/status"
)

// Member is a user who is present in a conversation, over all nodes.
type Member struct {
	User status.UserID `json:"user"`
	// Connections have at least one subscription in the conversation, or had one
	// within the grace.
	Connections int `json:"connections"`
	// Since is when the user's presence began, in UTC.
	Since time.Time `json:"since"`
}

// Left names a user who is not present any more.
type Left struct {
	User status.UserID `json:"user"`
}

// Announcement is what presence.<c> carries. Joins are absolute values: of users
// who came and of users whose connections changed. Whoever applies announcements
// in their order has the list of the announcer.
type Announcement struct {
	// Version grows with every announcement of a conversation. After is the
	// version of the announcement before: when it is not the last one that a
	// watcher has seen, something was missed, and edge.<c>.presence has the list.
	Version uint64 `json:"version"`
	After   uint64 `json:"after"`
	// Reset: Joins are the beginning of a whole list, who is not in it or in the
	// announcements after it is not present. After is 0 then.
	Reset  bool     `json:"reset,omitempty"`
	Joins  []Member `json:"joins"`
	Leaves []Left   `json:"leaves"`
}

// byArrival orders members for people: who came first, first.
func byArrival(a, b Member) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.User, b.User))
}

// compare returns what makes the list after out of the list before. Pure.
func compare(before, after map[status.UserID]Member) (joins []Member, leaves []Left) {
	for u, m := range after {
		if old, ok := before[u]; !ok || old != m {
			joins = append(joins, m)
		}
	}
	for u := range before {
		if _, ok := after[u]; !ok {
			leaves = append(leaves, Left{u})
		}
	}
	slices.SortFunc(joins, byArrival)
	slices.SortFunc(leaves, func(a, b Left) int { return cmp.Compare(a.User, b.User) })
	return joins, leaves
}
