package history

import (
	"time"

	"github.com/statuswire/statuswire/status"
)

// filter says which messages a replay is about.
type filter struct {
	conversation status.ConversationID
	categories   map[string]bool // the subjects of the wanted categories; nil for all
	subjects     []string        // the same as a list; a wildcard for all
	all          string          // one subject that covers them
	since        time.Time
	priority     status.Priority
}

// The times that nats-server can look for, in seconds since 1970: it counts
// nanoseconds in 64 bits (nats-server 2.15.2).
const (
	earliest = 0
	latest   = 7_258_118_400 // 2200
)

func newFilter(q Query) filter {
	f := filter{conversation: q.Conversation, all: status.ConversationSubjects(q.Conversation), priority: q.MinPriority}
	switch since := q.Since.Unix(); {
	case since > latest:
		f.since = time.Unix(latest, 0)
	case since > earliest:
		f.since = q.Since
	}
	if len(q.Categories) == 0 {
		f.subjects = []string{f.all}
		return f
	}
	f.categories = map[string]bool{}
	for _, c := range q.Categories {
		subject := status.Subject(q.Conversation, c)
		if !f.categories[subject] {
			f.categories[subject] = true
			f.subjects = append(f.subjects, subject)
		}
	}
	if len(f.subjects) == 1 {
		f.all = f.subjects[0]
	}
	return f
}

// wants decides on a message of the conversation, whatever its position.
func (f filter) wants(m Message) bool {
	if f.categories != nil && !f.categories[m.Subject] || m.Time.Before(f.since) {
		return false
	}
	return f.priority == "" || status.Priority(m.Header.Get(status.HeaderPriority)).AtLeast(f.priority)
}
