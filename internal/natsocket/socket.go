package natsocket

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/internal/readbuf"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// Options are the settings of an Endpoint. All are required.
type Options struct {
	MaxControlLineBytes int // of an operation's line, CONNECT with its token included
	MaxPayloadBytes     int // that a browser may publish at once; a grant may lower it
	// Operations and Frames are how many of each a browser may send a second; of the
	// frames those that bring no operation.
	Operations, Frames limit.Rule
	ConnectTimeout     time.Duration // from the upgrade to a whole CONNECT
	PingInterval       time.Duration // how often an idle browser gets a ping
	PongTimeout        time.Duration // how long it may take to answer
	Logger             *slog.Logger
}

// maxPublishBytes is the largest payload of any request: a fresh token may be
// larger than all else.
func (o Options) maxPublishBytes() int { return max(o.MaxPayloadBytes, o.MaxControlLineBytes) }

// Endpoint makes sockets of connections that were upgraded.
type Endpoint struct {
	hub  *browser.Hub
	opts Options
	info []byte // the INFO that every browser gets, framed
}

// protocolVersion is the version of the NATS protocol that clients find in
// INFO; they look there for what a server can do.
const protocolVersion = "2.15.2"

// serverInfo is the INFO of the gateway: nothing of the server inside leaks.
type serverInfo struct {
	ServerID     string `json:"server_id"`
	ServerName   string `json:"server_name"`
	Version      string `json:"version"`
	Proto        int    `json:"proto"`
	Headers      bool   `json:"headers"`
	MaxPayload   int    `json:"max_payload"`
	AuthRequired bool   `json:"auth_required"`
}

// New makes an endpoint whose sockets are browsers of the hub.
func New(hub *browser.Hub, opts Options) (*Endpoint, error) {
	info, err := json.Marshal(serverInfo{
		ServerID:     "statuswire",
		ServerName:   "statuswire",
		Version:      protocolVersion,
		Proto:        1,
		Headers:      true,
		MaxPayload:   opts.maxPublishBytes(),
		AuthRequired: true,
	})
	if err != nil {
		return nil, err
	}
	return &Endpoint{hub: hub, opts: opts, info: linesFrame(natsproto.AppendInfo(nil, info))}, nil
}

// Socket is a browser that speaks the NATS client protocol over WebSocket.
type Socket struct {
	browser.Browser
	endpoint *Endpoint
	in       *readbuf.Reader
	cookie   string // token from the cookie; "" for none
	parser   natsproto.Parser

	// Set by CONNECT.
	variant                         uint8
	verbose, pedantic, noResponders bool

	// Used by the socket's goroutine alone.
	connected bool // set by CONNECT
	flushDue  bool // a SUB went upstream since the last PING
	frames    frameState
}

// Socket makes a socket of a connection, of which in has read the request. cookie is the
// token of the request's cookie, "" for none.
func (e *Endpoint) Socket(conn net.Conn, in *readbuf.Reader, remote netip.AddrPort, place browser.Place, cookie string) *Socket {
	s := &Socket{
		endpoint: e,
		in:       in,
		cookie:   cookie,
		parser: natsproto.Parser{
			MaxControlLineBytes: e.opts.MaxControlLineBytes,
			MaxPayloadBytes:     e.opts.MaxPayloadBytes,
			TokenSubject:        status.GatewayToken,
			MaxTokenBytes:       e.opts.maxPublishBytes(),
			ConnectOnly:         true,
		},
	}
	s.Init(e.hub, conn, remote, place, s)
	return s
}

// Run implements browser.Dialect.
func (s *Socket) Run() *refusal.Closing {
	s.Outbox().Put(s.endpoint.info)
	err := s.readAll()
	s.EndResumption()
	return s.ending(err)
}

// Rest implements browser.Dialect.
func (s *Socket) Rest(scrap []byte) (int, error) { return s.in.Read(scrap) }

// Last implements browser.Dialect: a last -ERR, if there is one, and the close frame.
func (s *Socket) Last(why refusal.Closing) []byte {
	var b []byte
	if why.Err != "" {
		b = linesFrame(natsproto.AppendErr(nil, why.Err))
	}
	return appendFrame(b, ws.OpClose, ws.NewCloseFrameBody(why.Code, why.Reason))
}

// LastWait implements browser.Dialect: the browser answers with a close frame.
func (*Socket) LastWait() time.Duration { return browser.LingerTime }

// Told implements browser.Dialect.
func (*Socket) Told(why refusal.Closing) (reason string, code int) {
	return cmp.Or(why.Err, why.Reason), int(why.Code)
}

// SubEnded implements browser.Dialect: the rest goes on.
func (s *Socket) SubEnded(sub *browser.Subscription, r refusal.Refusal) {
	s.sendErr(refusal.SubText(sub.Subject(), sub.Queue(), r.Reason))
}

// send writes protocol lines.
func (s *Socket) send(lines []byte) { s.Outbox().Put(linesFrame(lines)) }

func (s *Socket) sendErr(text string) { s.send(natsproto.AppendErr(nil, text)) }

// refuseSub tells the browser that the SUB is refused, and notes it.
func (s *Socket) refuseSub(subject, queue string, r refusal.Refusal) {
	s.sendErr(refusal.SubText(subject, queue, r.Reason))
	s.Note(subject, r)
}

// refusePub tells the browser that the PUB is refused, and notes it.
func (s *Socket) refusePub(subject string, r refusal.Refusal) {
	s.sendErr(refusal.PubText(subject, r.Reason))
	s.Note(subject, r)
}
