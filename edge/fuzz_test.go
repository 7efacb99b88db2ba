package edge_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

func FuzzHistoryRequest(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"after":1}{`, `{"after":18446744073709551615}`, `{"after":1,"after":2}`, `{"after":-0}`,
		`{"categories":["engine","a_1"],"after":120,"seen":{"engine":130},"since":"2024-01-19T12:00:00.123+01:00","limit":1000,"min_priority":"normal"}`,
		`{"categories":["\u0065ngine"]}`, `{"\u0061fter":1}`, `{"seen":{"engine":1,"engine":2}}`, `{"since":"0000-01-01T00:00:00Z"}`, `{"since":"2016-12-31t23:59:60.5z"}`,
		`{"limit":1e1}`, `{"epoch":"d9fdx0sj3k3z","after":1}`, `{"epoch":null}`, `{"epoch":"\ud800"}`, `{"min_priority":"urgent","x":[[[[[]]]]]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, limit, err := edge.ParseHistoryRequest(body)
		if err != nil {
			var refusal *status.Error
			if !errors.As(err, &refusal) || !errors.Is(err, status.ErrBadRequest) {
				t.Fatalf("error %v", err)
			}
			if len(refusal.Description) > 400 || !utf8.ValidString(refusal.Description) {
				t.Fatalf("text %q", refusal.Description)
			}
			return
		}
		if limit < 1 || limit > 10_000 || len(q.Categories) > 64 || len(q.Place.Seen) > 64 {
			t.Fatalf("%d statuses, %d categories, %d seen", limit, len(q.Categories), len(q.Place.Seen))
		}
		for _, c := range q.Categories {
			if _, err := status.ParseCategory(string(c)); err != nil {
				t.Fatal(err)
			}
		}
		for subject := range q.Place.Seen {
			if c, _, err := status.ParseSubject(subject); err != nil || c != "c1" {
				t.Fatalf("seen %q: %v", subject, err)
			}
		}
		if len(q.Place.Epoch) > 32 {
			t.Fatalf("epoch %q", q.Place.Epoch)
		}
		if q.MinPriority != "" && !q.MinPriority.Known() {
			t.Fatalf("priority %q", q.MinPriority)
		}
		again, limitAgain, err := edge.ParseHistoryRequest(write(t, q, limit))
		if err != nil || limitAgain != limit || !same(q, again) {
			t.Fatalf("written again it is %+v, %d, %v; it was %+v, %d", again, limitAgain, err, q, limit)
		}
	})
}

// write is the request for the query.
func write(t *testing.T, q history.Query, limit int) []byte {
	t.Helper()
	seen := map[status.Category]uint64{}
	for subject, seq := range q.Place.Seen {
		_, c, err := status.ParseSubject(subject)
		if err != nil {
			t.Fatal(err)
		}
		seen[c] = seq
	}
	fields := map[string]any{"categories": append([]status.Category{}, q.Categories...), "epoch": q.Place.Epoch, "after": q.Place.After, "seen": seen, "limit": limit}
	if !q.Since.IsZero() {
		fields["since"] = q.Since.Format(time.RFC3339Nano)
	}
	if q.MinPriority != "" {
		fields["min_priority"] = q.MinPriority
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func same(a, b history.Query) bool {
	sameTime := a.Since.Equal(b.Since)
	a.Since, b.Since = time.Time{}, time.Time{}
	if len(a.Categories) == 0 && len(b.Categories) == 0 {
		a.Categories, b.Categories = nil, nil
	}
	return sameTime && reflect.DeepEqual(a, b)
}
