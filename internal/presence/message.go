package presence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/statuswire/statuswire/status"
)

// Subjects of the node protocol. They have one token more than presence.<c>, so no
// conversation can be taken for them.
const (
	nodeSubjects = "presence.node.*"
	nodePrefix   = "presence.node."

	verbDiff     = "diff"     // entries that changed
	verbSnapshot = "snapshot" // all entries of some buckets
	verbBye      = "bye"      // the node ends
)

// Bounds of what another node may say.
const (
	maxNodeBytes   = 128
	maxLost        = 1 << 12
	maxConnections = 1 << 20 // of one user in one conversation on one node
	maxUnixMillis  = 1 << 43 // the year 2248
	maxExactInt    = 1 << 53 // what a JSON number holds exactly everywhere
)

// message is one message of the node protocol.
type message struct {
	verb string
	// Node and Incarnation say who. The incarnation is the node's start in Unix
	// microseconds.
	Node        string `json:"node"`
	Incarnation uint64 `json:"incarnation"`
	// Seq is the node's number of the change: of a diff its own, of a snapshot
	// the last one that is in it.
	Seq uint64 `json:"seq"`
	// Ready: the node may announce.
	Ready bool `json:"ready"`
	// From and To are the buckets [From, To) of a snapshot; both 0 for a node
	// that only says that it is there.
	From    int     `json:"from,omitempty"`
	To      int     `json:"to,omitempty"`
	Entries []entry `json:"members,omitempty"`
	// Lost, in a snapshot, names nodes that were silent for too long and are heard
	// again.
	Lost []string `json:"lost,omitempty"`
}

// key is a user in a conversation.
type key struct {
	conversation status.ConversationID
	user         status.UserID
}

// value is what a node says of a key: how many connections, 0 for none, and since
// when, in Unix milliseconds.
type value struct {
	connections int
	since       int64
}

// entry is a key and its value on the wire.
type entry struct {
	Conversation status.ConversationID `json:"c"`
	User         status.UserID         `json:"u"`
	Connections  int                   `json:"n"`
	Since        int64                 `json:"t,omitempty"`
}

func (e entry) key() key     { return key{e.Conversation, e.User} }
func (e entry) value() value { return value{e.Connections, e.Since} }

func newEntry(k key, v value) entry { return entry{k.conversation, k.user, v.connections, v.since} }

// size is about how long the entry is on the wire, at most.
func (e entry) size() int { return len(e.Conversation) + 2*len(e.User) + 64 }

// time is the value's since for people.
func (v value) time() time.Time { return time.UnixMilli(v.since).UTC() }

// numBuckets is into how many parts a snapshot can be cut. Part of the protocol.
const numBuckets = 256

// bucket is the key's part. Part of the protocol: FNV-1a over both strings.
func (k key) bucket() int {
	h := hash(hashStart, string(k.conversation))
	return int(hash(hash(h, "\x00"), string(k.user)) % numBuckets)
}

const hashStart uint32 = 2166136261

// hash is FNV-1a with 32 bits, to be gone on with.
func hash(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// encode makes the JSON of a message or an announcement, without HTML escapes.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // numbers, strings and times of this century always do
		panic("presence: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decode reads a message of the node protocol and checks all of it.
func decode(subject string, data []byte) (message, error) {
	m := message{verb: strings.TrimPrefix(subject, nodePrefix)}
	if m.verb != verbDiff && m.verb != verbSnapshot && m.verb != verbBye {
		return message{}, fmt.Errorf("presence: verb %s is not known", status.Quote(m.verb))
	}
	if !utf8.Valid(data) { // json would take it, changed
		return message{}, errors.New("presence: message is not valid UTF-8")
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, fmt.Errorf("presence: message of a node: %w", err)
	}
	if err := m.check(); err != nil {
		return message{}, err
	}
	if !bytes.Equal(encode(m), data) {
		return message{}, errors.New("presence: message is not as a node writes it: a field more, twice, or in another order")
	}
	return m, nil
}

func (m message) check() error {
	switch {
	case !validNode(m.Node):
		return fmt.Errorf("presence: node %s is no name", status.Quote(m.Node))
	case m.Incarnation == 0 || m.Incarnation > maxExactInt || m.Seq > maxExactInt:
		return fmt.Errorf("presence: incarnation %d or number %d is out of range", m.Incarnation, m.Seq)
	case m.From < 0 || m.To > numBuckets || m.From > m.To:
		return fmt.Errorf("presence: buckets %d to %d are out of range", m.From, m.To)
	case m.verb != verbSnapshot && m.To != 0 || m.verb == verbBye && len(m.Entries) > 0:
		return fmt.Errorf("presence: a %s has no such part", m.verb)
	}
	if len(m.Lost) > maxLost {
		return fmt.Errorf("presence: %d lost nodes are more than %d", len(m.Lost), maxLost)
	}
	for _, e := range m.Entries {
		if err := m.checkEntry(e); err != nil {
			return err
		}
	}
	return nil
}

func (m message) checkEntry(e entry) error {
	if _, err := status.ParseConversationID(string(e.Conversation)); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	if _, err := status.ParseUserID(string(e.User)); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	least := 0
	if m.verb == verbSnapshot {
		least = 1
		if b := e.key().bucket(); b < m.From || b >= m.To {
			return fmt.Errorf("presence: an entry of bucket %d stands in buckets %d to %d", b, m.From, m.To)
		}
	}
	if e.Connections < least || e.Connections > maxConnections || e.Since < 0 || e.Since > maxUnixMillis {
		return fmt.Errorf("presence: %d connections since %d are out of range", e.Connections, e.Since)
	}
	return nil
}

func validNode(s string) bool {
	return s != "" && len(s) <= maxNodeBytes && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
