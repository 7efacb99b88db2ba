package presence

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// natsWire is the wire in core NATS.
type natsWire struct{ nc *nats.Conn }

const (
	// queueLength is how many messages of nodes may wait. What exceeds it is
	// dropped by the NATS client, and the next snapshot makes up for it.
	queueLength = 4096
	// flushTimeout bounds the wait for the server.
	flushTimeout = 5 * time.Second
)

func (w natsWire) listen(subject string) (<-chan *nats.Msg, func() error, error) {
	in := make(chan *nats.Msg, queueLength)
	sub, err := w.nc.ChanSubscribe(subject, in)
	if err != nil {
		return nil, nil, err
	}
	return in, func() error {
		if w.nc.IsClosed() {
			return nil
		}
		return sub.Unsubscribe()
	}, nil
}

func (w natsWire) publish(subject string, data []byte) error { return w.nc.Publish(subject, data) }

func (w natsWire) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return w.nc.FlushWithContext(ctx)
}
