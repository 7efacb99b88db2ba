package history_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/history"
)

// held answers nothing until it is told to, and counts what waits there.
type held struct {
	nc     *nats.Conn
	server *server.Server
	asks   chan *nats.Msg
}

func hold(t *testing.T) held {
	t.Helper()
	h := held{asks: make(chan *nats.Msg, 1000)}
	h.nc, h.server = startServerWith(t, false)
	sub, err := h.nc.ChanSubscribe("$JS.API.DIRECT.GET.STATUS", h.asks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Unsubscribe() })
	return h
}

func nothing(t *testing.T, m *nats.Msg) {
	t.Helper()
	if err := m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"No Results"}}}); err != nil {
		t.Fatal(err)
	}
}

func TestBatchesAtOnceAreBoundedByTheConnections(t *testing.T) {
	h := hold(t)
	second := connectTo(t, h.server)
	r := history.NewReader(h.nc, second)
	const readers = 10
	var done sync.WaitGroup
	for range readers {
		done.Go(func() {
			if _, err := r.Batch(t.Context(), "status.c1.*", 0, 9); err != nil {
				t.Error(err)
			}
		})
	}
	for range readers / 2 {
		one, two := <-h.asks, <-h.asks
		select {
		case <-h.asks:
			t.Fatal("three batches at once over two connections")
		case <-time.After(5 * time.Millisecond): // nothing is to come
		}
		nothing(t, one)
		nothing(t, two)
	}
	done.Wait()
}

func TestSmallReadsDoNotWaitForBatches(t *testing.T) {
	h := hold(t)
	r := history.NewReader(h.nc)
	batch := make(chan error, 1)
	go func() { // ends with its answer, below
		_, err := r.Batch(t.Context(), "status.c1.*", 0, 9)
		batch <- err
	}()
	first := <-h.asks
	ctx, cancel := context.WithCancel(t.Context())
	small := make(chan error, 1)
	go func() { // ends with the context
		_, _, err := r.LastSequences(ctx, "status.c1.*")
		small <- err
	}()
	<-h.asks
	cancel()
	if err := <-small; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	nothing(t, first)
	if err := <-batch; err != nil {
		t.Error(err)
	}
}

func TestWhoWaitsForAConnectionGivesUpWithItsContext(t *testing.T) {
	h := hold(t)
	r := history.NewReader(h.nc)
	batch := make(chan error, 1)
	go func() { // ends with its answer, below
		_, err := r.Batch(t.Context(), "status.c1.*", 0, 9)
		batch <- err
	}()
	first := <-h.asks
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Batch(ctx, "status.c1.*", 0, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want the context's", err)
	}
	nothing(t, first)
	if err := <-batch; err != nil {
		t.Error(err)
	}
}
