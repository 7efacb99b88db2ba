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
	text        string
	held        chan *nats.Msg // not nil: gets the batches without a filter, which are not answered
	whole       int            // batches without a filter that were answered
}

type ask struct {
	Seq       uint64   `json:"seq"`
	NextFor   string   `json:"next_by_subj"`
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
	if a.NextFor == "" {
		if r.held != nil {
			r.held <- m
			return
		}
		r.whole++
	}
	r.answer(m)
}

func (r *replica) answer(m *nats.Msg) {
	var a ask
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return
	}
	end := nats.Header{"Status": {"204"}, "Description": {"EOB"}, "Nats-Num-Pending": {"0"}}
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
	m.RespondMsg(&nats.Msg{Data: []byte("{" + r.text + "}"), Header: nats.Header{
		"Nats-Subject": {"status.c1.engine"}, "Nats-Sequence": {fmt.Sprint(seq)}, "Nats-Time-Stamp": {"2026-01-19T12:00:00Z"},
	}})
}

// A batch may be answered by another server than the one that said what is new,
// and that server may not have all of it yet: then it is not the end.
func TestAReplicaThatLagsIsNotTakenForTheEnd(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %v", shared), func(t *testing.T) { testAReplicaThatLags(t, shared) })
	}
}

func testAReplicaThatLags(t *testing.T, shared bool) {
	nc, _ := startServerWith(t, false)
	r := &replica{holds: 5, says: 9}
	r.serve(t, nc)
	reader := history.NewReader(nc)
	reader.ReadAlone()
	if shared {
		reader = history.NewReader(nc)
		reader.ShareAtOnce()
	}
	p := reader.Replay(history.Query{Conversation: "c1"})
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
	if (r.whole > 0) != shared {
		t.Errorf("%d reads of all", r.whole)
	}
}

// A stream that is restored from a backup is still the one that was created then,
// and what was stored after the backup is not in it.
func TestSegmentsDoNotSurviveARestore(t *testing.T) {
	nc, _ := startServerWith(t, false)
	r := &replica{holds: 90, says: 90, text: "old"}
	r.serve(t, nc)
	reader := history.NewReader(nc)
	reader.ShareAtOnce()
	for range 2 {
		b, err := reader.Replay(history.Query{Conversation: "c1"}).Next(t.Context(), 200)
		if err != nil || uint64(len(b.Messages)) != r.says {
			t.Fatalf("%+v, %v", b, err)
		}
		for _, m := range b.Messages {
			if string(m.Data) != "{"+r.text+"}" {
				t.Fatalf("message %d is %s, not %s", m.Sequence, m.Data, r.text)
			}
		}
		r.holds, r.says, r.text = 80, 80, "new"
	}
}

func TestARangeIsSharedOnlySoFar(t *testing.T) {
	nc, _ := startServerWith(t, false)
	r := &replica{holds: 60_100, says: 60_100}
	r.serve(t, nc)
	reader := history.NewReader(nc)
	reader.ShareAtOnce()
	for _, c := range []struct {
		after uint64
		whole int
	}{{0, 0}, {200, 1}} {
		b, err := reader.Replay(history.Query{Conversation: "c1", Place: place(c.after)}).Next(t.Context(), 10)
		if err != nil || len(b.Messages) != 10 || b.Done || r.whole != c.whole {
			t.Errorf("after %d: %+v, %v, %d reads of all, want %d", c.after, b, err, r.whole, c.whole)
		}
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
