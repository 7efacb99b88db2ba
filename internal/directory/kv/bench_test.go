package kv_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/directory/kv"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

const many = 100_000

func manyConversations() []directory.Conversation {
	list := make([]directory.Conversation, many)
	for i := range list {
		list[i] = directory.Conversation{
			ID:      status.ConversationID(fmt.Sprintf("conversation-%06d", i*7919%many)),
			Owner:   status.UserID(fmt.Sprintf("user%d@example.com", i%20_000)),
			Members: []status.UserID{status.UserID(fmt.Sprintf("user%d@example.com", (i+1)%20_000))},
		}
	}
	return list
}

func imported(b *testing.B, d *kv.Directory, list []directory.Conversation, want directory.Result) {
	b.Helper()
	for i, o := range d.Import(b.Context(), list) {
		if o.Result != want {
			b.Fatalf("conversation %d: %v, %v", i, o.Result, o.Err)
		}
	}
}

// The first import of 100,000 conversations, the same again, and the load of
// another node.
func BenchmarkImportAndLoad(b *testing.B) {
	list := manyConversations()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		e := startEngine(b)
		d := startDirectory(b, e, kv.Options{})
		b.StartTimer()
		begin := time.Now()
		imported(b, d, list, directory.Created)
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/create")
		begin = time.Now()
		imported(b, d, list, directory.Unchanged)
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/again")
		other := kv.New(connect(b, e, engine.PartDirectory), kv.Options{})
		before := heap()
		begin = time.Now()
		if err := other.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/load")
		b.ReportMetric(float64(heap()-before)/many, "heap-B/conversation")
		if err := other.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkConversation(b *testing.B) {
	d := startDirectory(b, startEngine(b), kv.Options{})
	imported(b, d, manyConversations()[:10_000], directory.Created)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Conversation(b.Context(), "conversation-007919"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	d := startDirectory(b, startEngine(b), kv.Options{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if err := d.Create(b.Context(), directory.Conversation{ID: status.ConversationID(fmt.Sprintf("c%d", i)), Owner: "alice"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListPages(b *testing.B) {
	d := startDirectory(b, startEngine(b), kv.Options{})
	imported(b, d, manyConversations(), directory.Created)
	for b.Loop() {
		n := 0
		for after := status.ConversationID(""); ; {
			page, err := d.Page(b.Context(), "", after, 1000)
			if err != nil {
				b.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			n, after = n+len(page), page[len(page)-1].ID
		}
		if n != many {
			b.Fatal(n)
		}
	}
}
