package natsproto_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/internal/natsproto"
)

// parse feeds the pieces and returns what the handler saw, one line each.
func parse(pieces ...string) ([]string, error) {
	p := natsproto.Parser{MaxControlLineBytes: 64, MaxPayloadBytes: 32}
	var got []string
	for _, piece := range pieces {
		err := p.Feed([]byte(piece), func(op *natsproto.Operation) error {
			got = append(got, show(op))
			return nil
		})
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

func show(op *natsproto.Operation) string {
	switch op.Kind {
	case natsproto.Connect:
		return "CONNECT " + string(op.Connect)
	case natsproto.Ping:
		return "PING"
	case natsproto.Pong:
		return "PONG"
	case natsproto.Sub:
		return fmt.Sprintf("SUB %s|%s|%s", op.Subject, op.Queue, op.SID)
	case natsproto.Unsub:
		return fmt.Sprintf("UNSUB %s|%d", op.SID, op.Max)
	case natsproto.Pub:
		return fmt.Sprintf("PUB %s|%s|%d|%q", op.Subject, op.Reply, op.HeaderBytes, op.Payload)
	}
	return "?"
}

func TestParserReadsWhatClientsSend(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want []string
	}{
		{"a CONNECT with JSON", "CONNECT {\"a\":1}\r\n", []string{`CONNECT {"a":1}`}},
		{"verbs in lower case", "ping\r\nsub a 1\r\n", []string{"PING", "SUB a||1"}},
		{"a bare line feed", "PING\nPONG\n", []string{"PING", "PONG"}},
		{"a queue group", "SUB a.b q 7\r\n", []string{"SUB a.b|q|7"}},
		{"tabs and spaces between the arguments", "SUB \t a.*  \t 1 \r\n", []string{"SUB a.*||1"}},
		{"an UNSUB with a limit", "UNSUB 1 5\r\n", []string{"UNSUB 1|5"}},
		{"an UNSUB with no number for a limit", "UNSUB 1 x\r\n", []string{"UNSUB 1|0"}},
		{"an empty payload", "PUB a 0\r\n\r\n", []string{`PUB a||0|""`}},
		{"a payload that looks like an operation", "PUB a r 6\r\nPING\r\n\r\nPING\r\n", []string{`PUB a|r|0|"PING\r\n"`, "PING"}},
		{"headers", "HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", []string{`PUB a|r|12|"NATS/1.0\r\n\r\nhi"`}},
		{"headers without a reply", "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n", []string{`PUB a||12|"NATS/1.0\r\n\r\n"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(tt.in)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Fatalf("whole: got %q, %v; want %q", got, err, tt.want)
			}
			for i := range tt.in {
				got, err := parse(tt.in[:i], tt.in[i:])
				if err != nil || !slices.Equal(got, tt.want) {
					t.Fatalf("cut at %d: got %q, %v; want %q", i, got, err, tt.want)
				}
			}
			got, err = parse(strings.Split(tt.in, "")...)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Fatalf("byte by byte: got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParserRefusesWhatIsNoOperation(t *testing.T) {
	long := strings.Repeat("x", 70)
	tests := []struct {
		name string
		in   string
		want error
	}{
		{"an HTTP request", "GET / HTTP/1.1\r\n", natsproto.ErrUnknownOperation},
		{"garbage without a line end", "\x00", natsproto.ErrUnknownOperation},
		{"an empty line", "\r\n", natsproto.ErrUnknownOperation},
		{"a verb with a tail", "PINGS\r\n", natsproto.ErrUnknownOperation},
		{"a PING with an argument", "PING 1\r\n", natsproto.ErrUnknownOperation},
		{"a SUB without a sid", "SUB a\r\n", natsproto.ErrUnknownOperation},
		{"a SUB with too many arguments", "SUB a b c d\r\n", natsproto.ErrUnknownOperation},
		{"a CONNECT without JSON", "CONNECT\r\n", natsproto.ErrUnknownOperation},
		{"a negative size", "PUB a -1\r\n", natsproto.ErrUnknownOperation},
		{"a size that overflows", "PUB a 99999999999999999999\r\n", natsproto.ErrUnknownOperation},
		{"a header longer than the whole", "HPUB a 5 4\r\n", natsproto.ErrUnknownOperation},
		{"a payload longer than it said", "PUB a 1\r\nab\r\n", natsproto.ErrUnknownOperation},
		{"an operation that only a server sends", "MSG a 1 0\r\n\r\n", natsproto.ErrUnknownOperation},
		{"a line that is too long", "SUB " + long + " 1\r\n", natsproto.ErrControlLineTooLong},
		{"a line that is too long and does not end", "SUB " + long + long, natsproto.ErrControlLineTooLong},
		{"a payload that is too large", "PUB a 33\r\n", natsproto.ErrPayloadTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parse(tt.in); !errors.Is(err, tt.want) {
				t.Fatalf("whole: got %q, %v; want %v", got, err, tt.want)
			}
			if got, err := parse(strings.Split(tt.in, "")...); !errors.Is(err, tt.want) {
				t.Fatalf("byte by byte: got %q, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestBeforeConnectNothingElseIsCollected(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"the first byte of a PUB", "P", natsproto.ErrConnectFirst},
		{"a PUB whose payload has not come", "PUB a 32\r\n", natsproto.ErrConnectFirst},
		{"an HPUB without a line end", "HPUB a", natsproto.ErrConnectFirst},
		{"a SUB", "SUB a 1\r\n", natsproto.ErrConnectFirst},
		{"a PING", "PING\r\n", natsproto.ErrConnectFirst},
		{"garbage is told as garbage", "GET /", natsproto.ErrUnknownOperation},
		{"garbage that begins like a PUB", "PX", natsproto.ErrConnectFirst},
		{"a CONNECT that is too long and does not end", "CONNECT " + strings.Repeat("x", 80), natsproto.ErrControlLineTooLong},
		{"a part of CONNECT", "con", nil},
		{"a CONNECT, and what its handler lets pass", "CONNECT {}\r\nPUB a 1\r\nx\r\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, pieces := range [][]string{{tt.in}, strings.Split(tt.in, "")} {
				p := natsproto.Parser{MaxControlLineBytes: 64, MaxPayloadBytes: 32, ConnectOnly: true}
				var err error
				for i := 0; i < len(pieces) && err == nil; i++ {
					err = p.Feed([]byte(pieces[i]), func(*natsproto.Operation) error { p.ConnectOnly = false; return nil })
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("in %d pieces: got %v, want %v", len(pieces), err, tt.want)
				}
			}
		})
	}
}

func TestParserStopsAtTheHandlersError(t *testing.T) {
	p := natsproto.Parser{MaxControlLineBytes: 64, MaxPayloadBytes: 32}
	stop := errors.New("stop")
	n := 0
	err := p.Feed([]byte("PING\r\nPING\r\n"), func(*natsproto.Operation) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Fatalf("got %v after %d operations", err, n)
	}
}

// FuzzParser holds that the cut of the stream changes nothing, and that what is
// not whole stays bounded.
func FuzzParser(f *testing.F) {
	for _, seed := range []string{
		"CONNECT {}\r\nPING\r\n", "SUB a.b q 1\r\nUNSUB 1 2\r\n", "PUB a r 2\r\nhi\r\nPONG\r\n",
		"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "pub a 0\n\r\n", "SUB a", "PUB a 99\r\n", "\xff",
	} {
		f.Add(seed, 3)
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, in string, cut int) {
		whole, wholeErr := parse(in)
		cut = min(max(cut, 0), len(in))
		pieces, piecesErr := parse(in[:cut], in[cut:])
		if !slices.Equal(whole, pieces) {
			t.Fatalf("cut at %d: %q, whole: %q", cut, pieces, whole)
		}
		if (wholeErr == nil) != (piecesErr == nil) {
			t.Fatalf("cut at %d: %v, whole: %v", cut, piecesErr, wholeErr)
		}
		// Before CONNECT nothing else is seen and nothing is collected, and the
		// refusal does not hang on the cut either.
		first := func(pieces ...string) (err error) {
			p := natsproto.Parser{MaxControlLineBytes: 64, MaxPayloadBytes: 32, ConnectOnly: true}
			for _, piece := range pieces {
				err = p.Feed([]byte(piece), func(op *natsproto.Operation) error {
					if op.Kind != natsproto.Connect {
						t.Fatalf("%s came before CONNECT", show(op))
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
		err := first(in)
		if err == nil && len(in) > 0 && in[0]|0x20 != 'c' {
			t.Fatalf("%q is waited for", in)
		}
		if cutErr := first(in[:cut], in[cut:]); fmt.Sprint(cutErr) != fmt.Sprint(err) {
			t.Fatalf("before CONNECT, cut at %d: %v, whole: %v", cut, cutErr, err)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	in := []byte("SUB status.conversation.engine 12\r\nPING\r\nUNSUB 12\r\n")
	p := natsproto.Parser{MaxControlLineBytes: 4096, MaxPayloadBytes: 65536}
	handle := func(*natsproto.Operation) error { return nil }
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := p.Feed(in, handle); err != nil {
			b.Fatal(err)
		}
	}
}
