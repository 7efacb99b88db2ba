package mark

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/statuswire/statuswire/status"
)

// record is what the stream keeps of one key. Without marks it says that there are
// none any more.
type record struct {
	key         Key
	connections int // how many may come back
	marks       map[string]spot
}

// A message of the stream has one record a line. The last record of a key counts.
//
//	{"u":"alice","n":"6f9619ff-…","k":2,"m":{"c1":{"engine":{"e":"d9fdx0sj3k3z","a":120,"t":1768824191500},"*":{"e":"d9fdx0sj3k3z","a":100,"s":{"tool":130},"n":2}}}}
//
// u user, n name, k connections (1 when left out), m marks by conversation and the
// last token of the subject; of a mark, e is Place.Epoch, a is Place.After, s is Place.Seen by
// category, n subscriptions (1 when left out), t the end in milliseconds of Unix
// time, left out while the connection is open.
type wireRecord struct {
	User        status.UserID                                 `json:"u"`
	Name        string                                        `json:"n"`
	Connections int                                           `json:"k,omitempty"`
	Marks       map[status.ConversationID]map[string]wireMark `json:"m,omitempty"`
}

type wireMark struct {
	Epoch         string            `json:"e,omitempty"`
	After         uint64            `json:"a,omitempty"`
	Seen          map[string]uint64 `json:"s,omitempty"`
	Subscriptions int               `json:"n,omitempty"`
	Until         int64             `json:"t,omitempty"`
}

// split takes a subject apart at its last dot: status.<c>. and the rest.
func split(subject string) (c status.ConversationID, last string, err error) {
	rest, ok := strings.CutPrefix(subject, subjectPrefix)
	id, last, two := strings.Cut(rest, ".")
	if !ok || !two || last == "" || strings.Contains(last, ".") {
		return "", "", fmt.Errorf("%q is no subject of statuses", subject)
	}
	c, err = status.ParseConversationID(id)
	return c, last, err
}

const subjectPrefix = "status."

func join(c status.ConversationID, last string) string {
	return subjectPrefix + string(c) + "." + last
}

// appendRecord appends the record's line.
func appendRecord(dst []byte, r record) ([]byte, error) {
	w := wireRecord{User: r.key.User, Name: r.key.Name, Marks: map[status.ConversationID]map[string]wireMark{}}
	if r.connections > 1 {
		w.Connections = r.connections
	}
	for subject, sp := range r.marks {
		c, last, err := split(subject)
		if err != nil {
			return nil, err
		}
		m := wireMark{Epoch: sp.Place.Epoch, After: sp.Place.After}
		if sp.Subscriptions > 1 {
			m.Subscriptions = sp.Subscriptions
		}
		if !sp.until.IsZero() {
			m.Until = sp.until.UnixMilli()
		}
		for literal, seq := range sp.Place.Seen {
			if m.Seen == nil {
				m.Seen = map[string]uint64{}
			}
			m.Seen[strings.TrimPrefix(literal, join(c, ""))] = seq
		}
		if w.Marks[c] == nil {
			w.Marks[c] = map[string]wireMark{}
		}
		w.Marks[c][last] = m
	}
	line, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	return append(append(dst, line...), '\n'), nil
}

// readRecords reads what appendRecord has written. What cannot be read is left out,
// and told in the error.
func readRecords(data []byte) ([]record, error) {
	var all []record
	var errs []error
	for line := range bytes.Lines(data) {
		r, err := readRecord(line)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

func readRecord(line []byte) (record, error) {
	var w wireRecord
	if err := json.Unmarshal(line, &w); err != nil {
		return record{}, fmt.Errorf("a mark that is no JSON: %w", err)
	}
	if _, err := status.ParseUserID(string(w.User)); err != nil || !Resumable(w.Name) {
		return record{}, fmt.Errorf("a mark without a user and a name that can be: %w", errors.Join(err))
	}
	r := record{key: Key{w.User, w.Name}, connections: max(1, w.Connections), marks: map[string]spot{}}
	for c, marks := range w.Marks {
		for last, m := range marks {
			subject := join(c, last)
			if _, _, err := split(subject); err != nil {
				return record{}, err
			}
			sp := spot{Mark: Mark{Place{Epoch: m.Epoch, After: m.After}, max(1, m.Subscriptions)}}
			if m.Until != 0 {
				sp.until = time.UnixMilli(m.Until)
			}
			for category, seq := range m.Seen {
				if sp.Place.Seen == nil {
					sp.Place.Seen = map[string]uint64{}
				}
				sp.Place.Seen[join(c, category)] = seq
			}
			r.marks[subject] = sp
		}
	}
	// Only what appendRecord writes is one: what else came into the stream is nobody's.
	again, err := appendRecord(nil, r)
	if err != nil || !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), bytes.TrimSuffix(line, []byte("\n"))) {
		return record{}, errors.New("a mark that is not as it is written here: a field more, twice, or in another order")
	}
	return r, nil
}
