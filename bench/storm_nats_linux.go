package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// natsDialect is that of NATS clients over WebSocket.
type natsDialect struct {
	tokens []string // by subject
	// history: the client asks for what it has missed. Otherwise it does nothing but
	// keep its name, as an unmodified one does.
	history bool
}

// natsTab is one connection of a NATS client.
type natsTab struct {
	*tab
	stream  stream
	ask     []byte   // for the history; nil when it is not asked for
	refused int      // how often it was
	held    [][]byte // statuses that came while the answer is not complete
}

// firstPause is about how long a client waits before it asks again for a history that
// the server had no place for; each time it is twice as long. So does our own client.
const firstPause = 500 * time.Millisecond

// Names of the subscriptions.
const (
	sidStatus = "1"
	sidInbox  = "2"
	inbox     = "_INBOX.bench.1"
)

func (d *natsDialect) open(t *tab) ([]byte, func([]byte) error) {
	n := &natsTab{tab: t}
	name := t.name
	if d.history {
		name = "bench" // too short to be resumed by
	}
	hello := fmt.Appendf(nil, "CONNECT {\"auth_token\":%q,\"name\":%q,\"protocol\":1,\"headers\":true,\"no_responders\":true,\"lang\":\"bench\",\"version\":\"1\"}\r\nSUB %s %s\r\n",
		d.tokens[t.subject], name, subjectOf(t.subject), sidStatus)
	if d.history && t.last > 0 {
		query := fmt.Sprintf(`{"categories":["engine"],"after":%d}`, t.last)
		n.ask = fmt.Appendf(nil, "PUB edge.%s.history %s %d\r\n%s\r\n", conversationOf(t.subject), inbox, len(query), query)
		hello = fmt.Appendf(hello, "SUB %s %s\r\n%s", inbox, sidInbox, n.ask)
	}
	return append(hello, "PING\r\n"...), func(b []byte) error { return n.stream.feed(b, n) }
}

func (n *natsTab) message(line, body []byte) error {
	fields := bytes.Fields(line)
	switch {
	case len(fields) < 4:
		return fmt.Errorf("no message: %q", line)
	case string(fields[2]) == sidInbox:
		return n.answer(body)
	case n.ask != nil:
		n.held = append(n.held, bytes.Clone(body))
		return nil
	}
	return n.take(body)
}

// answer takes one message of the answer to edge.<c>.history.
func (n *natsTab) answer(body []byte) error {
	if !bytes.HasPrefix(body, []byte("NATS/1.0 204")) {
		if bytes.Contains(body, []byte("\r\nNats-Service-Error-Code: 503\r\n")) {
			n.askAgain()
			return nil
		}
		if bytes.Contains(body, []byte("\r\nNats-Service-Error")) {
			return fmt.Errorf("the history was refused: %q", body)
		}
		return n.take(body)
	}
	if bytes.Contains(body, []byte("Status-Truncated")) {
		return fmt.Errorf("the history is truncated: %q", body)
	}
	if bytes.Contains(body, []byte("Status-More")) {
		return fmt.Errorf("the history has more than one answer holds: %q", body)
	}
	n.ask = nil
	held := n.held
	n.held = nil
	for _, body := range held {
		if err := n.take(body); err != nil {
			return err
		}
	}
	return nil
}

// askAgain asks once more, in a while.
func (n *natsTab) askAgain() {
	pause := time.Duration((0.5 + rand.Float64()/2) * float64(firstPause<<min(n.refused, 5)))
	n.refused++
	ask := n.ask
	time.AfterFunc(pause, func() { _ = n.send(ask) }) // an error is the reader's as well
}

func (n *natsTab) take(body []byte) error {
	sequence, err := sequenceOf(body)
	if err != nil {
		return err
	}
	n.last = max(n.last, sequence)
	return n.status(body)
}

// sequenceOf reads the header Nats-Sequence.
func sequenceOf(body []byte) (uint64, error) {
	_, value, ok := bytes.Cut(body, []byte("\r\nNats-Sequence: "))
	value, _, found := bytes.Cut(value, lineEnd)
	if !ok || !found {
		return 0, fmt.Errorf("no sequence in %q", body)
	}
	return strconv.ParseUint(string(value), 10, 64)
}

func (n *natsTab) framePing(body []byte) error { return n.sendFrame(ws.OpPong, body) }
func (n *natsTab) ping() error                 { return n.send([]byte("PONG\r\n")) }
func (n *natsTab) pong()                       { n.reached(n.next.Load()) }

// centrifugoDialect is that of Centrifugo's clients, in JSON.
type centrifugoDialect struct{ tokens []string }

func (d *centrifugoDialect) open(t *tab) ([]byte, func([]byte) error) {
	hello := fmt.Appendf(nil, `{"id":1,"connect":{"token":%q,"name":"bench"}}`+"\n", d.tokens[t.subject])
	if t.mark == "" {
		hello = fmt.Appendf(hello, `{"id":2,"subscribe":{"channel":%q}}`, conversationOf(t.subject))
	} else {
		hello = fmt.Appendf(hello, `{"id":2,"subscribe":{"channel":%q,"recover":true,"epoch":%q,"offset":%d}}`, conversationOf(t.subject), t.mark, t.last)
	}
	c := &centrifugoTab{tab: t}
	return hello, func(b []byte) error { return c.frames.feed(b, c.frame) }
}

// centrifugoTab is one connection of a Centrifugo client.
type centrifugoTab struct {
	*tab
	frames frames
}

// publication is one status, as Centrifugo wraps it.
type publication struct {
	Offset uint64
	Data   json.RawMessage
}

func (c *centrifugoTab) frame(op byte, body []byte) error {
	switch op {
	case opEnd:
		return fmt.Errorf("the server closed the socket: %q", body)
	case opPing:
		return c.sendFrame(ws.OpPong, body)
	}
	for reply := range bytes.SplitSeq(body, []byte("\n")) {
		if err := c.reply(reply); err != nil {
			return err
		}
	}
	return nil
}

func (c *centrifugoTab) reply(text []byte) error {
	if string(text) == "{}" { // a ping
		return c.send(text)
	}
	var r struct {
		Error     json.RawMessage
		Subscribe *struct {
			Epoch         string
			Offset        uint64
			Recovered     bool
			WasRecovering bool `json:"was_recovering"`
			Publications  []publication
		}
		Push *struct{ Pub *publication }
	}
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%w in %q", err, text)
	}
	if r.Error != nil {
		return fmt.Errorf("the server says %s", r.Error)
	}
	if r.Push != nil && r.Push.Pub != nil {
		return c.take(*r.Push.Pub)
	}
	if r.Subscribe == nil {
		return nil
	}
	sub := r.Subscribe
	c.mark = sub.Epoch
	if sub.WasRecovering && !sub.Recovered {
		c.last = sub.Offset
		c.goOn()
		return nil
	}
	for _, p := range sub.Publications {
		if err := c.take(p); err != nil {
			return err
		}
	}
	c.last = sub.Offset
	c.reached(c.next.Load())
	return nil
}

func (c *centrifugoTab) take(p publication) error {
	c.last = p.Offset
	return c.status(p.Data)
}
