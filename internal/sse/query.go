package sse

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/statuswire/statuswire/status"
)

// queryValues reads a query whose parameters are all known, each there once.
func queryValues(raw string, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("the query of the URL cannot be read: a % or a ; in it has to be escaped")
	}
	q := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("unknown parameter %s: there are %s; a token belongs into the header Authorization", status.Quote(name), strings.Join(known, ", "))
		case len(v) > 1:
			return nil, fmt.Errorf("parameter %s is there twice", name)
		}
		q[name] = v[0]
	}
	return q, nil
}

// parseCategories reads "engine,tool": in their order, each once. "" is none.
func parseCategories(q map[string]string) ([]status.Category, error) {
	list, ok := q["categories"]
	if !ok {
		return nil, nil
	}
	var all []status.Category
	for name := range strings.SplitSeq(list, ",") {
		c, err := status.ParseCategory(name)
		if err != nil {
			return nil, fmt.Errorf("parameter categories, a list like engine,tool: %w", err)
		}
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all, nil
}

// eventsQuery is what a request for events asks for.
type eventsQuery struct {
	categories []status.Category // none: all
	after      eventID           // the last event that the asker has
	resumed    bool              // there is one
	snapshot   bool              // else the last status of each category comes first
}

// lastEventID is the header that EventSource sends when it comes back (WHATWG
// HTML, section 9.2), with the id of the last event that it has got.
const lastEventID = "Last-Event-ID"

// parseEventsQuery reads it. The header goes before the parameter last_event_id,
// which is how a page begins that has to make a new EventSource.
func parseEventsQuery(r *http.Request) (eventsQuery, error) {
	q, err := queryValues(r.URL.RawQuery, "categories", "last_event_id", "snapshot")
	if err != nil {
		return eventsQuery{}, err
	}
	var e eventsQuery
	if e.categories, err = parseCategories(q); err != nil {
		return eventsQuery{}, err
	}
	switch v, ok := q["snapshot"]; {
	case v == "true":
		e.snapshot = true
	case ok && v != "false":
		return eventsQuery{}, fmt.Errorf("parameter snapshot is %s: it must be true or false", status.Quote(v))
	}
	name, id := "header "+lastEventID, r.Header.Get(lastEventID)
	if id == "" {
		name, id = "parameter last_event_id", q["last_event_id"]
	}
	if id == "" {
		return e, nil
	}
	var ok bool
	if e.after, ok = parseEventID(id); !ok {
		return eventsQuery{}, fmt.Errorf("%s %s is no id of an event: those are like 53-d9fdx0sj3k3z, or whole numbers", name, status.Quote(id))
	}
	e.resumed = true
	return e, nil
}

// historyQuery is what a request for the history asks for: what the payload of
// edge.<c>.history has. What the values may be is the edge's to say.
type historyQuery struct {
	Categories  []status.Category `json:"categories,omitempty"` // none: all
	Epoch       string            `json:"epoch,omitempty"`
	After       uint64            `json:"after,omitempty"`
	Since       string            `json:"since,omitempty"`
	Limit       *int              `json:"limit,omitempty"`
	MinPriority string            `json:"min_priority,omitempty"`
}

func parseHistoryQuery(r *http.Request) (historyQuery, error) {
	q, err := queryValues(r.URL.RawQuery, "categories", "epoch", "after", "since", "limit", "min_priority")
	if err != nil {
		return historyQuery{}, err
	}
	for name, value := range q {
		if value == "" {
			return historyQuery{}, fmt.Errorf("parameter %s is empty: leave it out", name)
		}
	}
	h := historyQuery{Epoch: q["epoch"], Since: q["since"], MinPriority: q["min_priority"]}
	if h.Categories, err = parseCategories(q); err != nil {
		return historyQuery{}, err
	}
	if after, ok := q["after"]; ok {
		if h.After, err = strconv.ParseUint(after, 10, 64); err != nil {
			return historyQuery{}, fmt.Errorf("parameter after is %s: it must be the number of a sequence", status.Quote(after))
		}
	}
	if limit, ok := q["limit"]; ok {
		n, err := strconv.Atoi(limit)
		if err != nil {
			return historyQuery{}, fmt.Errorf("parameter limit is %s: it must be a number", status.Quote(limit))
		}
		h.Limit = &n
	}
	return h, nil
}
