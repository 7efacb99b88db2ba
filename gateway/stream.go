package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/relay"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// stream is a socket that answers one GET request, and ends with that. The
// connection is the HTTP server's no more, so a stream has the socket's queue, its
// bounds and its end, and a kick or a change of access reaches it from the moment
// that it logs in.
type stream struct {
	socket
	conversation status.ConversationID
	token        string      // "" for none
	header       http.Header // of whatever the answer is
	body         body
	saidAll      bool // the browser has closed its side, see listen; its goroutine's
}

// body is what a stream answers with. All but farewell belong to the socket's
// goroutine.
type body interface {
	// name is what operators see as the client's language.
	name() string
	contentType() string
	// open decides whether there is an answer, when the user has logged in, and
	// begins it. The error is made by end.
	open(s *stream) error
	// serve goes on until the end, and says why. It is called after open alone.
	serve(s *stream) refusal.Closing
	// shut lets go of what open took, if it was called.
	shut(s *stream)
	// farewell is what is written last once the answer has begun.
	farewell(why refusal.Closing) []byte
}

func newStream(g *Gateway, conn net.Conn, c status.ConversationID, token string, header http.Header, b body) *stream {
	s := &stream{conversation: c, token: token, header: header, body: b}
	s.socket.init(g, conn, s)
	s.out.Hold()
	giveUpAfter(conn, g.opts.PingInterval+g.opts.PongTimeout)
	return s
}

// run implements dialect.
func (s *stream) run() *refusal.Closing {
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
func (s *stream) open() error {
	if s.token == "" {
		return refusal.End(refusal.CloseDenied(refusal.ReasonNoBearer))
	}
	s.connect = connectOptions{AuthToken: s.token, Lang: s.body.name()}
	if err := s.login(s.ctx, s.connect, ""); err != nil {
		return err
	}
	return s.body.open(s)
}

// answer begins the answer; what was written before goes out behind first. It is
// false when the stream has ended meanwhile. Safe from any goroutine.
func (s *stream) answer(first []byte) bool {
	h := s.header.Clone()
	h.Set("Content-Type", s.body.contentType())
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it until it has some more
	return s.out.Begin(rawAnswer(http.StatusOK, h, first))
}

// last implements dialect: the whole answer, if none has begun.
func (s *stream) last(why refusal.Closing) []byte {
	if s.out.Seal() {
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

// told implements dialect.
func (s *stream) told(why refusal.Closing) (reason string, code int) {
	if why.Wire == nil {
		return why.Reason, 0
	}
	return why.Wire.Description, why.Wire.Code
}

// subEnded implements dialect: without it there is nothing to stay for.
func (s *stream) subEnded(_ *localSub, r refusal.Refusal) { s.close(refusal.CloseRefused(r)) }

// listen waits for the browser, until the read deadline or wake. It is over when the
// browser has gone, or has said something, or the stream is closed. One that has
// gone looks like one that reads on and has closed its own side alone: it saidAll.
func (s *stream) listen() (why refusal.Closing, over bool) {
	var scrap [512]byte
	n, err := s.conn.Read(scrap[:])
	s.saidAll = errors.Is(err, io.EOF)
	switch {
	case n > 0:
		return refusal.CloseInput(), true
	case !errors.Is(err, os.ErrDeadlineExceeded) || s.isClosing():
		return refusal.CloseDone(), true
	}
	return refusal.Closing{}, false
}

// wake has listen return, now and from now on. Safe from any goroutine.
func (s *stream) wake() { _ = s.conn.SetReadDeadline(time.Now()) }

// rest implements dialect.
func (s *stream) rest(scrap []byte) (int, error) { return s.conn.Read(scrap) }

// granted is the categories of the conversation that the grant lets be subscribed
// to one by one.
func (s *stream) granted() (all []status.Category) {
	g, _ := s.held()
	for _, name := range s.gateway.categories(s.ctx, s.conversation) {
		if c := status.Category(name); g.CanSubscribe(status.Subject(s.conversation, c), "") {
			all = append(all, c)
		}
	}
	return all
}

// mayAsk decides on a request to the edge as for one of a browser.
func (s *stream) mayAsk(subject string) refusal.Refusal {
	g, _ := s.held()
	r := decidePub(g, subject, func(g *session.Grant) (*session.Grant, refusal.Refusal) {
		return s.join(subject, g, func() refusal.Refusal { return refusal.Refusal{} })
	})
	return r.InWords()
}

// ask sends a request to the edge that mayAsk has let pass. The error is made by
// end.
func (s *stream) ask(subject string, body []byte, to relay.Receiver) error {
	g, _ := s.held()
	if g.MaxPayloadBytes >= 0 && len(body) > g.MaxPayloadBytes {
		return refusal.End(refusal.CloseError(status.ErrBadRequest.Withf("the request has %d bytes, at most %d are allowed", len(body), g.MaxPayloadBytes)))
	}
	if err := s.gateway.relay.Forward(&s.socket, status.AskedBy(subject, g.User), body, to); err != nil {
		s.gateway.opts.Logger.Error("cannot forward a request", "subject", subject, "error", err)
		return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
	}
	return nil
}
