package edge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

// told is a whole answer to a request for the history.
type told struct {
	parts   []*nats.Msg
	last    *nats.Msg
	refusal *status.Error
}

func (a told) sequences() []uint64 {
	var s []uint64
	for _, m := range a.parts {
		s = append(s, number(m, status.HeaderSequence))
	}
	return s
}

// number reads a header; 0 when it is not there.
func number(m *nats.Msg, header string) uint64 {
	n, _ := strconv.ParseUint(m.Header.Get(header), 10, 64)
	return n
}

// teller is one request for the history, seen from the side that asked.
type teller struct {
	nc  *nats.Conn
	sub *nats.Subscription
}

// tell asks. The inbox must be known to the server first.
func tell(t testing.TB, nc *nats.Conn, subject, body string) teller {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Unsubscribe() })
	if err := nc.PublishRequest(subject, inbox, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return teller{nc, sub}
}

// next returns the next message; nil when there is none for a moment.
func (a teller) next(t testing.TB, wait time.Duration) *nats.Msg {
	t.Helper()
	m, err := a.sub.NextMsg(wait)
	if errors.Is(err, nats.ErrTimeout) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rest reads up to the last message, telling that there is room when asked to.
func (a teller) rest(t testing.TB) told {
	t.Helper()
	var all told
	for {
		m := a.next(t, soon)
		if m == nil {
			t.Fatalf("no last message after %d parts", len(all.parts))
		}
		if m.Header.Get(status.HeaderSubject) == "" {
			all.last = m
			if len(m.Data) > 0 {
				var body struct{ Error *status.Error }
				if err := json.Unmarshal(m.Data, &body); err != nil {
					t.Fatal(err)
				}
				all.refusal = body.Error
			}
			return all
		}
		all.parts = append(all.parts, m)
		if m.Reply != "" {
			if err := a.nc.Publish(m.Reply, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func askHistory(t testing.TB, nc *nats.Conn, subject, body string) told {
	t.Helper()
	return tell(t, nc, subject, body).rest(t)
}

const aliceAsks = "edge.c1.history.alice"

// epoch is what a join says.
func (r *rig) epoch(t testing.TB) string {
	t.Helper()
	w, refusal, _ := ask(t, r.operator, "edge.c1.join")
	if refusal != nil || w.Epoch == "" {
		t.Fatalf("epoch %q, %v", w.Epoch, refusal)
	}
	return w.Epoch
}

// fill stores n statuses of c1.engine without waiting for each.
func (r *rig) fill(t testing.TB, n int, data string) (last uint64) {
	t.Helper()
	for range n - 1 {
		if err := r.store.Publish(status.IngestSubject("c1", "engine"), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	return r.ingest(t, "c1", "engine", data)
}

func TestHistoryIsEachStatusAsItIsStored(t *testing.T) {
	r := start(t, setup{})
	before := time.Now().Add(-time.Minute)
	m := nats.NewMsg(status.IngestSubject("c1", "engine"))
	m.Header.Set("traceparent", "00-ab-cd-01")
	m.Header.Set(status.HeaderPriority, "high")
	m.Data = []byte(`{"text":"<b>one</b>"}`)
	if _, err := r.store.RequestMsg(m, soon); err != nil {
		t.Fatal(err)
	}
	r.ingest(t, "c2", "engine", `{"text":"another's"}`)
	r.ingest(t, "c1", "deploy", `{"text":"two"}`)
	last := r.ingest(t, "c2", "engine", `{"text":"another's"}`)

	for _, c := range []struct {
		name    string
		nc      *nats.Conn
		subject string
	}{
		{"an operator", r.operator, "edge.c1.history"},
		{"the owner", r.gateway, aliceAsks},
		{"a member", r.gateway, "edge.c1.history.bob"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := askHistory(t, c.nc, c.subject, "")
			if got.refusal != nil || len(got.parts) != 2 {
				t.Fatalf("%d statuses, refusal %v", len(got.parts), got.refusal)
			}
			one, two := got.parts[0], got.parts[1]
			if string(one.Data) != `{"text":"<b>one</b>"}` || string(two.Data) != `{"text":"two"}` {
				t.Errorf("statuses %s, %s", one.Data, two.Data)
			}
			for name, want := range map[string]string{
				"Nats-Sequence": "1", "Nats-Subject": "status.c1.engine", "traceparent": "00-ab-cd-01", "Status-Priority": "high",
			} {
				if v := one.Header[name]; len(v) != 1 || v[0] != want {
					t.Errorf("%s is %q, want %q", name, v, want)
				}
			}
			if at, err := time.Parse(time.RFC3339Nano, one.Header.Get("Nats-Time-Stamp")); err != nil || at.Before(before) {
				t.Errorf("Nats-Time-Stamp is %q", one.Header.Get("Nats-Time-Stamp"))
			}
			want := nats.Header{
				"Status": {"204"}, "Description": {"EOB"},
				"Status-Count": {"2"}, "Status-Next-After": {fmt.Sprint(last)}, "Status-Epoch": {r.epoch(t)},
			}
			if len(got.last.Data) != 0 || fmt.Sprint(got.last.Header) != fmt.Sprint(want) {
				t.Errorf("last message %q %v, want %v", got.last.Data, got.last.Header, want)
			}
		})
	}
}

func TestHistoryOfWhatIsAskedFor(t *testing.T) {
	r := start(t, setup{})
	priorities := []string{"", "low", "high", "", "urgent", ""}
	for i, category := range []string{"engine", "tool", "engine", "info", "tool", "engine"} { // 1 to 6
		m := nats.NewMsg(status.IngestSubject("c1", status.Category(category)))
		if priorities[i] != "" {
			m.Header.Set(status.HeaderPriority, priorities[i])
		}
		m.Data = []byte(`{"text":"x"}`)
		if _, err := r.store.RequestMsg(m, soon); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC().Format(time.RFC3339)
	for _, c := range []struct {
		body string
		want []uint64
		next uint64
		more bool
	}{
		{``, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{`{}`, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{` { "after" : 3 } `, []uint64{4, 5, 6}, 6, false},
		{`{"after":6}`, nil, 6, false},
		{`{"epoch":"","after":4}`, []uint64{5, 6}, 6, false},
		{`{"epoch":"` + r.epoch(t) + `","after":4}`, []uint64{5, 6}, 6, false},
		{`{"categories":[]}`, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{`{"categories":["engine"]}`, []uint64{1, 3, 6}, 6, false},
		{`{"categories":["tool","info"],"after":1}`, []uint64{2, 4, 5}, 6, false},
		{`{"categories":["nothing_yet"]}`, nil, 6, false},
		{`{"after":1,"seen":{"engine":3,"tool":5}}`, []uint64{4, 6}, 6, false},
		{`{"limit":2}`, []uint64{1, 2}, 2, true},
		{`{"limit":2,"after":2}`, []uint64{3, 4}, 4, true},
		{`{"limit":2,"after":4}`, []uint64{5, 6}, 6, false},
		{`{"limit":1,"categories":["info"]}`, []uint64{4}, 6, false},
		{`{"min_priority":"low"}`, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{`{"min_priority":"normal"}`, []uint64{1, 3, 4, 5, 6}, 6, false},
		{`{"min_priority":"high","categories":["engine"]}`, []uint64{3}, 6, false},
		{`{"min_priority":"urgent"}`, []uint64{5}, 6, false},
		{`{"since":"2020-01-01T00:00:00Z"}`, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{`{"since":"2020-01-01t00:00:00z"}`, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{`{"since":"2016-12-31T23:59:60Z"}`, []uint64{1, 2, 3, 4, 5, 6}, 6, false},
		{`{"since":"2020-01-01T00:00:00+05:00","after":5}`, []uint64{6}, 6, false},
		{`{"since":"` + now[:3] + `9-01-01T00:00:00.5Z"}`, nil, 6, false},
	} {
		got := askHistory(t, r.gateway, aliceAsks, c.body)
		if got.refusal != nil {
			t.Errorf("%s: %v", c.body, got.refusal)
			continue
		}
		if !slices.Equal(got.sequences(), c.want) || number(got.last, status.HeaderCount) != uint64(len(c.want)) {
			t.Errorf("%s: %v, want %v; %v", c.body, got.sequences(), c.want, got.last.Header)
		}
		if next, more := number(got.last, status.HeaderNextAfter), got.last.Header.Get(status.HeaderMore); next != c.next || (more == "true") != c.more {
			t.Errorf("%s: next after %d, more %q; want %d, %v", c.body, next, more, c.next, c.more)
		}
	}
}

func TestTenThousandInPagesEachOnce(t *testing.T) {
	r := start(t, setup{})
	const stored = 10_000
	var want []uint64
	for i := range stored {
		category := []string{"engine", "tool", "info"}[i%3]
		if err := r.store.Publish(status.IngestSubject("c1", status.Category(category)), []byte(`{"text":"x"}`)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			r.store.Publish(status.IngestSubject("c2", "engine"), []byte(`{"text":"x"}`))
		}
	}
	last := r.ingest(t, "c2", "tool", `{"text":"the end"}`)
	for _, limit := range []int{777, 10_000} {
		var got []uint64
		pages := 0
		for after := uint64(0); ; pages++ {
			a := askHistory(t, r.gateway, aliceAsks, fmt.Sprintf(`{"after":%d,"limit":%d}`, after, limit))
			if a.refusal != nil {
				t.Fatal(a.refusal)
			}
			got = append(got, a.sequences()...)
			if len(a.parts) > limit {
				t.Fatalf("%d statuses, the limit is %d", len(a.parts), limit)
			}
			after = number(a.last, status.HeaderNextAfter)
			if a.last.Header.Get(status.HeaderMore) == "" {
				if after != last {
					t.Errorf("next after %d, the stream's last is %d", after, last)
				}
				break
			}
		}
		if want == nil {
			want = slices.Clone(got)
			slices.Sort(want)
			want = slices.Compact(want)
		}
		if len(got) != stored || !slices.Equal(got, want) || pages != (stored-1)/limit {
			t.Errorf("limit %d: %d statuses in %d more pages, %d different ones", limit, len(got), pages, len(want))
		}
	}
}

func TestForgedAndAbsurdRequests(t *testing.T) {
	r := start(t, setup{})
	r.ingest(t, "c1", "engine", `{"text":"x"}`)
	many := strings.Repeat(`"engine",`, 999) + `"engine"`
	var seen []string
	for i := range 65 {
		seen = append(seen, fmt.Sprintf(`"c%d":1`, i))
	}
	for _, c := range []struct {
		body string
		want *status.Error
		text string // part of it
	}{
		{`[]`, status.ErrBadRequest, "no JSON object"},
		{`"after"`, status.ErrBadRequest, "no JSON object"},
		{`null`, status.ErrBadRequest, "no JSON object"},
		{`{`, status.ErrBadRequest, "not valid JSON"},
		{`{"after":1`, status.ErrBadRequest, "not valid JSON"},
		{`{"after":1,}`, status.ErrBadRequest, "not valid JSON"},
		{`{after:1}`, status.ErrBadRequest, "not valid JSON"},
		{`{"after":1}{"after":2}`, status.ErrBadRequest, "something follows"},
		{`{"after":1} x`, status.ErrBadRequest, "something follows"},
		{`{"after":1,"after":0}`, status.ErrBadRequest, `"after" is there twice`},
		{`{"After":1}`, status.ErrBadRequest, `unknown field "After"`},
		{`{"subject":"status.c2.engine"}`, status.ErrBadRequest, `unknown field "subject"`},
		{`{"user":"carol"}`, status.ErrBadRequest, `unknown field "user"`},
		{`{"after":-1}`, status.ErrBadRequest, `after is "-1"`},
		{`{"after":1.5}`, status.ErrBadRequest, `after is "1.5"`},
		{`{"after":1e3}`, status.ErrBadRequest, `after is "1e3"`},
		{`{"after":"1"}`, status.ErrBadRequest, `after is "\"1\""`},
		{`{"after":null}`, status.ErrBadRequest, `after is "null"`},
		{`{"after":{"$gt":0}}`, status.ErrBadRequest, "after is"},
		{`{"after":18446744073709551616}`, status.ErrBadRequest, "after is"},
		{`{"epoch":1}`, status.ErrBadRequest, `epoch is "1"`},
		{`{"epoch":null}`, status.ErrBadRequest, `epoch is "null"`},
		{`{"epoch":["a"]}`, status.ErrBadRequest, "epoch is"},
		{`{"epoch":"` + strings.Repeat("x", 33) + `"}`, status.ErrBadRequest, "epoch is"},
		{`{"epoch":"a","epoch":"a"}`, status.ErrBadRequest, `"epoch" is there twice`},
		{`{"epoch":"another"}`, status.ErrAheadOfStream, "another epoch"},
		{`{"epoch":"another","after":1}`, status.ErrAheadOfStream, "begin from nothing"},
		{`{"after":2}`, status.ErrAheadOfStream, "begin from nothing"},
		{`{"after":18446744073709551615}`, status.ErrAheadOfStream, "begin from nothing"},
		{`{"seen":{"engine":18446744073709551615}}`, status.ErrAheadOfStream, "begin from nothing"},
		{`{"categories":["tool"],"seen":{"engine":2}}`, status.ErrAheadOfStream, "begin from nothing"},
		{`{"seen":[1]}`, status.ErrBadRequest, "seen is"},
		{`{"seen":null}`, status.ErrBadRequest, "seen is"},
		{`{"seen":{"engine":-1}}`, status.ErrBadRequest, `seen of engine is "-1"`},
		{`{"seen":{"*":1}}`, status.ErrBadRequest, "seen: bad category"},
		{`{"seen":{` + strings.Join(seen, ",") + `}}`, status.ErrBadRequest, "seen has 65 entries"},
		{`{"categories":"engine"}`, status.ErrBadRequest, "categories is"},
		{`{"categories":[1]}`, status.ErrBadRequest, "categories is"},
		{`{"categories":null}`, status.ErrBadRequest, "categories is"},
		{`{"categories":["*"]}`, status.ErrBadRequest, "categories: bad category"},
		{`{"categories":["engine.>"]}`, status.ErrBadRequest, "categories: bad category"},
		{`{"categories":[""]}`, status.ErrBadRequest, "categories: bad category"},
		{`{"categories":["` + strings.Repeat("x", 10_000) + `"]}`, status.ErrBadRequest, "it has 10000 bytes"},
		{`{"categories":[` + many + `]}`, status.ErrBadRequest, "categories has 1000 entries, at most 64"},
		{`{"limit":0}`, status.ErrBadRequest, "from 1 to 10000"},
		{`{"limit":-5}`, status.ErrBadRequest, "from 1 to 10000"},
		{`{"limit":10001}`, status.ErrBadRequest, "from 1 to 10000"},
		{`{"limit":9223372036854775808}`, status.ErrBadRequest, "from 1 to 10000"},
		{`{"limit":"all"}`, status.ErrBadRequest, "from 1 to 10000"},
		{`{"limit":null}`, status.ErrBadRequest, "from 1 to 10000"},
		{`{"since":"yesterday"}`, status.ErrBadRequest, `since is "yesterday"`},
		{`{"since":1700000000}`, status.ErrBadRequest, `since is "1700000000"`},
		{`{"since":"2024-02-30T00:00:00Z"}`, status.ErrBadRequest, "since is"},
		{`{"since":"2024-01-19T1:00:00Z"}`, status.ErrBadRequest, `since is "2024-01-19T1:00:00Z"`},
		{`{"since":"2016-12-30T23:59:60Z"}`, status.ErrBadRequest, "since is"},
		{`{"since":"0000-01-01T00:00:00+01:00"}`, status.ErrBadRequest, "since is"},
		{`{"since":"9999-12-31T23:59:60Z"}`, status.ErrBadRequest, "since is"},
		{`{"since":null}`, status.ErrBadRequest, "since is"},
		{`{"min_priority":"top"}`, status.ErrBadRequest, "low, normal, high or urgent"},
		{`{"min_priority":3}`, status.ErrBadRequest, "low, normal, high or urgent"},
		{`{"min_priority":""}`, status.ErrBadRequest, "low, normal, high or urgent"},
		{`{"x":"` + strings.Repeat("y", 17<<10) + `"}`, status.ErrBadRequest, "at most 16384 are allowed"},
		{"\xff\xfe", status.ErrBadRequest, "no JSON object"},
		{`{"since":"` + "\x00" + `"}`, status.ErrBadRequest, "not valid JSON"},
	} {
		name := c.body[:min(len(c.body), 40)]
		got := askHistory(t, r.gateway, aliceAsks, c.body)
		if !errors.Is(got.refusal, c.want) || got.refusal.Code != c.want.Code || len(got.parts) > 0 {
			t.Errorf("%q: %d statuses, refusal %v, want %v", name, len(got.parts), got.refusal, c.want)
			continue
		}
		if !strings.Contains(got.refusal.Description, c.text) || len(got.refusal.Description) > 300 {
			t.Errorf("%q: text %q, want %q in it", name, got.refusal.Description, c.text)
		}
		if got.last.Header.Get("Nats-Service-Error-Code") != strconv.Itoa(c.want.Code) || got.last.Header.Get("Nats-Service-Error") != got.refusal.Description {
			t.Errorf("%q: headers %v", name, got.last.Header)
		}
	}
}

func TestHistoryOfOthersIsRefused(t *testing.T) {
	r := start(t, setup{})
	r.ingest(t, "c2", "engine", `{"text":"carol's"}`)
	for _, c := range []struct {
		subject string
		nc      *nats.Conn
		want    *status.Error
	}{
		{"edge.c2.history.alice", r.gateway, status.ErrNotTheirs},
		{"edge.c9.history.alice", r.gateway, status.ErrNotTheirs},
		{"edge.c9.history", r.operator, status.ErrNotTheirs},
		{"edge.c+9.history.alice", r.gateway, status.ErrBadRequest},
		{"edge.c1.history.=61lice", r.gateway, status.ErrBadRequest},
	} {
		if got := askHistory(t, c.nc, c.subject, ""); !errors.Is(got.refusal, c.want) || len(got.parts) > 0 {
			t.Errorf("%s: %d statuses, refusal %v, want %v", c.subject, len(got.parts), got.refusal, c.want)
		}
	}
}

func TestHistoryTellsWhatRetentionHasDropped(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 10, `{"text":"x"}`)
	m, err := connect(t, r.engine, engine.PartAdmin).Request("$JS.API.STREAM.PURGE.STATUS", []byte(`{"seq":6}`), soon)
	if err != nil || !strings.Contains(string(m.Data), `"purged":5`) {
		t.Fatalf("purge: %s, %v", m.Data, err)
	}
	for _, c := range []struct {
		body      string
		truncated string
		want      []uint64
	}{
		{`{"after":5}`, "", []uint64{6, 7, 8, 9, 10}},
		{`{"after":4}`, "6", []uint64{6, 7, 8, 9, 10}},
		{`{"after":4,"limit":1}`, "6", []uint64{6}},
		{`{"after":4,"seen":{"engine":5},"categories":["engine"]}`, "", []uint64{6, 7, 8, 9, 10}},
		{`{"after":10}`, "", nil},
		{`{"after":2,"categories":["tool"]}`, "6", nil},
	} {
		got := askHistory(t, r.gateway, aliceAsks, c.body)
		if got.last.Header.Get(status.HeaderTruncated) != c.truncated || !slices.Equal(got.sequences(), c.want) {
			t.Errorf("%s: %v, last %v; want %v, truncated %q", c.body, got.sequences(), got.last.Header, c.want, c.truncated)
		}
		if len(got.parts) > 0 && got.parts[0].Header.Get(status.HeaderTruncated) != c.truncated {
			t.Errorf("%s: the first status has %v", c.body, got.parts[0].Header)
		}
	}
}

func TestTheFirstStatusBehindAGapSaysSoHoweverFarItIs(t *testing.T) {
	r := start(t, setup{})
	r.fill(t, 600, `{"text":"not wanted"}`) // more than one batch
	want := []uint64{r.ingest(t, "c1", "tool", `{"text":"x"}`), r.ingest(t, "c1", "info", `{"text":"x"}`)}
	m, err := connect(t, r.engine, engine.PartAdmin).Request("$JS.API.STREAM.PURGE.STATUS", []byte(`{"seq":6}`), soon)
	if err != nil || !strings.Contains(string(m.Data), `"purged":5`) {
		t.Fatalf("purge: %s, %v", m.Data, err)
	}
	got := askHistory(t, r.gateway, aliceAsks, `{"after":2,"categories":["tool","info"]}`)
	if !slices.Equal(got.sequences(), want) {
		t.Fatalf("got %v, want %v", got.sequences(), want)
	}
	for i, first := range []string{"6", ""} {
		if told := got.parts[i].Header.Get(status.HeaderTruncated); told != first {
			t.Errorf("status %d says truncated before %q, want %q", i, told, first)
		}
	}
}
