package history_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/history"
)

// replica answers reads in the stream's place: of c1.engine it holds the messages
// 1 to holds, and says that the last one is says.
type replica struct {
	holds, says uint64
	slow        time.Duration // how long a batch takes
	sizes       []int         // of the batches that were asked for
}

type ask struct {
	Seq       uint64   `json:"seq"`
	MultiLast []string `json:"multi_last"`
	Batch     int      `json:"batch"`
}

func (r *replica) serve(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for subject, answer := range map[string]func(*nats.Msg){
		"$JS.API.DIRECT.GET.STATUS": r.read,
		"$JS.API.STREAM.INFO.STATUS": func(m *nats.Msg) {
			m.Respond(fmt.Appendf(nil, `{"config":{},"state":{"messages":%d,"first_seq":1,"last_seq":%d}}`, r.says, r.says))
		},
	} {
		sub, err := nc.Subscribe(subject, answer)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sub.Unsubscribe() })
	}
}

func (r *replica) read(m *nats.Msg) {
	var a ask
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return
	}
	end := nats.Header{"Status": {"204"}, "Description": {"EOB"}, "Nats-Num-Pending": {"0"}}
	if len(a.MultiLast) > 0 {
		end.Set("Nats-UpTo-Sequence", fmt.Sprint(r.says))
		if r.says >= a.Seq {
			r.send(m, r.says)
		}
		m.RespondMsg(&nats.Msg{Header: end})
		return
	}
	r.sizes = append(r.sizes, a.Batch)
	time.Sleep(r.slow)
	sent := 0
	for seq := a.Seq; seq <= r.holds && sent < a.Batch; seq++ {
		r.send(m, seq)
		sent++
	}
	if sent == 0 {
		end = nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}
	} else if left := r.holds + 1 - a.Seq - uint64(sent); left > 0 {
		end.Set("Nats-Num-Pending", fmt.Sprint(left))
	}
	m.RespondMsg(&nats.Msg{Header: end})
}

func (r *replica) send(m *nats.Msg, seq uint64) {
	m.RespondMsg(&nats.Msg{Data: []byte("{}"), Header: nats.Header{
		"Nats-Subject": {"status.c1.engine"}, "Nats-Sequence": {fmt.Sprint(seq)}, "Nats-Time-Stamp": {"2026-01-19T12:00:00Z"},
	}})
}

// A batch may be answered by another server than the one that said what is new,
// and that server may not have all of it yet: then it is not the end.
func TestAReplicaThatLagsIsNotTakenForTheEnd(t *testing.T) {
	nc, _ := startServerWith(t, false)
	r := &replica{holds: 5, says: 9}
	r.serve(t, nc)
	p := history.NewReader(nc).Replay(history.Query{Conversation: "c1"})
	b, err := p.Next(t.Context(), 200)
	if err != nil || len(b.Messages) != 5 || b.UpTo != 5 || b.Done {
		t.Fatalf("first %+v, %v", b, err)
	}
	for range 5 { // nothing comes, and it is not Done
		if b, err = p.Next(t.Context(), 200); err != nil || b.Done {
			break
		}
	}
	if !errors.Is(err, history.ErrNotRead) {
		t.Fatalf("it lags for long: %+v, %v, want ErrNotRead", b, err)
	}
	r.holds = 9 // it has caught up
	if b, err = p.Next(t.Context(), 200); err != nil || len(b.Messages) != 4 || b.Messages[0].Sequence != 6 || b.UpTo != 9 || !b.Done {
		t.Errorf("then %+v, %v", b, err)
	}
}

// A batch holds the stream's lock: one that takes long is followed by smaller ones.
func TestAfterASlowBatchTheNextIsSmaller(t *testing.T) {
	nc, _ := startServerWith(t, false)
	r := &replica{holds: 500, says: 500, slow: 5 * time.Millisecond}
	r.serve(t, nc)
	got := drain(t, history.NewReader(nc).Replay(history.Query{Conversation: "c1"}), 200)
	if len(got.sequences) != 500 || got.batches < 15 {
		t.Errorf("%d messages in %d batches", len(got.sequences), got.batches)
	}
	for i, size := range r.sizes[1:] {
		if was := r.sizes[i]; size > was || size < 20 && i < len(r.sizes)-2 || size == was && was > 20 {
			t.Fatalf("batches of %v", r.sizes)
		}
	}
}
