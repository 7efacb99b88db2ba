package status_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/statuswire/statuswire/status"
)

// FuzzNormalize holds Normalize against encoding/json: both accept the same
// payloads, and what comes out means the same with the missing fields filled
// in. cut then cuts the payload: the rest is never a status.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		`{"text":"hi"}`,
		`{"category":"engine","text":"Processing query…","metadata":{"step":1,"total_steps":3},"timestamp":"2024-01-19T12:00:00Z"}`,
		` {"id":"a","priority":"low","text":"\ud834\udd1e","timestamp":"2024-01-19T12:00:00.5+02:00","x":[[],{},-1.5e+9,true,null]} `,
		`{"text":"a","te\u0078t":"b"}`,
		`{"text":"a","Text":5,"category":"\u0065ngine"}`,
		`{"text":"a","metadata":{"a":{"a":{"a":{}}}}}`,
		`{"text":"a","timestamp":"2016-12-31t23:59:60.5z"}`, `{"text":"a","timestamp":"2016-12-31T15:59:60-08:00"}`,
		`{"text":"a","timestamp":"2016-12-30T23:59:60Z"}`, `{"text":"a","timestamp":"9999-12-31T23:59:60Z"}`,
		`[1,2]`, `{"text":""}`, `{"text":1e5}`, "{\"text\":\"\xff\"}", "", `{"text":"a"}x`,
	} {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	f.Fuzz(func(t *testing.T, payload []byte, cut uint16) {
		before := bytes.Clone(payload)
		n, err := status.Normalize(payload, "engine", arrival)
		if !bytes.Equal(payload, before) {
			t.Fatal("the payload was changed")
		}
		want, wantErr := oracle(payload)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Normalize says %v, encoding/json says %v", err, wantErr)
		}
		if err != nil {
			checkError(t, err)
			return
		}
		checkMeaning(t, n, want)
		checkCut(t, payload, int(cut))
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var e *status.Error
	if !errors.As(err, &e) || e.ErrCode < 20000 || len(e.Description) > 400 || !utf8.ValidString(e.Description) {
		t.Fatalf("not an error for the wire: %#v", err)
	}
}

func checkMeaning(t *testing.T, n status.Normalized, want map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(n.Data, &got); err != nil {
		t.Fatalf("%q is not JSON: %v", n.Data, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if len(n.Data) <= status.MaxMessageBytes {
		again, err := status.Normalize(n.Data, "engine", arrival)
		if err != nil || !bytes.Equal(again.Data, n.Data) {
			t.Fatalf("a second time: %q, %v", again.Data, err)
		}
	}
	var m status.Message
	if err := json.Unmarshal(n.Data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Text != want["text"] || m.Category != "engine" || m.ID != n.ID || m.Priority != n.Priority {
		t.Fatalf("got %+v of %q", m, n.Data)
	}
	if _, err := status.NormalizeHeader(nil, n, "c1", "engine"); err != nil {
		t.Fatal(err)
	}
}

func checkCut(t *testing.T, payload []byte, cut int) {
	t.Helper()
	whole := bytes.TrimRight(payload, " \t\r\n")
	if cut < len(whole) {
		if _, err := status.Normalize(payload[:cut], "engine", arrival); err == nil {
			t.Fatalf("accepted %q, a part of %q", payload[:cut], payload)
		}
	}
}

// oracle is Normalize done slowly: what it would mean, by encoding/json.
func oracle(payload []byte) (map[string]any, error) {
	if len(payload) > status.MaxMessageBytes || !utf8.Valid(payload) {
		return nil, errors.New("size or encoding")
	}
	var message map[string]any
	if err := json.Unmarshal(payload, &message); err != nil {
		return nil, err
	}
	if message == nil {
		return nil, errors.New("null")
	}
	if err := oracleTokens(payload); err != nil {
		return nil, err
	}
	if text, ok := message["text"].(string); !ok || text == "" {
		return nil, errors.New("text")
	}
	if cat, ok := message["category"]; ok && cat != "engine" {
		return nil, errors.New("category")
	}
	message["category"] = "engine"
	if metadata, ok := message["metadata"]; ok {
		if _, ok := metadata.(map[string]any); !ok {
			return nil, errors.New("metadata")
		}
	}
	if p, ok := message["priority"]; ok && p != "low" && p != "normal" && p != "high" && p != "urgent" {
		return nil, errors.New("priority")
	}
	if id, ok := message["id"]; ok && !oracleID(id) {
		return nil, errors.New("id")
	}
	return message, oracleTimestamp(message)
}

func oracleID(id any) bool {
	s, ok := id.(string)
	if !ok || s == "" || len(s) > 128 || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

var (
	rfc3339    = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	leapSecond = regexp.MustCompile(`^(.{17})60(.*)$`)
)

func oracleTimestamp(message map[string]any) error {
	given, ok := message["timestamp"]
	if !ok {
		message["timestamp"] = "2024-01-19T12:00:00.123Z"
		return nil
	}
	s, ok := given.(string)
	if !ok {
		return errors.New("timestamp")
	}
	if !rfc3339.MatchString(s) {
		return errors.New("timestamp")
	}
	at, err := time.Parse(time.RFC3339, strings.ToUpper(leapSecond.ReplaceAllString(s, "${1}59$2")))
	if err != nil {
		return err
	}
	if leapSecond.MatchString(s) {
		if at = at.Add(time.Second); at.UTC().Truncate(time.Second) != time.Date(at.UTC().Year(), at.UTC().Month(), 1, 0, 0, 0, 0, time.UTC) {
			return errors.New("no leap second")
		}
	} else if s[10] == 'T' && s[len(s)-1] == 'Z' {
		return nil
	}
	utc, err := at.UTC().MarshalText()
	message["timestamp"] = string(utc)
	return err
}

// oracleTokens refuses what is too deep or has a known field twice.
func oracleTokens(payload []byte) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	depth, isKey := 0, false
	seen := map[string]bool{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			isKey = depth == 1
			if depth > status.MaxDepth {
				return errors.New("depth")
			}
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			isKey = depth == 1
			continue
		}
		if depth != 1 {
			continue
		}
		if key, ok := token.(string); ok && isKey {
			switch key {
			case "category", "text", "metadata", "timestamp", "priority", "id":
				if seen[key] {
					return errors.New("twice")
				}
				seen[key] = true
			}
		}
		isKey = !isKey
	}
}
