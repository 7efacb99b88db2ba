package limit_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

func BenchmarkMeterOperation(b *testing.B) {
	m := limit.NewMeter(limit.DefaultOptions().MeterRules)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Millisecond)
		if m.Operation(now).Hit() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkMeterOperationRefused(b *testing.B) {
	m := limit.NewMeter(limit.MeterRules{Operations: limit.Rule{Value: 1}})
	now := time.Now()
	m.Operation(now)
	b.ReportAllocs()
	for b.Loop() {
		if !m.Operation(now).Refused() {
			b.Fatal("passed")
		}
	}
}

func benchmarkMeterSub(b *testing.B, op limit.SubOp) {
	m := limit.NewMeter(limit.DefaultOptions().MeterRules)
	m.Sub(limit.SubOp{Conversation: "other", Category: "engine"})
	b.ReportAllocs()
	for b.Loop() {
		if m.Sub(op).Hit() {
			b.Fatal("refused")
		}
		m.Unsub(op)
	}
}

func BenchmarkMeterSubUnsub(b *testing.B) {
	benchmarkMeterSub(b, limit.SubOp{Conversation: "c1", Category: "engine"})
}

func BenchmarkMeterSubUnsubWildcard(b *testing.B) {
	benchmarkMeterSub(b, limit.SubOp{Conversation: "c1", Category: limit.Wildcard,
		Covered: []string{"engine", "tool", "workflow", "progress", "error", "info"}})
}

func BenchmarkMeterSubRefused(b *testing.B) {
	m := limit.NewMeter(limit.DefaultOptions().MeterRules)
	for i := range 10 {
		m.Sub(limit.SubOp{Conversation: "c1", Category: fmt.Sprint("c", i)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if !m.Sub(limit.SubOp{Conversation: "c2", Category: "engine"}).Refused() {
			b.Fatal("passed")
		}
	}
}

func BenchmarkChangesSub(b *testing.B) {
	m := limit.NewChanges().Open(time.Now(), "alice", limit.Rule{Value: 30})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(2 * time.Second)
		if m.Sub(now, "status.c1.engine").Hit() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkChangesSubRefused(b *testing.B) {
	now := time.Now()
	m := limit.NewChanges().Open(now, "alice", limit.Rule{Value: 30})
	for range 30 {
		m.Sub(now, "status.c1.engine")
	}
	b.ReportAllocs()
	for b.Loop() {
		if !m.Sub(now, "status.c1.tool").Refused() {
			b.Fatal("passed")
		}
	}
}

func BenchmarkCountersTakeRelease(b *testing.B) {
	c := limit.NewCounters[netip.Prefix](limit.ConnectionsPerAddress, limit.Rule{Value: 200})
	key := limit.Network(netip.MustParseAddr("2001:db8::1"))
	c.Take(key)
	b.ReportAllocs()
	for b.Loop() {
		c.Take(key)
		c.Release(key)
	}
}

func BenchmarkWindowsCheck(b *testing.B) {
	w := limit.NewWindows[netip.Prefix](limit.FailedLogins, limit.Rule{Value: 20}, time.Minute)
	key, now := limit.Network(netip.MustParseAddr("192.0.2.1")), time.Now()
	w.Add(now, key)
	b.ReportAllocs()
	for b.Loop() {
		w.Check(now, key)
	}
}

func BenchmarkRateTake(b *testing.B) {
	r := limit.NewRate(limit.Upgrades, limit.Rule{Value: 2000})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.Take(now)
	}
}
