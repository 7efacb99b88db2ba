package bench

import (
	"bytes"
	"fmt"
)

// tongue is how the sockets of a crowd speak with their server.
type tongue struct {
	path string // of the upgrade
	// hello is what socket i says first; its answer tells that the subscription stands.
	// Nil: there is neither upgrade nor login.
	hello func(i int) []byte
	// feed returns what takes the bytes that m reads.
	feed func(m *member) func([]byte) error
}

// natsTongue is that of NATS clients over WebSocket, with a token for each user or,
// when there are none, without.
func natsTongue(tokens map[string]string, row Row) tongue {
	return tongue{
		path: "/",
		hello: func(i int) []byte {
			login := `"verbose":false`
			if tokens != nil {
				login = fmt.Sprintf(`"auth_token":%q`, tokens[userOf(i)])
			}
			return hello(login, row, i)
		},
		feed: natsFeed,
	}
}

func natsFeed(m *member) func([]byte) error {
	s := &stream{}
	return func(b []byte) error { return s.feed(b, m) }
}

// hello is CONNECT, SUB and PING of socket i.
func hello(fields string, row Row, i int) []byte {
	return appendMasked(nil, opBinary, fmt.Appendf(nil, "CONNECT {%s,\"protocol\":1,\"headers\":true,\"no_responders\":true,\"lang\":\"bench\",\"version\":\"1\"}\r\nSUB %s %s\r\nPING\r\n",
		fields, subjectOf(i%row.Subjects), sidOf(i)))
}

// centrifugoTongue is that of Centrifugo's clients, in JSON. Its channels are the
// conversations.
func centrifugoTongue(tokens map[string]string, row Row) tongue {
	return tongue{
		path: centrifugoPath,
		hello: func(i int) []byte {
			return appendMasked(nil, opText, fmt.Appendf(nil, `{"id":1,"connect":{"token":%q,"name":"bench"}}`+"\n"+`{"id":2,"subscribe":{"channel":%q}}`,
				tokens[userOf(i)], conversationOf(i%row.Subjects)))
		},
		feed: centrifugoFeed,
	}
}

func centrifugoFeed(m *member) func([]byte) error {
	f := &frames{}
	return func(b []byte) error {
		return f.feed(b, func(op byte, body []byte) error {
			switch op {
			case opEnd:
				return fmt.Errorf("the server closed the socket: %q", body)
			case opPing:
				return m.framePing(body)
			}
			for reply := range bytes.SplitSeq(body, []byte("\n")) {
				if err := m.centrifugoReply(reply); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// centrifugoReply takes one line. It looks for what is in it in place of decoding
// it, so that reading takes little from who is measured.
func (m *member) centrifugoReply(text []byte) error {
	switch {
	case len(text) == 0:
		return nil
	case string(text) == "{}": // a ping
		return m.send(opText, text)
	case bytes.HasPrefix(text, []byte(`{"push":`)):
		_, data, ok := bytes.Cut(text, []byte(`"pub":{"data":`))
		end := bytes.Index(data, []byte(tail))
		if !ok || end < 0 {
			return fmt.Errorf("no status in %q", text)
		}
		return m.message(nil, data[:end+len(tail)])
	case bytes.Contains(text, []byte(`"error":`)):
		return fmt.Errorf("the server says %s", text)
	case bytes.HasPrefix(text, []byte(`{"id":2,`)):
		m.ponged = true
	}
	return nil
}
