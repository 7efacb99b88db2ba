package authcallout

import (
	"sync"

	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/session"
)

// live is which clients hold permissions of which named key. nats-server tells
// nobody here when one leaves: who has left is forgotten when there are twice as
// many as were alive the last time. A client is named with its server: another server
// in the same process counts its clients from the beginning. Safe for concurrent use.
type live struct {
	mu   sync.Mutex // guards what follows
	keys map[string]*holders
}

// holders are the clients of one key.
type holders struct {
	key     keyring.Key
	clients map[session.Key]struct{}
	sweepAt int // this many clients are looked through
}

// ended is a key that is no longer, and who held it.
type ended struct {
	key     keyring.Key
	clients []session.Key
}

const firstSweep = 16

// add notes that the client gets the key's permissions.
func (l *live) add(key keyring.Key, client session.Key, alive func(session.Key) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]*holders{}
	}
	// By everything that the key is: the same seed may come back as another.
	id := string(key.Name) + " " + string(key.Role) + " " + key.Public + " " + joined(key)
	h := l.keys[id]
	if h == nil {
		h = &holders{key: key, clients: map[session.Key]struct{}{}, sweepAt: firstSweep}
		l.keys[id] = h
	}
	if len(h.clients) >= h.sweepAt {
		for c := range h.clients {
			if !alive(c) {
				delete(h.clients, c)
			}
		}
		h.sweepAt = max(firstSweep, 2*len(h.clients))
	}
	h.clients[client] = struct{}{}
}

func joined(key keyring.Key) string {
	all := ""
	for _, c := range key.Categories {
		all += string(c) + ","
	}
	return all
}

// take removes and returns the keys that holds says no longer hold.
func (l *live) take(holds func(keyring.Key) bool) []ended {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []ended
	for id, h := range l.keys {
		if holds(h.key) {
			continue
		}
		delete(l.keys, id)
		e := ended{key: h.key}
		for c := range h.clients {
			e.clients = append(e.clients, c)
		}
		list = append(list, e)
	}
	return list
}
