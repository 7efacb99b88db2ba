package fanout_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
)

// counter is a receiver that does next to nothing.
type counter struct{ n int }

func (c *counter) Deliver(m *fanout.Message, s *fanout.Subscription) {
	c.n += len(m.Encoded(s.SID, 0, func(m *fanout.Message, _ string, _ uint8) []byte { return m.Data }))
}

func (c *counter) Ended(*fanout.Subscription, string) {}

// BenchmarkDeliver is the way of one status from nats.go to a thousand receivers
// with some different sids: the recovery rule, the members, the frame that they
// share. "floor" is the calls alone.
func BenchmarkDeliver(b *testing.B) {
	const receivers, sids = 1000, 4
	payload := []byte(`{"category":"engine","text":"Processing the query","timestamp":"2024-01-19T12:00:00Z"}`)

	b.Run("floor", func(b *testing.B) {
		var all []fanout.Receiver
		var subs []*fanout.Subscription
		for i := range receivers {
			all = append(all, &counter{})
			subs = append(subs, &fanout.Subscription{SID: strconv.Itoa(i % sids)})
		}
		b.ReportAllocs()
		for b.Loop() {
			m := &fanout.Message{Data: payload}
			for i, r := range all {
				r.Deliver(m, subs[i])
			}
		}
		report(b, receivers)
	})
	b.Run("topic", func(b *testing.B) {
		r := newRig(b, fanout.Options{})
		var counters []*counter
		for i := range receivers {
			c := &counter{}
			counters = append(counters, c)
			s, err := r.fanout.Subscribe(b.Context(), "status.c1.engine", "", strconv.Itoa(i%sids), c)
			if err != nil {
				b.Fatal(err)
			}
			defer r.fanout.Unsubscribe(s)
		}
		sent := 0
		b.ReportAllocs()
		for b.Loop() {
			sent++
			m := nats.NewMsg("status.c1.engine")
			m.Data = payload
			m.Header["Nats-Sequence"] = []string{strconv.Itoa(sent)}
			m.Header["Nats-Last-Sequence"] = []string{strconv.Itoa(sent - 1)}
			r.replay(m)
		}
		report(b, receivers)
		for i, c := range counters {
			if c.n != sent*len(payload) {
				b.Fatal(fmt.Errorf("receiver %d has %d bytes of %d messages", i, c.n, sent))
			}
		}
	})
}

func report(b *testing.B, receivers int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(receivers), "ns/delivery")
}
