package broadcaster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

const benchPayload = `{"text":"Processing query… step 3 of 12","metadata":{"step":3,"total_steps":12,"tool":"search"}}`

// BenchmarkBroadcaster is the whole way of a status over TCP into the stream and
// of its acknowledgement back, 1000 on their way at a time; server, broadcaster
// and publisher share the process. "floor" is the same straight to the stream.
func BenchmarkBroadcaster(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		h := open(b)
		nc, err := h.engine.Connect(engine.PartBroadcaster)
		check(b, err)
		b.Cleanup(nc.Close)
		pump(b, nc, "ingest")
	})
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("%d workers", workers), func(b *testing.B) {
			h := openWith(b, broadcaster.Options{Workers: workers})
			pump(b, h.service(b), "status")
		})
	}
}

func pump(b *testing.B, nc *nats.Conn, root string) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000))
	check(b, err)
	subjects := [8]string{}
	for i := range subjects {
		subjects[i] = fmt.Sprintf("%s.c%d.%s", root, 1+i%2, status.DefaultCategories()[i/2])
	}
	b.SetBytes(int64(len(benchPayload)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err = js.PublishAsync(subjects[i%len(subjects)], []byte(benchPayload), jetstream.WithStallWait(10*time.Second))
		check(b, err)
	}
	<-js.PublishAsyncComplete()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "statuses/s")
}

// BenchmarkPublisher is a service that waits for each acknowledgement, and one
// that publishes batches of 1000.
func BenchmarkPublisher(b *testing.B) {
	h := open(b)
	p, err := broadcaster.NewPublisher(h.service(b), broadcaster.PublisherOptions{})
	check(b, err)
	m := status.Message{Category: "engine", Text: "Processing query…"}
	b.Run("one by one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := p.Publish(b.Context(), "c1", m)
			check(b, err)
		}
	})
	b.Run("batches of 1000", func(b *testing.B) {
		batch := make([]broadcaster.Outgoing, 1000)
		for i := range batch {
			batch[i] = broadcaster.Outgoing{Conversation: "c1", Message: m}
		}
		b.ReportAllocs()
		for b.Loop() {
			_, err := p.PublishBatch(b.Context(), batch)
			check(b, err)
		}
		b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "statuses/s")
	})
}
