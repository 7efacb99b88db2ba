package edge

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/statuswire/statuswire/status"
)

// flows are the answers that a gateway paces.
type flows struct {
	mu      sync.Mutex // guards waiting
	waiting map[string]*flow
}

// flow paces one answer. Only a gateway may publish on its subject, by nats.conf.
type flow struct {
	subject string
	room    chan struct{} // holds a value when the gateway has told that there is room
	gone    chan struct{} // closed by flows when nobody waits for the answer any more
}

func newFlows() *flows { return &flows{waiting: map[string]*flow{}} }

// open begins to listen for the answer about c; close it afterwards.
func (f *flows) open(c status.ConversationID) (fl *flow, close func()) {
	token := nuid.Next()
	fl = &flow{subject: status.EdgeFlowSubject(c, token), room: make(chan struct{}, 1), gone: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[token] = fl
	return fl, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.waiting, token)
	}
}

// heard takes a gateway's word that there is room, or nobody any more. Another
// node's is not known here.
func (f *flows) heard(m *nats.Msg) {
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.waiting[token]
	if fl == nil {
		return
	}
	if string(m.Data) == status.EdgeFlowGone {
		delete(f.waiting, token)
		close(fl.gone)
		return
	}
	select {
	case fl.room <- struct{}{}:
	default:
	}
}

// wait returns true when there is room for the next batch; false when there is
// none in time, nobody waits for it, the context ends, or the service stops.
func (fl *flow) wait(ctx context.Context, atMost time.Duration, stopping <-chan struct{}) bool {
	patience := time.NewTimer(atMost)
	defer patience.Stop()
	select {
	case <-fl.room:
		return true
	case <-patience.C:
	case <-fl.gone:
	case <-ctx.Done():
	case <-stopping:
	}
	return false
}
