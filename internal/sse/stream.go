package sse

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Options are the settings of an Endpoint. All are required.
type Options struct {
	PingInterval time.Duration // how often a quiet stream gets a comment, at most
	PongTimeout  time.Duration // how long its kernel may take to acknowledge
	Logger       *slog.Logger
}

// Endpoint makes streams, and knows how far they were.
type Endpoint struct {
	hub    *browser.Hub
	fanout *fanout.Fanout
	opts   Options
	places *eventPlaces
}

// New makes an endpoint whose streams are browsers of the hub.
func New(hub *browser.Hub, f *fanout.Fanout, opts Options) *Endpoint {
	return &Endpoint{hub: hub, fanout: f, opts: opts, places: newEventPlaces()}
}

// Stream is a browser's connection that answers one GET request, and ends with that. The
// connection is the HTTP server's no more, so a stream has the queue of a
// browser, its bounds and its end, and a kick or a change of access reaches it from the moment
// that it logs in.
type Stream struct {
	browser.Browser
	endpoint     *Endpoint
	conversation status.ConversationID
	token        string      // "" for none
	header       http.Header // of whatever the answer is
	body         Body
	saidAll      bool // the browser has closed its side, see listen; its goroutine's
}

// Body is what a stream answers with. All but farewell belong to the stream's
// goroutine.
type Body interface {
	// name is what operators see as the client's language.
	name() string
	contentType() string
	// open decides whether there is an answer, when the user has logged in, and
	// begins it. The error is made by refusal.End.
	open(s *Stream) error
	// serve goes on until the end, and says why. It is called after open alone.
	serve(s *Stream) refusal.Closing
	// shut lets go of what open took, if it was called.
	shut(s *Stream)
	// farewell is what is written last once the answer has begun.
	farewell(why refusal.Closing) []byte
}

// Stream makes a stream of a connection whose request was read. token is "" for none;
// header is of whatever the answer is.
func (e *Endpoint) Stream(conn net.Conn, remote netip.AddrPort, place browser.Place, c status.ConversationID, token string, header http.Header, b Body) *Stream {
	s := &Stream{endpoint: e, conversation: c, token: token, header: header, body: b}
	s.Init(e.hub, conn, remote, place, s)
	s.Outbox().Hold()
	giveUpAfter(conn, e.opts.PingInterval+e.opts.PongTimeout)
	return s
}

// Run implements browser.Dialect.
func (s *Stream) Run() *refusal.Closing {
	defer s.body.shut(s)
	why := refusal.CloseDone()
	var end *refusal.EndError
	switch err := s.open(); {
	case err == nil:
		why = s.body.serve(s)
	case errors.As(err, &end):
		why = end.Closing
	}
	return &why
}

// open logs in and has the answer begin.
func (s *Stream) open() error {
	if s.token == "" {
		return refusal.End(refusal.CloseDenied(refusal.ReasonNoBearer))
	}
	if err := s.LogIn(session.Login{Token: s.token, Lang: s.body.name()}, ""); err != nil {
		return err
	}
	return s.body.open(s)
}

// answer begins the answer; what was written before goes out behind first. It is
// false when the stream has ended meanwhile. Safe from any goroutine.
func (s *Stream) answer(first []byte) bool {
	h := s.header.Clone()
	h.Set("Content-Type", s.body.contentType())
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it until it has some more
	return s.Outbox().Begin(rawAnswer(http.StatusOK, h, first))
}

// Last implements browser.Dialect: the whole answer, if none has begun.
func (s *Stream) Last(why refusal.Closing) []byte {
	if s.Outbox().Seal() {
		return s.body.farewell(why)
	}
	if why.Wire == nil {
		return nil
	}
	h := s.header.Clone()
	body := refusalBody(why.Wire)
	setRefusal(h, why.RetryAfter, why.Wire)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return rawAnswer(why.Wire.Code, h, body)
}

// Told implements browser.Dialect.
func (s *Stream) Told(why refusal.Closing) (reason string, code int) {
	if why.Wire == nil {
		return why.Reason, 0
	}
	return why.Wire.Description, why.Wire.Code
}

// LastWait implements browser.Dialect: nothing is said to the last words.
func (*Stream) LastWait() time.Duration { return 0 }

// SubEnded implements browser.Dialect: without it there is nothing to stay for.
func (s *Stream) SubEnded(_ *browser.Subscription, r refusal.Refusal) {
	s.Close(refusal.CloseRefused(r))
}

// listen waits for the browser, until the read deadline or wake. It is over when the
// browser has gone, or has said something, or the stream is closed. One that has
// gone looks like one that reads on and has closed its own side alone: it saidAll.
func (s *Stream) listen() (why refusal.Closing, over bool) {
	var scrap [512]byte
	n, err := s.Conn().Read(scrap[:])
	s.saidAll = errors.Is(err, io.EOF)
	switch {
	case n > 0:
		return refusal.CloseInput(), true
	case !errors.Is(err, os.ErrDeadlineExceeded) || s.IsClosing():
		return refusal.CloseDone(), true
	}
	return refusal.Closing{}, false
}

// wake has listen return, now and from now on. Safe from any goroutine.
func (s *Stream) wake() { _ = s.Conn().SetReadDeadline(time.Now()) }

// Rest implements browser.Dialect.
func (s *Stream) Rest(scrap []byte) (int, error) { return s.Conn().Read(scrap) }

// subscription is one of the stream's own, which the browser knows by sid.
func (s *Stream) subscription(subject, sid string) *browser.Subscription {
	sub := &browser.Subscription{}
	sub.Init(&s.Browser, subject, "", sid)
	return sub
}

// granted is the categories of the conversation that the grant lets be subscribed
// to one by one.
func (s *Stream) granted() (all []status.Category) {
	g := s.Grant()
	for _, name := range s.Categories(s.conversation) {
		if c := status.Category(name); g.CanSubscribe(status.Subject(s.conversation, c), "") {
			all = append(all, c)
		}
	}
	return all
}

// mayAsk decides on a request to the edge as for one of a browser.
func (s *Stream) mayAsk(subject string) refusal.Refusal { return s.MayPublish(subject).InWords() }

// ask sends a request to the edge that mayAsk has let pass. The error is made by
// refusal.End.
func (s *Stream) ask(subject string, body []byte, to relay.Receiver) error {
	if most := s.Grant().MaxPayloadBytes; most >= 0 && len(body) > most {
		return refusal.End(refusal.CloseError(status.ErrBadRequest.Withf("the request has %d bytes, at most %d are allowed", len(body), most)))
	}
	if err := s.Forward(subject, body, to); err != nil {
		return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
	}
	return nil
}
