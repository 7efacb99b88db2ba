package session

import (
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server/gsl"

	"github.com/statuswire/statuswire/status"
)

// rules is one compiled list of a permission: subjects, each with the queue
// group it is limited to ("" for none).
type rules = gsl.GenericSublist[string]

// permissions decides as nats-server 2.15 does: without an allow list everything is
// allowed, a deny list overrules.
type permissions struct {
	shape       *shape // in place of allow, if the list has one
	allow, deny *rules
	entries     int // of allow and deny
}

// compile compiles p, whose allow list has the given shape if it has one.
func compile(p jwt.Permission, conversations []status.ConversationID, subjects func(status.ConversationID) []string, take func(string) (status.ConversationID, bool)) (permissions, error) {
	deny, err := compileList(p.Deny)
	if err != nil {
		return permissions{}, err
	}
	if s, ok := shapeOf(p.Allow, conversations, subjects, take); ok {
		return permissions{shape: s, deny: deny, entries: len(p.Deny)}, nil
	}
	allow, err := compileList(p.Allow)
	if err != nil {
		return permissions{}, err
	}
	return permissions{allow: allow, deny: deny, entries: len(p.Allow) + len(p.Deny)}, nil
}

// What compiled permissions take of memory, as TestAGrantTakesNoMoreThanItSays
// measures it, but for the conversations, which the grant has.
const (
	bytesOfEntry = 704 // of rules
	bytesOfMore  = 64  // of a shape's other subjects
)

func (p permissions) bytes() int {
	n := p.entries * bytesOfEntry
	if p.shape != nil {
		for _, entry := range p.shape.more {
			n += len(entry) + bytesOfMore
		}
	}
	return n
}

func compileList(list jwt.StringList) (*rules, error) {
	if len(list) == 0 {
		return nil, nil
	}
	l := gsl.NewSublist[string]()
	for _, entry := range list {
		subject, queue, _ := strings.Cut(entry, " ")
		if err := l.Insert(subject, strings.TrimSpace(queue)); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// publish decides on a PUB to subject.
func (p permissions) publish(subject string) bool {
	switch {
	case p.shape != nil && !p.shape.covers(subject):
		return false
	case p.allow != nil && !covers(p.allow, subject):
		return false
	}
	return p.deny == nil || !covers(p.deny, subject)
}

// subscribe decides on a SUB of subject, in queue group queue unless it is "".
//
// An entry "foo" allows foo plainly and in any group; "foo v1" only in group v1;
// with both, foo plainly and only in group v1 (nats-server client.go,
// canSubscribeInternal).
func (p permissions) subscribe(subject, queue string) bool {
	if p.shape != nil && !p.shape.covers(subject) {
		return false
	}
	if p.allow != nil {
		m := match(p.allow, subject, queue)
		allowed := m.plain
		if queue != "" && m.queued {
			allowed = m.sameQueue
		}
		if !allowed {
			return false
		}
	}
	return p.receive(subject, queue)
}

// receive decides on the delivery of a message on subject to a subscription that
// was allowed: a wildcard reaches over what a deny list takes out.
func (p permissions) receive(subject, queue string) bool {
	if p.deny == nil {
		return true
	}
	m := match(p.deny, subject, queue)
	return !m.plain && (queue == "" || !m.sameQueue)
}

// matched says which kinds of entry cover a subject.
type matched struct{ plain, queued, sameQueue bool }

func match(l *rules, subject, queue string) matched {
	var m matched
	l.Match(subject, func(q string) {
		switch {
		case q == "":
			m.plain = true
		default:
			m.queued = true
			m.sameQueue = m.sameQueue || queueCovers(q, queue)
		}
	})
	return m
}

// covers is true when an entry without a queue group covers the subject.
func covers(l *rules, subject string) bool {
	return match(l, subject, "").plain
}

// queueCovers compares queue group names; an allowed name may hold wildcards.
func queueCovers(pattern, queue string) bool {
	if pattern == queue {
		return true
	}
	if !strings.ContainsAny(pattern, "*>") {
		return false
	}
	l := gsl.NewSimpleSublist()
	return l.Insert(pattern, struct{}{}) == nil && l.HasInterest(queue)
}
