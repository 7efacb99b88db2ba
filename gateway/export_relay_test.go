package gateway

import (
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/outbox"
)

// Relay is a relay without a connection, and with one socket that asks.
type Relay struct {
	relay  *relay
	socket *socket

	Parts, Ends, Unanswered int
}

// NewRelay makes one that gives an answer so much time.
func NewRelay(timeout time.Duration) *Relay {
	s := &socket{}
	s.out.Init(&net.TCPConn{}, outbox.Bounds{MaxBytes: 1 << 20, Stall: time.Minute}, (*outboxOwner)(s))
	return &Relay{relay: &relay{timeout: timeout, prefix: "inbox.", waiting: map[string]*waiting{}}, socket: s}
}

// Ask is a request; what becomes of it is counted.
func (r *Relay) Ask() (reply string) { return r.relay.await(r.socket, "", counted{r}) }

// Answer is an answer that comes.
func (r *Relay) Answer(m *nats.Msg) { r.relay.answer(m) }

// Waiting is how many requests wait.
func (r *Relay) Waiting() int {
	r.relay.mu.Lock()
	defer r.relay.mu.Unlock()
	return len(r.relay.waiting)
}

type counted struct{ *Relay }

func (c counted) part(nats.Header, []byte) { c.Parts++ }
func (c counted) last(nats.Header, []byte) { c.Ends++ }
func (c counted) unanswered()              { c.Unanswered++ }
