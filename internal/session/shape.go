package session

import (
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

// shape is a list of allowed subjects that has, for each of the conversations, the
// same few subjects: so does our own callout write it. It is decided from the
// conversations alone, in a fiftieth of the memory of the rules that it stands for. A
// list of any other shape, as of a callout of a team's own, is compiled to rules.
type shape struct {
	conversations []status.ConversationID // sorted; the grant's
	// take finds the conversation whose subjects would cover the subject, if it is
	// among them.
	take func(subject string) (status.ConversationID, bool)
	more []string // what the list has beside them, without queue groups
}

// mostMore is how many other subjects a shape may have: they are compared one by one.
const mostMore = 8

// shapeOf is false for a list that has not all the subjects of each conversation, or
// too much beside them.
func shapeOf(list jwt.StringList, conversations []status.ConversationID, subjects func(status.ConversationID) []string, take func(string) (status.ConversationID, bool)) (*shape, bool) {
	s := &shape{conversations: conversations, take: take}
	missing := map[string]bool{}
	for _, c := range conversations {
		for _, subject := range subjects(c) {
			missing[subject] = true
		}
	}
	wanted := len(missing)
	for _, entry := range list {
		if first, ours := missing[entry]; ours {
			if first {
				missing[entry] = false
				wanted--
			}
			continue
		}
		if len(s.more) == mostMore || !natsproto.IsPattern(entry) { // a queue group has a space
			return nil, false
		}
		s.more = append(s.more, strings.Clone(entry))
	}
	return s, wanted == 0 && len(list) > 0
}

// covers is true when the list has an entry that covers the subject.
func (s *shape) covers(subject string) bool {
	if c, ok := s.take(subject); ok {
		if _, known := slices.BinarySearch(s.conversations, c); known {
			return true
		}
	}
	if hasEmptyToken(subject) {
		return false
	}
	for _, entry := range s.more {
		if natsproto.Matches(entry, subject) {
			return true
		}
	}
	return false
}

func subscriptionsOf(c status.ConversationID) []string {
	return []string{status.ConversationSubjects(c), status.PresenceSubject(c)}
}

func takeSubscription(subject string) (status.ConversationID, bool) {
	root, rest, _ := strings.Cut(subject, ".")
	switch root {
	case "status":
		c, last, _ := strings.Cut(rest, ".")
		return status.ConversationID(c), last != "" && !strings.Contains(last, ".")
	case "presence":
		return status.ConversationID(rest), true
	}
	return "", false
}

func requestsOf(c status.ConversationID) []string {
	var all []string
	for _, verb := range status.EdgeVerbs() {
		all = append(all, status.EdgeSubject(c, verb))
	}
	return all
}

func takeRequest(subject string) (status.ConversationID, bool) {
	root, rest, _ := strings.Cut(subject, ".")
	c, verb, _ := strings.Cut(rest, ".")
	switch verb {
	case status.EdgeJoin, status.EdgePresence, status.EdgeHistory:
		return status.ConversationID(c), root == "edge"
	}
	return "", false
}

func hasEmptyToken(subject string) bool {
	return subject == "" || subject[0] == '.' || subject[len(subject)-1] == '.' || strings.Contains(subject, "..")
}

// joined returns the same ids in one piece of memory, so that nothing else is kept for
// them.
func joined(ids []status.ConversationID) []status.ConversationID {
	size := 0
	for _, id := range ids {
		size += len(id)
	}
	var b strings.Builder
	b.Grow(size)
	for _, id := range ids {
		b.WriteString(string(id))
	}
	all, out := b.String(), make([]status.ConversationID, len(ids))
	for i, id := range ids {
		out[i], all = status.ConversationID(all[:len(id)]), all[len(id):]
	}
	return out
}
