package history

import (
	"context"

	"github.com/nats-io/nats.go"
)

// questionsPerConn is how many small reads a connection has under way beside
// its one batch.
const questionsPerConn = 4

// pool gives out connections. The server runs a read in the read loop of the
// connection that asks (nats-server 2.15.2), so a second batch on the same one
// would only wait there, with its answer in memory.
type pool chan *nats.Conn

func newPool(each int, conns []*nats.Conn) pool {
	p := make(pool, each*len(conns))
	for range each {
		for _, nc := range conns {
			p <- nc
		}
	}
	return p
}

// take waits for a free connection. Who waits longest gets the next one, which
// is the one that has been free the longest.
func (p pool) take(ctx context.Context) (*nats.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case nc := <-p:
		return nc, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pool) give(nc *nats.Conn) { p <- nc }
