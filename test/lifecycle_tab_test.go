package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// lifePatience bounds every wait of the life-cycle tests. The fuzzing engine takes
// a run for hung after 10 s.
const lifePatience = 8 * time.Second

// wireLine is one operation from the gateway.
type wireLine struct {
	verb    string // MSG (HMSG as well), -ERR, PONG, INFO, ...
	subject string
	sid     string
	seq     uint64 // Nats-Sequence, 0 for none
	headers bool
	body    []byte
	text    string // the whole line
}

// tab is a raw browser connection: what is written is cut into frames at will, and
// everything that comes is kept.
type tab struct {
	conn net.Conn

	mu      sync.Mutex // guards what follows
	lines   []wireLine
	pongs   int
	ended   bool // nothing more comes
	code    ws.StatusCode
	why     string
	broken  string // what came was no whole operation
	changed chan struct{}

	unsent []byte // the test's alone, as what follows
	pings  int
}

func dialTab(url string) (*tab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lifePatience)
	defer cancel()
	conn, in, _, err := ws.Dialer{}.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if in == nil {
		in = bufio.NewReader(conn)
	}
	b := &tab{conn: conn, changed: make(chan struct{})}
	go b.read(in) // ends with the connection
	return b, nil
}

func (b *tab) read(in io.Reader) {
	for over := false; !over; {
		h, err := ws.ReadHeader(in)
		if err != nil {
			break
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(in, body); err != nil {
			break
		}
		switch h.OpCode {
		case ws.OpClose:
			over = true
			b.mu.Lock()
			b.code, b.why = ws.ParseCloseFrameData(body)
			b.mu.Unlock()
		case ws.OpPing:
			_ = ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewPongFrame(body)))
		case ws.OpBinary:
			b.take(body)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	close(b.changed)
	b.changed = make(chan struct{})
	_ = b.conn.Close()
}

// take cuts a frame into operations: it has whole ones only.
func (b *tab) take(frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(frame) > 0 {
		l, n, err := cutLine(frame)
		if err != nil {
			b.broken = fmt.Sprintf("%v: %.300q", err, frame)
			return
		}
		frame = frame[n:]
		b.lines = append(b.lines, l)
		if l.verb == "PONG" {
			b.pongs++
		}
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func cutLine(b []byte) (l wireLine, n int, err error) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return l, 0, fmt.Errorf("half an operation in a frame")
	}
	l.text = string(b[:end])
	fields := strings.Fields(l.text)
	if len(fields) == 0 {
		return l, 0, fmt.Errorf("an empty line")
	}
	l.verb = fields[0]
	if l.verb != "MSG" && l.verb != "HMSG" {
		return l, end + 2, nil
	}
	size, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil || len(b) < end+2+size+2 || string(b[end+2+size:end+4+size]) != "\r\n" {
		return l, 0, fmt.Errorf("a message that is not whole")
	}
	l.subject, l.sid = fields[1], fields[2]
	l.body = b[end+2 : end+2+size]
	if l.verb == "HMSG" {
		header, err := strconv.Atoi(fields[len(fields)-2])
		if err != nil || header > size {
			return l, 0, fmt.Errorf("a bad header size")
		}
		_, block, _ := bytes.Cut(l.body[:header], []byte("\r\n"))
		h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(block))).ReadMIMEHeader()
		if err != nil {
			return l, 0, err
		}
		l.seq, _ = strconv.ParseUint(h.Get("Nats-Sequence"), 10, 64)
		l.headers, l.verb, l.body = true, "MSG", l.body[header:]
	}
	return l, end + 4 + size, nil
}

// wait returns when ok is true, which is asked with mu held; false when time is up.
func (b *tab) wait(ok func() bool) bool {
	timeout := time.After(lifePatience)
	for {
		b.mu.Lock()
		met, changed := ok(), b.changed
		b.mu.Unlock()
		if met {
			return true
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// isEnded is true when nothing more comes.
func (b *tab) isEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// from returns the lines from the nth on.
func (b *tab) from(n int) []wireLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[n:len(b.lines):len(b.lines)]
}

// Ways to send.
const (
	keepUnsent    = iota // together with what comes next
	oneFrame             // all that is unsent in one frame
	manyFrames           // cut into frames
	oneFragmented        // one message in fragments (RFC 6455, section 5.4)
)

// send writes lines, cut into pieces of size bytes. Errors do not count: what the
// gateway closed says so to the reader.
func (b *tab) send(how, size int, lines ...string) {
	for _, l := range lines {
		b.unsent = append(b.unsent, l+"\r\n"...)
	}
	if how == keepUnsent || len(b.unsent) == 0 {
		return
	}
	all := b.unsent
	b.unsent = nil
	if how == oneFrame {
		size = len(all)
	}
	_ = b.conn.SetWriteDeadline(time.Now().Add(lifePatience))
	var out bytes.Buffer
	for first := true; len(all) > 0; first = false {
		n := min(size, len(all))
		f := ws.NewBinaryFrame(append([]byte(nil), all[:n]...))
		all = all[n:]
		if how == oneFragmented {
			f.Header.Fin = len(all) == 0
			if !first {
				f.Header.OpCode = ws.OpContinuation
			}
		}
		_ = ws.WriteFrame(&out, ws.MaskFrame(f))
	}
	_, _ = b.conn.Write(out.Bytes())
}

// raw writes bytes that are no frame of ours.
func (b *tab) raw(p []byte) {
	b.send(oneFrame, 0)
	_, _ = b.conn.Write(p)
}

// ping sends everything and a PING.
func (b *tab) ping() {
	b.pings++
	b.send(oneFrame, 0, "PING")
}

// ponged waits until all before the last ping took effect, or the end.
func (b *tab) ponged() bool { return b.wait(func() bool { return b.ended || b.pongs >= b.pings }) }

// leave ends the connection: with a close frame, or by a reset.
func (b *tab) leave(clean bool) {
	if clean {
		b.send(oneFrame, 0)
		_ = ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
		return
	}
	if tcp, ok := b.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = b.conn.Close()
}

func connectLine(name, token, join string, headers, verbose bool) string {
	body, err := json.Marshal(map[string]any{
		"auth_token": token, "user": join, "headers": headers, "no_responders": headers,
		"verbose": verbose, "protocol": 1, "lang": "fuzz", "name": name,
	})
	if err != nil {
		panic(err)
	}
	return "CONNECT " + string(body)
}
