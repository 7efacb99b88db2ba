package limit

import (
	"container/list"
	"sync"
	"time"
)

// MaxWindowKeys is how many keys one Windows remembers. Above it the one that
// was counted least recently is forgotten: so many addresses failing within a
// period are beyond what a limit per address can hold.
const MaxWindowKeys = 65536

// Windows counts by key how often something happened within a period: failed
// logins by address (see Network), changes of the grant by user. A key is remembered while something counts,
// with 8 bytes for each that counts. Safe for concurrent use.
type Windows[K comparable] struct {
	name   Name
	rule   Rule
	period time.Duration

	mu     sync.Mutex // guards what follows
	start  time.Time  // moments count from here
	latest time.Duration
	keys   map[K]*list.Element // of *window[K]
	order  *list.List          // the one counted least recently in front
}

type window[K comparable] struct {
	key K
	log recent
}

// NewWindows returns Windows that let rule.Value in any period pass.
func NewWindows[K comparable](name Name, rule Rule, period time.Duration) *Windows[K] {
	return &Windows[K]{name: name, rule: rule, period: period, keys: map[K]*list.Element{}, order: list.New()}
}

// Check asks whether one more may be tried. It counts nothing: of many tried at
// the same time each may pass, so ask again right before the attempt.
func (w *Windows[K]) Check(now time.Time, key K) Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.checkLocked(w.atLocked(now), key)
}

func (w *Windows[K]) checkLocked(at time.Duration, key K) Verdict {
	e := w.keys[key]
	if e == nil {
		return w.rule.check(w.name, 0, 1)
	}
	log := &e.Value.(*window[K]).log
	log.expire(at, w.period)
	return log.check(w.name, w.rule, at, w.period, 1)
}

// Take asks for one and counts it unless the Verdict is Refused.
func (w *Windows[K]) Take(now time.Time, key K) Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.atLocked(now)
	v := w.checkLocked(at, key)
	if !v.Refused() {
		w.addLocked(at, key)
	}
	return v
}

// Usage says where the limit of the key stands.
func (w *Windows[K]) Usage(now time.Time, key K) Usage {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := Usage{Name: w.name, Limit: w.rule.Value, DryRun: w.rule.DryRun}
	at := w.atLocked(now)
	if e := w.keys[key]; e != nil {
		log := &e.Value.(*window[K]).log
		log.expire(at, w.period)
		u.Used = log.count
	}
	return u
}

// Add counts one.
func (w *Windows[K]) Add(now time.Time, key K) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addLocked(w.atLocked(now), key)
}

func (w *Windows[K]) addLocked(at time.Duration, key K) {
	e := w.keys[key]
	if e == nil {
		if len(w.keys) >= MaxWindowKeys {
			w.dropLocked(w.order.Front())
		}
		e = w.order.PushBack(&window[K]{key: key})
		w.keys[key] = e
	}
	w.order.MoveToBack(e)
	log := &e.Value.(*window[K]).log
	log.expire(at, w.period)
	log.add(at, max(1, w.rule.Value))
}

// Prune forgets the keys for which nothing counts any more. Check and Add do it
// too, so it is for those who want the memory back while nothing happens.
func (w *Windows[K]) Prune(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.atLocked(now)
}

// Len is how many keys are remembered.
func (w *Windows[K]) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.keys)
}

// atLocked is the moment of now, with all forgotten that no longer counts then.
func (w *Windows[K]) atLocked(now time.Time) time.Duration {
	if w.start.IsZero() {
		w.start = now
	}
	w.latest = max(w.latest, now.Sub(w.start))
	for e := w.order.Front(); e != nil; e = w.order.Front() {
		if w.latest-e.Value.(*window[K]).log.newest(1) < w.period {
			break
		}
		w.dropLocked(e)
	}
	return w.latest
}

func (w *Windows[K]) dropLocked(e *list.Element) {
	w.order.Remove(e)
	delete(w.keys, e.Value.(*window[K]).key)
}
