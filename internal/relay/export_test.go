package relay

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// NewWithoutConn makes a relay that hears nobody.
func NewWithoutConn(timeout time.Duration) *Relay {
	return &Relay{timeout: timeout, logger: slog.New(slog.DiscardHandler), prefix: "inbox.", waiting: map[string]*waiting{}}
}

// Await is a request of a.
func (r *Relay) Await(a Asker, to Receiver) (reply string) { return r.await(a, "", to) }

// Answer is an answer that comes.
func (r *Relay) Answer(m *nats.Msg) { r.answer(m) }
