package history_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// BenchmarkReplaysAtOnce is browsers that all come back at once: each wants 10
// statuses of its conversation, which stand among those of a thousand. One that
// is shared brings all 10,000 of them here for one; with some hundred it is even.
func BenchmarkReplaysAtOnce(b *testing.B) {
	const conversations, each = 1000, 10
	nc, server := startServerWith(b, true)
	addStream(b, nc)
	store(b, nc, "status.other.engine")
	text := bytes.Repeat([]byte("x"), 185)
	for range each {
		for c := range conversations {
			nc.Publish(fmt.Sprintf("status.c%d.engine", c), text)
		}
	}
	nc.Flush()
	store(b, nc, "status.other.engine")
	second, third := connectTo(b, server), connectTo(b, server)
	for _, replays := range []int{1, 10, 100, 1000} {
		for _, how := range []struct {
			name string
			set  func(*history.Reader)
		}{
			{"alone", (*history.Reader).ReadAlone},
			{"shared", (*history.Reader).ShareAtOnce},
			{"as-is", func(*history.Reader) {}},
		} {
			b.Run(fmt.Sprintf("%d/%s", replays, how.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := history.NewReader(second, third)
					how.set(r)
					var done sync.WaitGroup
					for i := range replays {
						done.Go(func() {
							c := status.ConversationID(fmt.Sprintf("c%d", i*conversations/replays))
							batch, err := r.Replay(history.Query{Conversation: c, Place: place(1)}).Next(b.Context(), history.MaxBatch)
							if err != nil || len(batch.Messages) != each || !batch.Done {
								b.Error(len(batch.Messages), batch.Done, err)
							}
						})
					}
					done.Wait()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*replays), "ns/replay")
			})
		}
	}
}
