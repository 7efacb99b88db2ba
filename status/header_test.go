package status_test

import (
	"errors"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/status"
)

type header = map[string][]string

func TestNormalizeHeaderStores(t *testing.T) {
	for _, c := range []struct {
		name string
		in   header
		n    status.Normalized
		want header
	}{
		{"nothing for nothing", nil, status.Normalized{}, nil},
		{
			"the publisher's own names and the trace",
			header{"X-Build": {"7", "8"}, "traceparent": {"00-a-b-01"}, "tracestate": {"x=y"}, "Natsy": {"1"}, "Statuses": {"2"}},
			status.Normalized{},
			header{"X-Build": {"7", "8"}, "traceparent": {"00-a-b-01"}, "tracestate": {"x=y"}, "Natsy": {"1"}, "Statuses": {"2"}},
		},
		{
			"the id of the header, told apart by subject",
			header{"Nats-Msg-Id": {"7"}},
			status.Normalized{},
			header{"Nats-Msg-Id": {"c1.engine.7"}},
		},
		{
			"the id and priority of the body",
			nil,
			status.Normalized{ID: "7", Priority: status.PriorityLow},
			header{"Nats-Msg-Id": {"c1.engine.7"}, "Status-Id": {"7"}, "Status-Priority": {"low"}},
		},
		{
			"both ids, and the header's decides what is a duplicate",
			header{"Nats-Msg-Id": {"try-2"}},
			status.Normalized{ID: "7"},
			header{"Nats-Msg-Id": {"c1.engine.try-2"}, "Status-Id": {"7"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := maps.Clone(c.in)
			got, err := status.NormalizeHeader(c.in, c.n, "c1", "engine")
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if !reflect.DeepEqual(c.in, before) {
				t.Errorf("the publisher's headers were changed to %v", c.in)
			}
		})
	}
}

func TestNormalizeHeaderRefuses(t *testing.T) {
	many := header{}
	for i := range status.MaxHeaders + 1 {
		many["X-"+strconv.Itoa(i)] = []string{"1"}
	}
	for _, c := range []struct {
		name string
		in   header
		want *status.Error
		text string
	}{
		{"a forged sequence", header{"Nats-Sequence": {"999"}}, status.ErrHeaderNotAllowed, `header "Nats-Sequence" is not allowed`},
		{"a forged sequence in lower case", header{"nats-sequence": {"999"}}, status.ErrHeaderNotAllowed, `"nats-sequence"`},
		{"a forged sequence in mixed case", header{"nAtS-Sequence": {"999"}}, status.ErrHeaderNotAllowed, `"nAtS-Sequence"`},
		{"a forged sequence with a space", header{"Nats-Sequence ": {"999"}}, status.ErrBadHeader, `"Nats-Sequence "`},
		{"a forged sequence behind a tab", header{"\tNats-Sequence": {"999"}}, status.ErrBadHeader, `"\tNats-Sequence"`},
		{"a rollup", header{"Nats-Rollup": {"all"}}, status.ErrHeaderNotAllowed, `"Nats-Rollup"`},
		{"an expectation", header{"Nats-Expected-Stream": {"X"}}, status.ErrHeaderNotAllowed, `"Nats-Expected-Stream"`},
		{"a trace destination", header{"Nats-Trace-Dest": {"x"}}, status.ErrHeaderNotAllowed, `"Nats-Trace-Dest"`},
		{"a name of ours", header{"Status-Priority": {"urgent"}}, status.ErrHeaderNotAllowed, `"Status-Priority"`},
		{"a name of ours in lower case", header{"status-id": {"1"}}, status.ErrHeaderNotAllowed, `"status-id"`},
		{"a control message's status", header{"Status": {"503"}}, status.ErrHeaderNotAllowed, `"Status"`},
		{"the id misspelled", header{"Nats-Msg-ID": {"7"}}, status.ErrHeaderNotAllowed, "spelled Nats-Msg-Id"},
		{"the id twice", header{"Nats-Msg-Id": {"7", "8"}}, status.ErrBadHeader, "2 times"},
		{"an empty id", header{"Nats-Msg-Id": {""}}, status.ErrBadID, "header Nats-Msg-Id is empty"},
		{"an id too long", header{"Nats-Msg-Id": {strings.Repeat("x", 129)}}, status.ErrBadID, "129 bytes"},
		{"33 headers", many, status.ErrTooManyHeaders, "33 headers"},
		{"33 values of one header", header{"X": make([]string, 33)}, status.ErrTooManyHeaders, "33 headers"},
		{"more than 4 KiB", header{"X": {strings.Repeat("x", 4<<10)}}, status.ErrTooManyHeaders, "of 4101 bytes"},
		{"an empty name", header{"": {"1"}}, status.ErrBadHeader, "name is empty"},
		{"a name with a colon", header{"a:b": {"1"}}, status.ErrBadHeader, `"a:b"`},
		{"a name beyond ASCII", header{"ſtatus-Id": {"1"}}, status.ErrBadHeader, "ſtatus-Id"},
		{"a value with a line end", header{"X": {"1\r\nNats-Sequence: 9"}}, status.ErrBadHeader, "one line"},
		{"a value that is not UTF-8", header{"X": {"\xff"}}, status.ErrBadHeader, "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := status.NormalizeHeader(c.in, status.Normalized{ID: "1"}, "c1", "engine")
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v and %v, want %v", got, err, c.want)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %q, want it to say %q", err, c.text)
			}
		})
	}
}
