package limit

import (
	"container/list"
	"sync"
	"time"
)

// Rates limits by key how many of something pass in a second: upgrades of an
// address (see Network), with as many at once after a quiet second. A key is
// remembered until its bucket is full again, a second at most, and there are
// never more than MaxWindowKeys: above, the one that was asked for least recently
// is forgotten. Safe for concurrent use.
type Rates[K comparable] struct {
	name Name
	rule Rule

	mu    sync.Mutex          // guards what follows
	keys  map[K]*list.Element // of *rate[K]
	order *list.List          // the one asked for least recently in front
}

type rate[K comparable] struct {
	key K
	b   bucket
}

// NewRates returns Rates that let rule.Value a second of each key pass.
func NewRates[K comparable](name Name, rule Rule) *Rates[K] {
	return &Rates[K]{name: name, rule: rule, keys: map[K]*list.Element{}, order: list.New()}
}

// Take asks for one of the key.
func (r *Rates[K]) Take(now time.Time, key K) Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetLocked(now)
	e := r.keys[key]
	if e == nil {
		if len(r.keys) >= MaxWindowKeys {
			r.dropLocked(r.order.Front())
		}
		e = r.order.PushBack(&rate[K]{key: key})
		r.keys[key] = e
	}
	r.order.MoveToBack(e)
	return e.Value.(*rate[K]).b.take(r.name, now, r.rule)
}

// forgetLocked forgets those in front that are as if nobody had asked. One behind
// may be too; it comes to the front within a second.
func (r *Rates[K]) forgetLocked(now time.Time) {
	for e := r.order.Front(); e != nil && e.Value.(*rate[K]).b.missing(now) == 0; e = r.order.Front() {
		r.dropLocked(e)
	}
}

// Len is how many keys are remembered.
func (r *Rates[K]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.keys)
}

func (r *Rates[K]) dropLocked(e *list.Element) {
	r.order.Remove(e)
	delete(r.keys, e.Value.(*rate[K]).key)
}
