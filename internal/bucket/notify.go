package bucket

import (
	"context"
	"slices"
	"sync"
)

// notifier calls the listeners in order from one goroutine of its own, so that a
// slow listener holds up neither the watch nor a write, and may itself write.
type notifier struct {
	mu        sync.Mutex // guards the fields below
	listeners []func(key string)
	queue     []string
	wake      chan struct{} // holds one token while there may be something in queue
}

func newNotifier() *notifier {
	return &notifier{wake: make(chan struct{}, 1)}
}

func (n *notifier) listen(f func(key string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners = append(n.listeners, f)
}

func (n *notifier) announce(keys ...string) {
	if len(keys) == 0 {
		return
	}
	n.mu.Lock()
	if len(n.listeners) > 0 {
		n.queue = append(n.queue, keys...)
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// run calls the listeners until ctx ends; what is queued then is dropped.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		batch, listeners := n.queue, slices.Clone(n.listeners)
		n.queue = nil
		n.mu.Unlock()
		for _, key := range batch {
			for _, f := range listeners {
				if ctx.Err() != nil {
					return
				}
				f(key)
			}
		}
	}
}
