package sse_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/sse"
)

func TestWhereStreamsLetOthersBegin(t *testing.T) {
	now := time.Now()
	const c1, a, b = "status.c1.*", "status.c1.a", "status.c1.b"
	// Everything was known up to 10, then these were sent; "a 12" was late.
	sent := []sse.Sent{{a, 11, ""}, {b, 15, ""}, {a, 12, ""}, {b, 18, ""}}
	ended, open := sse.NewEventPlaces(), sse.NewEventPlaces()
	ended.Leave(now, c1, 10, sent...)
	leave := open.Enter("alice", c1, 10, sent...)
	for id, want := range map[string]fanout.Place{
		"9":  {After: 9},
		"11": {After: 10, Seen: map[string]uint64{a: 11, b: 11}},
		"15": {After: 10, Seen: map[string]uint64{a: 11, b: 15}}, // "a 12" has not come
		"18": {After: 10, Seen: map[string]uint64{a: 12, b: 18}},
		"19": {After: 19}, // sent by somebody else
	} {
		for name, got := range map[string]fanout.Place{
			"ended": ended.From("alice", c1, id), "open": open.From("alice", c1, id),
		} {
			if !reflect.DeepEqual(got, want) {
				t.Errorf("behind %s, %s: %+v, want %+v", id, name, got, want)
			}
		}
	}
	if got := ended.From("alice", "status.c2.*", "15"); !reflect.DeepEqual(got, fanout.Place{After: 15}) {
		t.Errorf("another conversation begins at %+v", got)
	}
	if got := open.From("bob", c1, "15"); !reflect.DeepEqual(got, fanout.Place{After: 15}) {
		t.Errorf("behind an open stream of another user it begins at %+v", got)
	}
	// Nobody knows which one has sent the event.
	ended.Leave(now, c1, 14, sse.Sent{b, 16, ""})
	if got, want := ended.From("alice", c1, "15"), (fanout.Place{After: 10, Seen: map[string]uint64{a: 11, b: 15}}); !reflect.DeepEqual(got, want) {
		t.Errorf("behind 15 of either: %+v, want %+v", got, want)
	}
	ended.Leave(now, c1, 30, sse.Sent{b, 20, ""})
	if n := ended.Len(); n != 2 {
		t.Errorf("%d are kept: where nothing can be missing there is nothing to keep", n)
	}
	leave(now)
	if open.Open() != 0 || open.Len() != 1 {
		t.Errorf("%d are open and %d have ended", open.Open(), open.Len())
	}
}

func TestWhereAnEndedStreamWasSaysNothingOfOtherData(t *testing.T) {
	now := time.Now()
	const c1, a, b = "status.c1.*", "status.c1.a", "status.c1.b"
	p := sse.NewEventPlaces()
	p.Leave(now, c1, 10, sse.Sent{a, 11, "old"}, sse.Sent{b, 15, "old"})
	for id, want := range map[string]fanout.Place{
		"15-old": {Epoch: "old", After: 10, Seen: map[string]uint64{a: 11, b: 15}},
		"15-new": {Epoch: "new", After: 15},
		"15":     {After: 10, Seen: map[string]uint64{a: 11, b: 15}}, // it may be
	} {
		if got := p.From("alice", c1, id); !reflect.DeepEqual(got, want) {
			t.Errorf("behind %s: %+v, want %+v", id, got, want)
		}
	}
	// Of a stream that went on with other data only that counts.
	p.Leave(now, c1, 0, sse.Sent{a, 40, "old"}, sse.Sent{a, 3, "new"}, sse.Sent{b, 5, "new"})
	if got, want := p.From("alice", c1, "5-new"), (fanout.Place{Epoch: "new", Seen: map[string]uint64{a: 3, b: 5}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPlacesOfEndedStreamsAreBounded(t *testing.T) {
	p := sse.NewEventPlaces()
	now := time.Now()
	for range 20 {
		p.Leave(now, "status.c1.*", 10, sse.Sent{"status.c1.a", 11, ""})
	}
	if n := p.Len(); n != 8 {
		t.Errorf("%d are kept of one subject", n)
	}
	for i := range 11_000 {
		p.Leave(now, fmt.Sprintf("status.d%d.*", i), 10, sse.Sent{"x", 11, ""})
	}
	if n := p.Len(); n != 10_000 {
		t.Errorf("%d are kept", n)
	}
	p.Leave(now.Add(2*time.Hour), "status.c3.*", 10, sse.Sent{"x", 11, ""})
	if n := p.Len(); n != 1 {
		t.Errorf("%d are kept after two hours", n)
	}
}
