package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/logtest"
)

const (
	shippedLimit = "max_subscriptions: 250000"
	lowLimit     = "max_subscriptions: 40"
)

// follow subscribes until the fan-out refuses, and returns who follows; each hears its
// own category of c1.
func (r *rig) follow(most int) (all []*collector, subs []*fanout.Subscription, refused error) {
	r.t.Helper()
	for i := range most {
		c := newCollector()
		s, err := r.fanout.Subscribe(r.t.Context(), fmt.Sprintf("status.c1.cat%d", i), "", "1", c)
		if err != nil {
			return all, subs, err
		}
		all, subs = append(all, c), append(subs, s)
	}
	return all, subs, nil
}

// The SUB of one too many succeeded, and its statuses came half a minute late, when the
// stream was asked what was missing.
func TestOneSubscriptionTooManyIsRefusedAndTheOthersAreLive(t *testing.T) {
	log := &logtest.Log{}
	r := newRigOn(t, fanout.Options{MaxSubscriptions: 40, CheckEvery: never, Logger: slog.New(slog.NewTextHandler(log, nil))}, shippedLimit, lowLimit)
	all, subs, err := r.follow(100)
	if !errors.Is(err, fanout.ErrFull) {
		t.Fatalf("%d followed, then %v", len(all), err)
	}
	if len(all) < 25 || len(all) > 39 {
		t.Fatalf("%d may be followed of 40", len(all))
	}
	for range 5 {
		for _, queue := range []string{"", "q"} {
			if _, err := r.fanout.Subscribe(t.Context(), "presence.c1", queue, "1", newCollector()); !errors.Is(err, fanout.ErrFull) {
				t.Errorf("presence, in group %q: %v", queue, err)
			}
		}
	}
	for i, c := range all {
		r.store("c1", fmt.Sprintf("cat%d", i), "live")
		c.waitFor(t, 1)
	}
	if st := r.fanout.Stats(); st.Topics != len(all) || st.Limit != 40 || st.Upstream < len(all) || st.Upstream > 40 || st.Mended != 0 {
		t.Errorf("%+v", st)
	}
	// Who follows what is followed already takes no room.
	if _, err := r.fanout.Subscribe(t.Context(), "status.c1.cat0", "", "2", newCollector()); err != nil {
		t.Error(err)
	}
	// The alarm is given once, not by each who is refused.
	if n, full := log.Count("nearly as many"), log.Count("further ones are refused"); n != 1 || full != 1 {
		t.Errorf("%d alarms before, %d when it was full", n, full)
	}
	// There is room again as soon as somebody leaves, and the next alarm after many have.
	r.fanout.Unsubscribe(subs[5])
	if _, err := r.fanout.Subscribe(t.Context(), "presence.c1", "", "1", newCollector()); err != nil {
		t.Errorf("when one has left: %v", err)
	}
	if n := log.Count("nearly as many"); n != 1 {
		t.Errorf("%d alarms of one episode", n)
	}
	for _, s := range subs[6:] {
		r.fanout.Unsubscribe(s)
	}
	if _, _, err := r.follow(100); !errors.Is(err, fanout.ErrFull) {
		t.Error(err)
	}
	if n := log.Count("nearly as many"); n != 2 {
		t.Errorf("%d alarms of two episodes", n)
	}
}

// When the limit is lower than the fan-out knows, nobody stays who gets nothing.
func TestWhatTheServerRefusesEndsAndSaysSo(t *testing.T) {
	r := newRigOn(t, fanout.Options{CheckEvery: never}, shippedLimit, lowLimit)
	const wanted = 120
	all, errs := make([]*collector, wanted), make([]error, wanted)
	var wg sync.WaitGroup
	for i := range wanted {
		all[i] = newCollector()
		wg.Go(func() {
			queue := []string{"", "q"}[i%2]
			_, errs[i] = r.fanout.Subscribe(t.Context(), fmt.Sprintf("status.c1.cat%d", i), queue, "1", all[i])
		})
	}
	wg.Wait()
	refused, ended := 0, 0
	for i, c := range all {
		if errs[i] != nil {
			refused++
			continue
		}
		r.store("c1", fmt.Sprintf("cat%d", i), "live")
		c.wait(t, fmt.Sprintf("the status of %d, or its end", i), func(c *collector) bool { return len(c.seqs) == 1 || len(c.ended) == 1 })
		if len(c.ended) > 0 {
			ended++
			if c.ended[0] != "statuses cannot be delivered just now: subscribe again" {
				t.Errorf("the reason is %q", c.ended[0])
			}
		}
	}
	if n := wanted - refused - ended; n < 30 || n >= 40 {
		t.Errorf("%d were refused, %d have ended, %d are live", refused, ended, n)
	}
	if n := r.fanout.Stats().Topics; n != wanted-refused-ended {
		t.Errorf("%d topics are kept", n)
	}
}

func TestASubscriptionThatTheFanOutMayNotHaveFails(t *testing.T) {
	const may = `subscribe: { allow: ["status.*.*", "presence.*", "_INBOX_fanout.>"`
	r := newRigOn(t, fanout.Options{CheckEvery: never}, may, strings.Replace(may, `"presence.*", `, "", 1))
	for _, queue := range []string{"", "q"} {
		for range 2 { // the second time too
			if _, err := r.fanout.Subscribe(t.Context(), "presence.c1", queue, "1", newCollector()); !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("in group %q: %v", queue, err)
			}
		}
	}
	c := newCollector()
	r.subscribe("status.c1.engine", "", c)
	r.store("c1", "engine", "live")
	c.waitFor(t, 1)
	if n := r.fanout.Stats().Topics; n != 1 {
		t.Errorf("%d topics are kept", n)
	}
}

// Whoever is told that the subscription has succeeded hears what comes next, though the
// connection is lost meanwhile.
func TestAConnectionLostWhileSubscribingHidesNothing(t *testing.T) {
	r := newRig(t, fanout.Options{CheckEvery: never})
	stop := make(chan struct{})
	var losing sync.WaitGroup
	losing.Go(func() {
		for range 20 {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_ = r.live.ForceReconnect()
			}
		}
	})
	var all []*collector
	var subjects []string
	for i := range 30 {
		c := newCollector()
		subject := fmt.Sprintf("status.c1.cat%d", i)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := r.fanout.Subscribe(ctx, subject, "", "1", c); err == nil {
			all, subjects = append(all, c), append(subjects, subject)
		}
		cancel()
	}
	close(stop)
	losing.Wait()
	if len(all) == 0 {
		t.Fatal("nobody could subscribe")
	}
	r.flush()
	for i, c := range all {
		r.store("c1", strings.TrimPrefix(subjects[i], "status.c1."), "live")
		c.wait(t, "the status, or the end", func(c *collector) bool { return len(c.seqs) >= 1 || len(c.ended) == 1 })
	}
}
