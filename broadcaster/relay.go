package broadcaster

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/status"
)

// otherAccount begins the reply subjects of messages that came through a service
// import from another account. No client may publish with such a reply subject
// (nats-server 2.15.2), but it may answer to it.
const otherAccount = status.ReplyImport + "."

// headerRequestInfo is what the server itself adds to such a message: who asks.
// That is nothing for the browsers.
const headerRequestInfo = "Nats-Request-Info"

func fromOtherAccount(reply string) bool { return strings.HasPrefix(reply, otherAccount) }

// maxRelayWait is how long Stop waits for acknowledgements that are to be passed on.
const maxRelayWait = 5 * time.Second

// relay passes JetStream's answers on to publishers in other accounts. It keeps
// no table: the answer comes to prefix + the publisher's reply subject.
type relay struct {
	nc     *nats.Conn
	prefix string
	sub    *nats.Subscription

	mu          sync.Mutex // guards what follows
	outstanding int
	idle        chan struct{} // not nil when Stop waits for outstanding to be 0
}

func newRelay(nc *nats.Conn) *relay {
	return &relay{nc: nc, prefix: nc.NewInbox() + "."}
}

func (r *relay) start() (err error) {
	r.sub, err = r.nc.Subscribe(r.prefix+">", r.pass)
	return err
}

func (r *relay) stop() {
	if r.sub != nil {
		_ = r.sub.Unsubscribe()
	}
}

// expect announces one answer and says where JetStream is to send it.
func (r *relay) expect(reply string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outstanding++
	return r.prefix + reply
}

func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outstanding > 0 {
		r.outstanding--
	}
	if r.outstanding == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

func (r *relay) pass(m *nats.Msg) {
	defer r.forget()
	data := m.Data
	if m.Header.Get("Status") == "503" {
		data = status.ErrUnavailable.Withf("no stream answers at the moment: publish again with the same id").Response()
	}
	_ = r.nc.Publish(strings.TrimPrefix(m.Subject, r.prefix), data)
}

// finish waits for the answers that are outstanding.
func (r *relay) finish(ctx context.Context) error {
	r.mu.Lock()
	if r.outstanding == 0 {
		r.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	r.idle = idle
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, maxRelayWait)
	defer cancel()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
