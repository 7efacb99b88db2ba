package status_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/status"
)

var arrival = time.Date(2024, 1, 19, 13, 0, 0, 123_456_789, time.FixedZone("CET", 3600))

func TestNormalizeFillsInWhatIsMissing(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{
			"category and timestamp are filled in",
			`{"text":"hi"}`,
			`{"category":"engine","timestamp":"2024-01-19T12:00:00.123Z","text":"hi"}`,
		},
		{
			"only the timestamp is filled in",
			`{"category":"engine","text":"hi"}`,
			`{"timestamp":"2024-01-19T12:00:00.123Z","category":"engine","text":"hi"}`,
		},
		{
			"only the category is filled in",
			`{"timestamp":"2024-01-19T12:00:00Z","text":"hi"}`,
			`{"category":"engine","timestamp":"2024-01-19T12:00:00Z","text":"hi"}`,
		},
		{
			"a complete message stays as it is",
			" { \"category\" : \"engine\",\n\"text\":\"h\\u0069\", \"timestamp\":\"2024-01-19T12:00:00.5Z\" } \n",
			" { \"category\" : \"engine\",\n\"text\":\"h\\u0069\", \"timestamp\":\"2024-01-19T12:00:00.5Z\" } \n",
		},
		{
			"a timestamp is brought to UTC",
			`{"category":"engine","timestamp":"2024-01-19T01:30:00.25+02:00","text":"hi"}`,
			`{"category":"engine","timestamp":"2024-01-18T23:30:00.25Z","text":"hi"}`,
		},
		{
			"a timestamp in small letters is written in capitals",
			`{"category":"engine","timestamp":"2024-01-19t12:00:00.5z","text":"hi"}`,
			`{"category":"engine","timestamp":"2024-01-19T12:00:00.5Z","text":"hi"}`,
		},
		{
			"a small t with another zone",
			`{"category":"engine","timestamp":"2024-01-19t14:00:00+02:00","text":"hi"}`,
			`{"category":"engine","timestamp":"2024-01-19T12:00:00Z","text":"hi"}`,
		},
		{
			"a leap second is the first second of the next day",
			`{"category":"engine","timestamp":"2016-12-31T23:59:60Z","text":"hi"}`,
			`{"category":"engine","timestamp":"2017-01-01T00:00:00Z","text":"hi"}`,
		},
		{
			"a leap second with a fraction, in another zone",
			`{"category":"engine","timestamp":"1990-12-31T15:59:60.25-08:00","text":"hi"}`,
			`{"category":"engine","timestamp":"1991-01-01T00:00:00.25Z","text":"hi"}`,
		},
		{
			"a leap second of June",
			`{"category":"engine","timestamp":"2015-06-30t23:59:60z","text":"hi"}`,
			`{"category":"engine","timestamp":"2015-07-01T00:00:00Z","text":"hi"}`,
		},
		{
			"a timestamp is brought to UTC and the category filled in",
			`{"text":"hi","timestamp":"2024-01-19T12:00:00+00:00","x":1}`,
			`{"category":"engine","text":"hi","timestamp":"2024-01-19T12:00:00Z","x":1}`,
		},
		{
			"unknown fields pass, and their doubles, and those that differ only in case",
			`{"category":"engine","timestamp":"2024-01-19T12:00:00Z","text":"hi","a":1,"a":2,"Text":3,"nested":{"text":4,"text":5}}`,
			`{"category":"engine","timestamp":"2024-01-19T12:00:00Z","text":"hi","a":1,"a":2,"Text":3,"nested":{"text":4,"text":5}}`,
		},
		{
			"known names and values may be written with escapes",
			`{"c\u0061tegory":"\u0065ngine","timestamp":"2024-01-19T12:00:00\u005a","te\u0078t":"hi"}`,
			`{"c\u0061tegory":"\u0065ngine","timestamp":"2024-01-19T12:00:00\u005a","te\u0078t":"hi"}`,
		},
		{
			"whitespace inside and around is kept",
			"\t{\r\n \"text\" : \"hi\" }\n",
			"\t{\"category\":\"engine\",\"timestamp\":\"2024-01-19T12:00:00.123Z\",\r\n \"text\" : \"hi\" }\n",
		},
		{
			"all of Unicode passes, half a surrogate pair too",
			`{"category":"engine","timestamp":"2024-01-19T12:00:00Z","text":"…\u0000 𝄞 \ud834"}`,
			`{"category":"engine","timestamp":"2024-01-19T12:00:00Z","text":"…\u0000 𝄞 \ud834"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := status.Normalize([]byte(c.in), "engine", arrival)
			if err != nil {
				t.Fatal(err)
			}
			if string(n.Data) != c.want {
				t.Errorf("got  %s\nwant %s", n.Data, c.want)
			}
		})
	}
}

func TestNormalizeFindsIDAndPriority(t *testing.T) {
	n, err := status.Normalize([]byte(`{"text":"hi","id":"job 7/\u0041","priority":"urgent"}`), "engine", arrival)
	if err != nil {
		t.Fatal(err)
	}
	if n.ID != "job 7/A" || n.Priority != status.PriorityUrgent {
		t.Errorf("got id %q and priority %q", n.ID, n.Priority)
	}
}

func TestNormalizeRefuses(t *testing.T) {
	deep := func(levels int) string {
		return `{"text":"hi","metadata":` + strings.Repeat(`{"a":`, levels-1) + "1" + strings.Repeat("}", levels-1) + "}"
	}
	for _, c := range []struct {
		name, in string
		want     *status.Error
		text     string // part of the description
	}{
		{"nothing", "", status.ErrNotJSON, "payload is empty"},
		{"white space", " \n", status.ErrNotJSON, "payload is empty"},
		{"65 KiB", `{"text":"` + strings.Repeat("x", 65<<10) + `"}`, status.ErrTooLarge, "66571 bytes, at most 65536"},
		{"one byte too many", `{"text":"` + strings.Repeat("x", status.MaxMessageBytes-10) + `"}`, status.ErrTooLarge, "65537 bytes"},
		{"invalid UTF-8", "{\"text\":\"h\xffi\"}", status.ErrNotUTF8, "at byte 10"},
		{"UTF-8 cut in a rune", "{\"text\":\"\xe2\x80\"}", status.ErrNotUTF8, "at byte 9"},
		{"a byte order mark", "\ufeff{\"text\":\"hi\"}", status.ErrNotJSON, `'\ufeff' at byte 0`},
		{"a bare word", "hello", status.ErrNotJSON, `'h' at byte 0, want a value`},
		{"a missing brace", `{"text":"hi"`, status.ErrNotJSON, "ends unfinished after 12 bytes"},
		{"an unfinished string", `{"text":"hi`, status.ErrNotJSON, "ends unfinished after 11 bytes"},
		{"a trailing comma", `{"text":"hi",}`, status.ErrNotJSON, "'}' at byte 13, want a field name"},
		{"single quotes", `{'text':'hi'}`, status.ErrNotJSON, `'\'' at byte 1`},
		{"a raw newline in a string", "{\"text\":\"a\nb\"}", status.ErrNotJSON, `'\n' at byte 10, want control characters in strings to be escaped`},
		{"a bad escape", `{"text":"\x41"}`, status.ErrNotJSON, "after a backslash"},
		{"a short \\u escape", `{"text":"\u00g1"}`, status.ErrNotJSON, "hexadecimal"},
		{"a leading zero", `{"text":"hi","n":01}`, status.ErrNotJSON, "leading zero"},
		{"a bare minus", `{"text":"hi","n":-}`, status.ErrNotJSON, "want a digit"},
		{"NaN", `{"text":"hi","n":NaN}`, status.ErrNotJSON, "want a value"},
		{"a broken literal", `{"text":"hi","n":nul}`, status.ErrNotJSON, "want null"},
		{"two objects", `{"text":"hi"}{"text":"ho"}`, status.ErrNotJSON, "want nothing after the object"},
		{"an array", `[{"text":"hi"}]`, status.ErrNotObject, "payload is an array"},
		{"a string", `"hi"`, status.ErrNotObject, "payload is a string"},
		{"null", `null`, status.ErrNotObject, "payload is null"},
		{"65 levels", deep(65), status.ErrTooDeep, "deeper than 64 levels"},
		{"10,000 levels", deep(10_000), status.ErrTooDeep, "deeper than 64 levels"},
		{"10,000 arrays", strings.Repeat("[", 10_000), status.ErrTooDeep, "deeper than 64 levels"},
		{"text twice", `{"text":"a","text":"b"}`, status.ErrDuplicateField, `field "text" is there twice`},
		{"text twice, once in disguise", `{"text":"a","te\u0078t":"b"}`, status.ErrDuplicateField, `field "text" is there twice`},
		{"id twice", `{"text":"a","id":"1","id":"1"}`, status.ErrDuplicateField, `field "id"`},
		{"no text", `{}`, status.ErrNoText, "text is missing"},
		{"no text but Text", `{"Text":"hi"}`, status.ErrNoText, "text is missing"},
		{"an empty text", `{"text":""}`, status.ErrNoText, "text is empty"},
		{"a number as text", `{"text":5}`, status.ErrBadText, "text is a number"},
		{"null as text", `{"text":null}`, status.ErrBadText, "text is null"},
		{"an object as text", `{"text":{}}`, status.ErrBadText, "text is an object"},
		{"another category", `{"text":"hi","category":"tool"}`, status.ErrCategoryMismatch, `category is "tool", the subject says "engine"`},
		{"the category in another case", `{"text":"hi","category":"Engine"}`, status.ErrCategoryMismatch, `"Engine"`},
		{"a very long category", `{"text":"hi","category":"` + strings.Repeat("x", 1000) + `"}`, status.ErrCategoryMismatch, `xxx"…, the subject`},
		{"null as category", `{"text":"hi","category":null}`, status.ErrCategoryMismatch, "category is null"},
		{"an array as metadata", `{"text":"hi","metadata":[1]}`, status.ErrBadMetadata, "metadata is an array"},
		{"a string as metadata", `{"text":"hi","metadata":"{}"}`, status.ErrBadMetadata, "metadata is a string"},
		{"null as metadata", `{"text":"hi","metadata":null}`, status.ErrBadMetadata, "leave it out"},
		{"a timestamp without a zone", `{"text":"hi","timestamp":"2024-01-19T12:00:00"}`, status.ErrBadTimestamp, "2024-01-19T12:00:00"},
		{"a timestamp with a blank", `{"text":"hi","timestamp":"2024-01-19 12:00:00Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a timestamp with a comma", `{"text":"hi","timestamp":"2024-01-19T12:00:00,5Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a one-digit hour", `{"text":"hi","timestamp":"2024-01-19T1:00:00Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a zone beyond a day", `{"text":"hi","timestamp":"2024-01-19T12:00:00+24:00"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a point without digits", `{"text":"hi","timestamp":"2024-01-19T12:00:00.Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a sixtieth second at noon", `{"text":"hi","timestamp":"2016-12-31T12:00:60Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a leap second in the middle of a month", `{"text":"hi","timestamp":"2016-12-30T23:59:60Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a leap second that is none in UTC", `{"text":"hi","timestamp":"2016-12-31T23:59:60-08:00"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a sixty-first second", `{"text":"hi","timestamp":"2016-12-31T23:59:61Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a leap second of the last year", `{"text":"hi","timestamp":"9999-12-31T23:59:60Z"}`, status.ErrBadTimestamp, "four-digit year"},
		{"a thirteenth month", `{"text":"hi","timestamp":"2024-13-19T12:00:00Z"}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a year that has five digits in UTC", `{"text":"hi","timestamp":"9999-12-31T23:59:59-01:00"}`, status.ErrBadTimestamp, "four-digit year"},
		{"an empty timestamp", `{"text":"hi","timestamp":""}`, status.ErrBadTimestamp, "RFC 3339"},
		{"a Unix timestamp", `{"text":"hi","timestamp":1705665600}`, status.ErrBadTimestamp, "timestamp is a number"},
		{"an unknown priority", `{"text":"hi","priority":"High"}`, status.ErrBadPriority, `priority is "High": use low, normal, high or urgent`},
		{"a number as priority", `{"text":"hi","priority":1}`, status.ErrBadPriority, "priority is a number"},
		{"a number as id", `{"text":"hi","id":1}`, status.ErrBadID, "id is a number"},
		{"an empty id", `{"text":"hi","id":""}`, status.ErrBadID, "id is empty"},
		{"an id of 129 bytes", `{"text":"hi","id":"` + strings.Repeat("x", 129) + `"}`, status.ErrBadID, "129 bytes"},
		{"an id with a line end", `{"text":"hi","id":"a\r\nNats-Sequence: 9"}`, status.ErrBadID, `'\r'`},
		{"an id beyond ASCII", `{"text":"hi","id":"é"}`, status.ErrBadID, "printable ASCII"},
		{"an id with a space at its end", `{"text":"hi","id":"a "}`, status.ErrBadID, "ends with a space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := status.Normalize([]byte(c.in), "engine", arrival)
			var got *status.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a *status.Error", err)
			}
			if !errors.Is(err, c.want) || got.Code != c.want.Code {
				t.Errorf("got %d/%d, want %d/%d", got.Code, got.ErrCode, c.want.Code, c.want.ErrCode)
			}
			if !strings.Contains(got.Description, c.text) {
				t.Errorf("got %q, want it to say %q", got.Description, c.text)
			}
			if len(got.Description) > 300 {
				t.Errorf("description has %d bytes", len(got.Description))
			}
		})
	}
}

func TestNormalizeTakesTheLargestAndTheDeepest(t *testing.T) {
	for _, c := range []struct{ name, in string }{
		{"64 KiB", `{"text":"` + strings.Repeat("x", status.MaxMessageBytes-11) + `"}`},
		{"64 levels", `{"text":"hi","metadata":` + strings.Repeat(`{"a":`, 63) + "1" + strings.Repeat("}", 63) + "}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := status.Normalize([]byte(c.in), "engine", arrival)
			if err != nil {
				t.Fatal(err)
			}
			if len(n.Data)+status.MaxHeaderBytes > status.MaxStoredBytes {
				t.Errorf("%d bytes and full headers are more than MaxStoredBytes", len(n.Data))
			}
		})
	}
}

func TestMessageReadsWhatNormalizeWrites(t *testing.T) {
	in, err := json.Marshal(status.Message{Text: "hi", Metadata: json.RawMessage(`{"step":1}`), Priority: "low", ID: "7"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"text":"hi","metadata":{"step":1},"priority":"low","id":"7"}`; string(in) != want {
		t.Errorf("got  %s\nwant %s", in, want)
	}
	n, err := status.Normalize(in, "engine", arrival)
	if err != nil {
		t.Fatal(err)
	}
	var m status.Message
	if err := json.Unmarshal(n.Data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Category != "engine" || m.Text != "hi" || string(m.Metadata) != `{"step":1}` || m.Priority != "low" || m.ID != "7" {
		t.Errorf("got %+v", m)
	}
	if !m.Timestamp.Equal(arrival.Truncate(time.Millisecond)) {
		t.Errorf("got %v, want %v", m.Timestamp, arrival)
	}
}

func TestMessageTellsFieldsApartByCase(t *testing.T) {
	var m status.Message
	if err := json.Unmarshal([]byte(`{"text":"hi","TEXT":5,"Category":["x"]}`), &m); err != nil {
		t.Fatal(err)
	}
	if m.Text != "hi" || m.Category != "" {
		t.Errorf("got %+v", m)
	}
}

func BenchmarkNormalize(b *testing.B) {
	complete := `{"category":"engine","text":"Processing query… step 3 of 12","metadata":{"step":3,"total_steps":12,"tool":"search"},"timestamp":"2024-01-19T12:00:00.000Z"}`
	for _, c := range []struct{ name, in string }{
		{"complete", complete},
		{"category and timestamp missing", `{"text":"Processing query… step 3 of 12","metadata":{"step":3,"total_steps":12,"tool":"search"}}`},
		{"timestamp in another zone", strings.Replace(complete, "00.000Z", "00+02:00", 1)},
		{"with id and priority", `{"id":"01HMXYZ-000017","priority":"high",` + complete[1:]},
		{"64 KiB of text", `{"text":"` + strings.Repeat("x", status.MaxMessageBytes-11) + `"}`},
		{"64 KiB of escaped keys", `{"text":"hi"` + strings.Repeat(`,"\u0061":1`, 5800) + `}`},
		{"refused", `{"category":"tool",` + complete[len(`{"category":"engine",`):]},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := []byte(c.in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = status.Normalize(in, "engine", arrival)
			}
		})
	}
}

// The floor: what only checking the syntax costs with encoding/json.
func BenchmarkNormalizeFloorJSONValid(b *testing.B) {
	in := []byte(`{"category":"engine","text":"Processing query… step 3 of 12","metadata":{"step":3,"total_steps":12,"tool":"search"},"timestamp":"2024-01-19T12:00:00.000Z"}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		json.Valid(in)
	}
}
