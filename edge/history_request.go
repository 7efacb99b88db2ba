package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

const (
	// maxHistoryRequestBytes bounds the payload of a request for the history:
	// several times what its fields can fill.
	maxHistoryRequestBytes = 16 << 10
	// maxHistoryCategories bounds the lists of a request. A conversation has at
	// most 38 categories at a time.
	maxHistoryCategories = 64

	// maxEpochBytes is more than twice what an epoch has.
	maxEpochBytes = 32

	defaultHistoryLimit = 1000
)

// historyRequest is the payload of edge.<c>.history:
//
//	{"categories":["engine"],"epoch":"d9fdx0sj3k3z","after":120,"seen":{"engine":130},"since":"2026-01-19T12:00:00Z","limit":1000,"min_priority":"normal"}
//
// Every field may be missing, and so may all of it.
type historyRequest struct {
	categories  []status.Category
	epoch       string
	after       uint64
	seen        map[status.Category]uint64
	since       time.Time
	limit       int
	minPriority status.Priority
}

// parseHistoryRequest reads the payload. The error is a *status.Error that says
// which field is wrong.
func parseHistoryRequest(body []byte, maxLimit int) (historyRequest, error) {
	r := historyRequest{limit: min(defaultHistoryLimit, maxLimit)}
	if len(body) > maxHistoryRequestBytes {
		return r, status.ErrBadRequest.Withf("the request has %d bytes, at most %d are allowed", len(body), maxHistoryRequestBytes)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return r, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return r, status.ErrBadRequest.Withf("the request is no JSON object")
	}
	had := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return r, status.ErrBadRequest.Withf("the request is not valid JSON")
		}
		if had[name] {
			return r, status.ErrBadRequest.Withf("field %s is there twice", status.Quote(name))
		}
		had[name] = true
		if err := r.set(name, value, maxLimit); err != nil {
			return r, err
		}
	}
	if _, err := d.Token(); err != nil {
		return r, status.ErrBadRequest.Withf("the request is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, status.ErrBadRequest.Withf("something follows the request's JSON object")
	}
	return r, nil
}

// set takes one field.
func (r *historyRequest) set(name string, value json.RawMessage, maxLimit int) error {
	switch name {
	case "categories":
		return r.setCategories(value)
	case "epoch":
		if json.Unmarshal(value, &r.epoch) != nil || isNull(value) || len(r.epoch) > maxEpochBytes {
			return status.ErrBadRequest.Withf("epoch is %s: it must be a string as a join or a history gave it", quoteText(value))
		}
	case "after":
		return setSequence(&r.after, name, value)
	case "seen":
		return r.setSeen(value)
	case "since":
		var text string
		err := json.Unmarshal(value, &text)
		if err == nil {
			r.since, err = status.ParseTime(text)
		}
		if err != nil || isNull(value) {
			return status.ErrBadRequest.Withf("since is %s: write it as \"2024-01-19T12:00:00Z\"", quoteText(value))
		}
	case "limit":
		var err error
		if r.limit, err = strconv.Atoi(string(value)); err != nil || r.limit < 1 || r.limit > maxLimit {
			return status.ErrBadRequest.Withf("limit is %s: it must be a number from 1 to %d", status.Quote(string(value)), maxLimit)
		}
	case "min_priority":
		if json.Unmarshal(value, &r.minPriority) != nil || !r.minPriority.Known() {
			return status.ErrBadRequest.Withf("min_priority is %s: it must be low, normal, high or urgent", quoteText(value))
		}
	default:
		return status.ErrBadRequest.Withf("unknown field %s: there are categories, epoch, after, seen, since, limit, min_priority", status.Quote(name))
	}
	return nil
}

func (r *historyRequest) setCategories(value json.RawMessage) error {
	var names []string
	if json.Unmarshal(value, &names) != nil || isNull(value) {
		return status.ErrBadRequest.Withf("categories is %s: it must be a list of categories", status.Quote(string(value)))
	}
	if len(names) > maxHistoryCategories {
		return status.ErrBadRequest.Withf("categories has %d entries, at most %d are allowed: leave it out for all", len(names), maxHistoryCategories)
	}
	for _, name := range names {
		c, err := status.ParseCategory(name)
		if err != nil {
			return status.ErrBadRequest.Withf("categories: %v", err)
		}
		r.categories = append(r.categories, c)
	}
	return nil
}

func (r *historyRequest) setSeen(value json.RawMessage) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil || isNull(value) {
		return status.ErrBadRequest.Withf("seen is %s: it must be an object, of categories and sequences", status.Quote(string(value)))
	}
	if len(fields) > maxHistoryCategories {
		return status.ErrBadRequest.Withf("seen has %d entries, at most %d are allowed", len(fields), maxHistoryCategories)
	}
	r.seen = make(map[status.Category]uint64, len(fields))
	for name, field := range fields {
		c, err := status.ParseCategory(name)
		if err != nil {
			return status.ErrBadRequest.Withf("seen: %v", err)
		}
		var seq uint64
		if err := setSequence(&seq, "seen of "+name, field); err != nil {
			return err
		}
		r.seen[c] = seq
	}
	return nil
}

func setSequence(into *uint64, name string, value json.RawMessage) error {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return status.ErrBadRequest.Withf("%s is %s: it must be the number of a sequence", name, status.Quote(string(value)))
	}
	*into = n
	return nil
}

// quoteText shows a value that must be a string: such a one is not quoted twice.
func quoteText(value json.RawMessage) string {
	text := string(value)
	_ = json.Unmarshal(value, &text) // any other value is shown as it is
	return status.Quote(text)
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// query is what the request wants of the conversation.
func (r historyRequest) query(c status.ConversationID) history.Query {
	q := history.Query{
		Conversation: c,
		Categories:   r.categories,
		Place:        history.Place{Epoch: r.epoch, After: r.after, Seen: make(map[string]uint64, len(r.seen))},
		Since:        r.since,
		MinPriority:  r.minPriority,
	}
	for category, seq := range r.seen {
		q.Place.Seen[status.Subject(c, category)] = seq
	}
	return q
}
