package presence

import (
	"slices"

	"github.com/statuswire/statuswire/status"
)

// view is the sum of the replicas: who is present where. It has no clock.
type view struct {
	replicas map[string]*replica
	// present counts, by conversation and user, the nodes with a connection.
	present map[status.ConversationID]map[status.UserID]int
	users   int // in present
}

func newView() *view {
	return &view{
		replicas: map[string]*replica{},
		present:  map[status.ConversationID]map[status.UserID]int{},
	}
}

// replica returns the node's replica, a new one if there is none.
func (v *view) replica(node string) *replica {
	r := v.replicas[node]
	if r == nil {
		r = &replica{}
		v.replicas[node] = r
	}
	return r
}

// changed keeps present in step with the replicas.
func (v *view) changed(c change) {
	was, is := c.old.connections > 0, c.new.connections > 0
	if was == is {
		return
	}
	users := v.present[c.conversation]
	if users == nil {
		users = map[status.UserID]int{}
		v.present[c.conversation] = users
	}
	if is {
		users[c.user]++
		if users[c.user] == 1 {
			v.users++
		}
		return
	}
	users[c.user]--
	if users[c.user] == 0 {
		delete(users, c.user)
		v.users--
	}
	if len(users) == 0 {
		delete(v.present, c.conversation)
	}
}

// member is the sum over the nodes; false when the user is not present.
func (v *view) member(k key) (Member, bool) {
	if v.present[k.conversation][k.user] == 0 {
		return Member{}, false
	}
	var sum value
	for _, r := range v.replicas {
		if got := r.get(k); got.connections > 0 {
			sum.connections += got.connections
			if sum.since == 0 || got.since < sum.since {
				sum.since = got.since
			}
		}
	}
	return Member{User: k.user, Connections: sum.connections, Since: sum.time()}, true
}

// members is the conversation's list by user.
func (v *view) members(c status.ConversationID) map[status.UserID]Member {
	out := make(map[status.UserID]Member, len(v.present[c]))
	for u := range v.present[c] {
		out[u], _ = v.member(key{c, u})
	}
	return out
}

// list is the conversation's list in the order of arrival.
func (v *view) list(c status.ConversationID) []Member {
	out := make([]Member, 0, len(v.present[c]))
	for u := range v.present[c] {
		m, _ := v.member(key{c, u})
		out = append(out, m)
	}
	slices.SortFunc(out, byArrival)
	return out
}
