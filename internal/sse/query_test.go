package sse_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/sse"
	"github.com/statuswire/statuswire/status"
)

// FuzzEventsQuery holds what is let through: known categories, each once, and an
// id that was there.
func FuzzEventsQuery(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"categories=engine,tool", "53"}, {"categories=engine&last_event_id=7", ""}, {"categories=a%2Cb,a", "0"},
		{"categories", ""}, {"categories=;", ""}, {"last_event_id=18446744073709551616", ""}, {"token=x", ""}, {"categories=a&categories=b", "1"},
		{"%", "-1"}, {"last_event_id=%30", "\x00"}, {"&&categories=a&&", "+1"},
		{"", "53-d9fdx0sj3k3z"}, {"last_event_id=007-a", ""}, {"", "1-"}, {"", "-a"}, {"", "1-a\nid: 2"}, {"", "1-A"}, {"", "1-a-b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, query, id string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Last-Event-Id": {id}}}
		categories, after, resumed, err := sse.ParseEventsQuery(r)
		if err != nil {
			if len(err.Error()) > 400 {
				t.Fatalf("an error of %d bytes: %s", len(err.Error()), err)
			}
			return
		}
		values := r.URL.Query()
		for name, v := range values {
			if name != "categories" && name != "last_event_id" && name != "snapshot" || len(v) != 1 {
				t.Fatalf("%q was let through", query)
			}
		}
		if values.Has("categories") != (len(categories) > 0) {
			t.Fatalf("%q gives %q", query, categories)
		}
		for i, c := range categories {
			if _, err := status.ParseCategory(c); err != nil || slices.Index(categories, c) != i {
				t.Fatalf("%q gives %q", query, categories)
			}
		}
		given := id
		if given == "" {
			given = values.Get("last_event_id")
		}
		seq, epoch, dashed := strings.Cut(given, "-")
		n, err := strconv.ParseUint(seq, 10, 64)
		want := strconv.FormatUint(n, 10)
		if dashed {
			want += "-" + epoch
		}
		if resumed != (given != "") || resumed && err != nil || after != want {
			t.Fatalf("%q and %q give %s, %v", query, id, after, resumed)
		}
		if strings.Trim(epoch, "0123456789abcdefghijklmnopqrstuvwxyz") != "" || len(epoch) > 32 || dashed && epoch == "" {
			t.Fatalf("%q and %q give the epoch %q", query, id, epoch)
		}
	})
}

// FuzzHistoryQuery holds that the edge is asked exactly what the query says, in a
// JSON object with no other fields.
func FuzzHistoryQuery(f *testing.F) {
	for _, seed := range []string{
		"", "categories=engine,tool&after=120&since=2026-01-19T12:00:00Z&limit=1000&min_priority=normal",
		"limit=-1", "limit=1e3", "after=18446744073709551616", `since="}`, "min_priority=%22%2C%22after%22%3A1", "limit=&after=", "seen=1", "limit=0", "after=0", "epoch=d9fdx0sj3k3z&after=7", "epoch=%22",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		ask, err := sse.HistoryQuery(r)
		if err != nil {
			if len(err.Error()) > 400 {
				t.Fatalf("an error of %d bytes: %s", len(err.Error()), err)
			}
			return
		}
		var got map[string]any
		d := json.NewDecoder(bytes.NewReader(ask))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%q asks %q: %v", query, ask, err)
		}
		values := r.URL.Query()
		for name := range got {
			if !values.Has(name) {
				t.Fatalf("%q asks %q", query, ask)
			}
		}
		for name := range values {
			given := values.Get(name)
			switch v := got[name].(type) {
			case string:
				if utf8.ValidString(given) && v != given {
					t.Fatalf("%q asks %q", query, ask)
				}
			case json.Number:
				if n, ok := new(big.Int).SetString(given, 10); !ok || n.String() != v.String() {
					t.Fatalf("%q asks %q", query, ask)
				}
			case []any:
			default:
				if name != "after" || strings.Trim(given, "0") != "" {
					t.Fatalf("%q asks %q, without %s", query, ask, name)
				}
			}
		}
	})
}
