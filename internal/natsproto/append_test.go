package natsproto_test

import (
	"testing"

	"github.com/statuswire/statuswire/internal/natsproto"
)

func TestAppendMsgWritesMsgAndHmsg(t *testing.T) {
	tests := []struct {
		name string
		in   natsproto.Msg
		want string
	}{
		{"without headers", natsproto.Msg{Subject: "a", SID: "1", Payload: []byte("hi")}, "MSG a 1 2\r\nhi\r\n"},
		{"with a reply", natsproto.Msg{Subject: "a", SID: "1", Reply: "r"}, "MSG a 1 r 0\r\n\r\n"},
		{"with headers", natsproto.Msg{Subject: "a", SID: "1", Header: []byte("NATS/1.0\r\n\r\n"), Payload: []byte("hi")},
			"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(natsproto.AppendMsg(nil, tt.in)); got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAppendErrCannotBeBrokenOutOf(t *testing.T) {
	got := string(natsproto.AppendErr(nil, "it's\r\nPING"))
	if want := "-ERR 'it`s  PING'\r\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestMatchesFollowsWildcards(t *testing.T) {
	tests := []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.c", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"a.*", "a", false},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{"*.b", "a.b", true},
		{"a.b.c", "a.b", false},
		{"a.*", "a.", false},
	}
	for _, tt := range tests {
		if got := natsproto.Matches(tt.pattern, tt.subject); got != tt.want {
			t.Errorf("Matches(%q, %q) = %v", tt.pattern, tt.subject, got)
		}
	}
}
