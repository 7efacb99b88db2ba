package fanout

import "github.com/nats-io/nats.go"

// Run is messages of one topic, in order, that were waiting together: a receiver
// writes them at once. Under load that is what lets a fan-out catch up.
type Run struct {
	Messages []*Message

	encoded []encoded
}

// RunReceiver is a Receiver that can take several messages at once. It then gets
// one message by Deliver and more by DeliverRun; the same rules hold for both.
type RunReceiver interface {
	Receiver
	DeliverRun(r *Run, s *Subscription)
}

// Encoded is all messages' Encoded, one behind the other.
func (r *Run) Encoded(sid string, variant uint8, encode func(m *Message, sid string, variant uint8) []byte) []byte {
	return encodeOnce(&r.encoded, sid, variant, func() []byte {
		var all []byte
		for _, m := range r.Messages {
			all = append(all, m.Encoded(sid, variant, encode)...)
		}
		return all
	})
}

// Bounds of a run: a receiver that is slow must be able to queue it.
const (
	maxRun      = 64
	maxRunBytes = 16 << 10 // of payload
)

// batch takes what waits for the shard into ms, which has first in it already.
func batch(ms []*nats.Msg, shard <-chan *nats.Msg) []*nats.Msg {
	for len(ms) < maxRun {
		select {
		case m := <-shard:
			ms = append(ms, m)
		default:
			return ms
		}
	}
	return ms
}

// pass hands each topic its messages of the batch, in order. Topics have no order
// among each other, but for those of one queue group.
func (f *Fanout) pass(ms []*nats.Msg) {
	for i, first := range ms {
		if first == nil {
			continue
		}
		if first.Sub.Queue != "" {
			if first.Subject == "" {
				f.passMark(first)
			} else {
				f.passQueued(first)
			}
			continue
		}
		var run []*Message
		var marks []*nats.Msg // what stood before them is in run
		for j, m := range ms[i:] {
			switch {
			case m == nil || m.Sub != first.Sub:
				continue
			case m.Subject == "":
				marks = append(marks, m)
			default:
				run = append(run, newMessage(m))
			}
			ms[i+j] = nil
		}
		if t, ok := f.bySub.Load(first.Sub); ok {
			t.(*topic).take(run...)
		}
		for _, m := range marks {
			f.passMark(m)
		}
	}
}

// sendRun hands ms to the members, at most maxRunBytes at once.
func (t *topic) sendRun(ms []*Message) {
	for len(ms) > 0 {
		n := fitting(len(ms), func(i int) int { return len(ms[i].Data) })
		if n == 1 {
			t.send(ms[0])
		} else {
			t.sendTogether(ms[:n])
		}
		ms = ms[n:]
	}
}

// fitting is how many of n messages, the first in any case, go into one run.
func fitting(n int, bytes func(i int) int) int {
	size := bytes(0)
	for i := 1; i < min(n, maxRun); i++ {
		if size += bytes(i); size > maxRunBytes {
			return i
		}
	}
	return min(n, maxRun)
}

func (t *topic) sendTogether(ms []*Message) {
	to := t.current()
	run := &Run{Messages: ms}
	for _, r := range to.recipients {
		if r.runs != nil {
			r.runs.DeliverRun(run, r.subscription)
			continue
		}
		for _, m := range ms {
			r.receiver.Deliver(m, r.subscription)
		}
	}
	for _, m := range ms {
		t.sent(m, to.live)
	}
}
