package kv

import (
	"slices"

	"github.com/statuswire/statuswire/internal/bucket"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// users are the conversations that admit each user, ascending.
type users map[status.UserID][]status.ConversationID

func newUsers() bucket.Index[directory.Conversation] { return users{} }

// Put implements bucket.Index.
func (u users) Put(_ string, c directory.Conversation) {
	for _, who := range admitted(c) {
		ids := u[who]
		if i, there := slices.BinarySearch(ids, c.ID); !there {
			u[who] = slices.Insert(ids, i, c.ID)
		}
	}
}

// Drop implements bucket.Index.
func (u users) Drop(_ string, c directory.Conversation) {
	for _, who := range admitted(c) {
		ids := u[who]
		i, there := slices.BinarySearch(ids, c.ID)
		switch {
		case !there:
		case len(ids) == 1:
			delete(u, who)
		default:
			u[who] = slices.Delete(ids, i, i+1)
		}
	}
}

// admitted lists the owner and the members; the owner may be there twice.
func admitted(c directory.Conversation) []status.UserID {
	return append([]status.UserID{c.Owner}, c.Members...)
}
