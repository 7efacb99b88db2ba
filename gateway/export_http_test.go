package gateway

import (
	"encoding/json"
	"net/http"
)

// ParseEventsQuery reads the query of a request for events.
func ParseEventsQuery(r *http.Request) (categories []string, after uint64, resumed bool, err error) {
	q, err := parseEventsQuery(r)
	for _, c := range q.categories {
		categories = append(categories, string(c))
	}
	return categories, q.after, q.resumed, err
}

// HistoryQuery reads the query of a request for the history and makes what the
// edge is asked.
func HistoryQuery(r *http.Request) ([]byte, error) {
	q, err := parseHistoryQuery(r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(q)
}
