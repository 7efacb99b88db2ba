package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// told is a tab of a storm that is told what a server sends.
func told(d dialect, last uint64, next, missed int64) (*tab, func(frames ...string) error, string) {
	t := newTabs(1, 1, d).list[0]
	t.dialed, t.last, t.missed = time.Now(), last, missed
	t.next.Store(next)
	hello, feed := d.open(t)
	return t, func(frames ...string) error {
		for _, f := range frames {
			if err := feed(serverFrame(f)); err != nil {
				return err
			}
		}
		return nil
	}, string(hello)
}

func serverFrame(body string) []byte {
	return append([]byte{0x82, 126, byte(len(body) >> 8), byte(len(body))}, body...)
}

// hmsg is the status with the number, as Statuswire sends it.
func hmsg(sid string, number int) string {
	sequence, last := sequences(number, 1)
	header := "NATS/1.0\r\nNats-Last-Sequence: " + last + "\r\nNats-Sequence: " + sequence + "\r\n\r\n"
	body := string(appendStatus(nil, 0, number))
	return fmt.Sprintf("HMSG status.bench0.engine %s %d %d\r\n%s%s\r\n", sid, len(header), len(header)+len(body), header, body)
}

func TestAClientThatAsksForTheHistoryHoldsWhatIsLive(t *testing.T) {
	end := "NATS/1.0 204 EOB\r\nStatus-Count: 2\r\n\r\n"
	endOf := func(end string) string {
		return fmt.Sprintf("HMSG %s 2 %d %d\r\n%s\r\n", inbox, len(end), len(end), end)
	}
	client, feed, hello := told(&natsDialect{tokens: []string{"t"}, history: true}, 3, 3, 5)
	if !strings.Contains(hello, "\r\nPUB edge.bench0.history "+inbox+" ") || !strings.Contains(hello, `"after":3`) {
		t.Fatalf("it sends %q", hello)
	}
	if err := feed(hmsg("1", 5), hmsg("2", 3), hmsg("2", 4)); err != nil {
		t.Fatal(err)
	}
	if client.next.Load() != 5 || !client.isBack() {
		t.Fatalf("status %d is next, back: %v", client.next.Load(), client.isBack())
	}
	if err := feed(hmsg("1", 6), endOf(end), hmsg("1", 7)); err != nil {
		t.Fatal(err)
	}
	if client.next.Load() != 8 || client.doubles.Load() != 0 || client.last != 8 {
		t.Fatalf("status %d is next after sequence %d, %d doubles", client.next.Load(), client.last, client.doubles.Load())
	}
	for name, line := range map[string]string{
		"truncated": "NATS/1.0 204 EOB\r\nStatus-Truncated: 9\r\n\r\n",
		"more":      "NATS/1.0 204 EOB\r\nStatus-More: true\r\n\r\n",
		"refused":   "NATS/1.0\r\nNats-Service-Error: no\r\nNats-Service-Error-Code: 429\r\n\r\n",
	} {
		_, feed, _ := told(&natsDialect{tokens: []string{"t"}, history: true}, 3, 3, 5)
		if err := feed(endOf(line)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAnUnmodifiedClientKeepsItsNameAndCountsDoubles(t *testing.T) {
	client, feed, hello := told(&natsDialect{tokens: []string{"t"}}, 3, 3, 5)
	if strings.Contains(hello, "PUB") || !strings.Contains(hello, fmt.Sprintf(`"name":%q`, client.name)) || len(client.name) < 20 {
		t.Fatalf("it sends %q", hello)
	}
	if err := feed("PONG\r\n", hmsg("1", 2), hmsg("1", 3)); err != nil || client.isBack() {
		t.Fatalf("%v, back: %v", err, client.isBack())
	}
	if err := feed(hmsg("1", 4)); err != nil || !client.isBack() || client.doubles.Load() != 1 {
		t.Fatalf("%v, back: %v, %d doubles", err, client.isBack(), client.doubles.Load())
	}
	if err := feed(hmsg("1", 6)); err == nil {
		t.Fatal("a status was left out, and there is no error")
	}
}

func TestAClientOfCentrifugoRecovers(t *testing.T) {
	publication := func(number int) string {
		return fmt.Sprintf(`{"offset":%d,"data":%s}`, number+1, appendStatus(nil, 0, number))
	}
	d := &centrifugoDialect{tokens: []string{"t"}}
	client, feed, hello := told(d, 0, 0, 0)
	if strings.Contains(hello, "recover") {
		t.Fatalf("it sends %q", hello)
	}
	err := feed(`{"id":1,"connect":{"ping":25}}`+"\n"+`{"id":2,"subscribe":{"recoverable":true,"epoch":"xy"}}`, `{"push":{"channel":"bench0","pub":`+publication(0)+`}}`)
	if err != nil || client.next.Load() != 1 || !client.isBack() {
		t.Fatalf("%v, status %d is next", err, client.next.Load())
	}
	client.missed = 3
	client.caughtUp.Store(0)
	hi, again := d.open(client)
	if !strings.Contains(string(hi), `"recover":true,"epoch":"xy","offset":1`) {
		t.Fatalf("it sends %q", hi)
	}
	answer := `{"id":2,"subscribe":{"epoch":"xy","offset":3,"was_recovering":true,"recovered":true,"publications":[` + publication(1) + "," + publication(2) + `]}}`
	if err := again(serverFrame(answer)); err != nil || client.next.Load() != 3 || client.caughtUp.Load() == 0 {
		t.Fatalf("%v, status %d is next", err, client.next.Load())
	}
	_, again = d.open(client)
	client.caughtUp.Store(0)
	if err := again(serverFrame(`{"id":2,"subscribe":{"epoch":"zz","offset":1,"was_recovering":true}}`)); err != nil || !client.lost.Load() || client.caughtUp.Load() != 0 || client.mark != "zz" {
		t.Fatalf("%v, %+v", err, client.lost.Load())
	}
	if err := again(serverFrame(`{"id":2,"error":{"code":103}}`)); err == nil {
		t.Fatal("no error")
	}
}

func TestStormsThatCannotBeMeasuredAreRefused(t *testing.T) {
	good := DefaultStorm()
	good.Statuswire, good.Centrifugo = "x", "y"
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*StormOptions){
		"nobody":        func(o *StormOptions) { o.Contenders = nil },
		"no binary":     func(o *StormOptions) { o.Statuswire = "" },
		"no rival":      func(o *StormOptions) { o.Centrifugo = "" },
		"no clients":    func(o *StormOptions) { o.Clients = 0 },
		"too many tabs": func(o *StormOptions) { o.Subjects = 10 },
		"nothing lost":  func(o *StormOptions) { o.Missed = 0 },
		"no rounds":     func(o *StormOptions) { o.Rounds = 0 },
		"no rest":       func(o *StormOptions) { o.Rest = -1 },
		"no live":       func(o *StormOptions) { o.Live = -1 },
	} {
		o := good
		o.Contenders = slices.Clone(good.Contenders)
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
