package gateway_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/fanout"
)

// slowReader is a member of a topic that holds up the delivery to those behind it.
type slowReader struct {
	reached chan struct{} // a message is there
	release chan struct{}
}

func (s slowReader) Deliver(*fanout.Message, *fanout.Subscription) {
	s.reached <- struct{}{}
	<-s.release
}

func (slowReader) Ended(*fanout.Subscription, string) {}

// holdUp has each status on the subject wait, once for all who subscribe later.
func (r *rig) holdUp(subject string) (reached <-chan struct{}, release func()) {
	r.t.Helper()
	slow := slowReader{make(chan struct{}, 1), make(chan struct{})}
	up, err := r.fanout.Subscribe(r.t.Context(), subject, "", "slow", slow)
	must(r.t, err)
	must(r.t, r.upstream.Flush())
	release = sync.OnceFunc(func() { close(slow.release) })
	r.t.Cleanup(func() {
		release()
		r.fanout.Unsubscribe(up)
	})
	return slow.reached, release
}

// untilRefused asks until that is refused; nothing else comes meanwhile.
func (b *browser) untilRefused(subject string) {
	b.t.Helper()
	eventually(b.t, "a request is refused", func() bool {
		b.send("PUB "+subject+" 0", "", "PING")
		line := b.line()
		if line == "PONG" {
			return false
		}
		if !strings.HasPrefix(line, `-ERR 'Permissions Violation for Publish to "`+subject+`"`) {
			b.t.Fatalf("got %q", line)
		}
		b.expect("PONG")
		return true
	})
}

const lostC1 = `-ERR 'Permissions Violation for Subscription to "status.c1.engine": your access to conversation "c1" has ended'`

func TestWhatWasStoredBeforeAccessIsLostArrivesBeforeTheEnd(t *testing.T) {
	r := newRig(t, gateway.Options{SettleTimeout: patience})
	r.members.set("c1", "alice", true)
	reached, release := r.holdUp("status.c1.engine")
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	r.store("c1", "engine", "before")
	<-reached
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.untilRefused("edge.c1.join") // the new grant is in force at once for all else
	release()
	if line := b.expectMsg("status.c1.engine 1"); !strings.Contains(line, "before") {
		t.Fatal(line)
	}
	b.expect(lostC1)
	r.store("c1", "engine", "after")
	b.send("PING")
	b.expect("PONG")
}

func TestAccessThatIsLostEndsAlthoughADeliveryHangs(t *testing.T) {
	r := newRig(t, gateway.Options{SettleTimeout: 20 * time.Millisecond})
	r.members.set("c1", "alice", true)
	reached, release := r.holdUp("status.c1.engine")
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	r.store("c1", "engine", "hangs")
	<-reached
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.expect(lostC1)
	release()
	b.send("PING")
	b.expect("PONG") // and nothing before it
}

func TestABrowserMayUnsubscribeFromWhatItIsLosing(t *testing.T) {
	r := newRig(t, gateway.Options{SettleTimeout: patience})
	r.members.set("c1", "alice", true)
	reached, release := r.holdUp("status.c1.engine")
	b := r.login("alice")
	b.sub("status.c1.engine", "1")
	r.store("c1", "engine", "before")
	<-reached
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.untilRefused("edge.c1.join")
	b.send("UNSUB 1", "PING")
	b.expect("PONG")
	release()
	b.send("SUB status.c1.engine 1")
	b.expect(`-ERR 'Permissions Violation for Subscription to "status.c1.engine": conversation "c1" is not found or not yours'`)
}

func TestAStreamGetsWhatWasStoredBeforeItsAccessIsLost(t *testing.T) {
	r := newRig(t, gateway.Options{SettleTimeout: patience})
	r.members.set("c1", "alice", true)
	reached, release := r.holdUp("status.c1.*")
	stream := r.listen("c1/events?categories=engine,tool", bearer("alice"))
	b := r.login("alice")
	r.store("c1", "engine", "before")
	<-reached
	r.members.set("c1", "alice", false)
	r.gateway.AccessChanged("c1")
	b.untilRefused("edge.c1.join")
	release()
	stream.expect("before")
	stream.expectEnd(404, 20102, `your access to conversation "c1" has ended`)
}
