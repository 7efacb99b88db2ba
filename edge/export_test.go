package edge

import "github.com/statuswire/statuswire/internal/history"

// ParseHistoryRequest reads a payload as the service does.
func ParseHistoryRequest(body []byte) (q history.Query, limit int, err error) {
	r, err := parseHistoryRequest(body, DefaultOptions().History.MaxStatuses)
	return r.query("c1"), r.limit, err
}
