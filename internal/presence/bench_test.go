package presence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/status"
)

// crowded is a node with n members, 100 in each conversation, and what it has sent
// to one that it knows.
func crowded(n int) (node *presence.Node, now time.Time, sent []presence.Packet) {
	now = time.Unix(1_700_000_000, 0)
	node = presence.NewNode("n1", 1, presence.Options{})
	node.Start(now)
	_ = node.Receive(now, presence.Packet{Subject: "presence.node.snapshot", Data: []byte(`{"node":"n0","incarnation":1}`)})
	for i := range n {
		node.Join(now, status.ConversationID(fmt.Sprintf("conversation-%d", i/100)), status.UserID(fmt.Sprintf("user-%d@example.com", i)), uint64(i))
	}
	sent, _ = node.Step(now)
	return node, now, sent
}

func BenchmarkJoinAndLeave(b *testing.B) {
	node, now, _ := crowded(10_000)
	b.ReportAllocs()
	for b.Loop() {
		node.Join(now, "conversation-1", "alice", 1)
		node.Leave(now, "conversation-1", "alice", 1)
		now = now.Add(time.Millisecond)
		node.Step(now)
	}
}

func BenchmarkSnapshotOfTenThousandMembers(b *testing.B) {
	node, now, _ := crowded(10_000)
	b.Run("send", func(b *testing.B) {
		b.ReportAllocs()
		bytes := 0
		for b.Loop() {
			now = now.Add(5 * time.Second)
			sent, _ := node.Step(now)
			_ = node.Receive(now, presence.Packet{Subject: "presence.node.diff", Data: []byte(`{"node":"n0","incarnation":1}`)})
			bytes = 0
			for _, p := range sent {
				bytes += len(p.Data)
			}
		}
		b.ReportMetric(float64(bytes), "wire-bytes")
	})
	b.Run("receive", func(b *testing.B) {
		_, now, sent := crowded(10_000)
		other := presence.NewNode("n2", 1, presence.Options{})
		b.ReportAllocs()
		for b.Loop() {
			for _, p := range sent {
				if err := other.Receive(now, p); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkListOfAHundredMembers(b *testing.B) {
	node, _, _ := crowded(10_000)
	b.ReportAllocs()
	for b.Loop() {
		node.List("conversation-1")
	}
}
