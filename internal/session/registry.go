package session

import (
	"fmt"
	"strings"
	"sync"

	"github.com/statuswire/statuswire/status"
)

// Key names a link as both ends know it: the id of the server and the client id
// that the server's INFO gave to the connection and shows to the callout.
type Key struct {
	ServerID string
	ClientID uint64
}

// MaxConversations is how many conversations the gateway asks for at most.
const MaxConversations = 100

// Ask is what the gateway wants of the callout for one login.
type Ask struct {
	// Join must be granted, or the connection is denied. Empty: nothing must.
	Join status.ConversationID
	// Want is granted as far as the user may see it; the rest is left out
	// without a word.
	Want []status.ConversationID
}

// String is all that is asked for, the one to join first, separated by commas.
func (a Ask) String() string {
	var b strings.Builder
	b.WriteString(string(a.Join))
	for _, id := range a.Want {
		if id == a.Join {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(id))
	}
	return b.String()
}

// Denial says why a link got no grant. Its text may be shown to the browser.
type Denial struct {
	// Reason is what was wrong and what to do, in lower case: "token expired: get a fresh one".
	Reason string
	// Final is true when trying again with the same CONNECT cannot help. What
	// is passing (the directory is down, the callout is full) is not final.
	Final bool
	// BadToken is true when nobody has signed the token: it may be a guess, and
	// counts as a failed login. One that has ended is none.
	BadToken bool
	// User is who was denied, as far as the token told.
	User status.UserID
}

// Error implements error.
func (d *Denial) Error() string { return d.Reason }

// ErrNoVerdict is what Link.Verdict returns when the callout said nothing.
var ErrNoVerdict = &Denial{Reason: "the authorization service did not answer: try again"}

// Registry is where the gateway and the callout meet: the gateway opens a link
// under its key before it sends CONNECT, the callout finds the link by the same
// key and leaves the verdict there before it answers the server. Safe for
// concurrent use.
type Registry struct {
	mu    sync.Mutex // guards links and the verdict of each
	links map[Key]*Link
}

// Link is one connection to the server that waits for the callout's verdict.
type Link struct {
	registry *Registry
	key      Key
	ask      Ask
	settled  chan struct{} // closed with the first verdict
	jwt      string
	denial   *Denial
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{links: map[Key]*Link{}}
}

// Open registers a link. The caller closes it when it has the verdict.
func (r *Registry) Open(key Key, ask Ask) (*Link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.links[key] != nil {
		return nil, fmt.Errorf("link %v is open already", key)
	}
	l := &Link{registry: r, key: key, ask: ask, settled: make(chan struct{})}
	r.links[key] = l
	return l, nil
}

// Ask returns what the gateway wants for the link, and whether there is such a link.
func (r *Registry) Ask(key Key) (Ask, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.links[key]
	if l == nil {
		return Ask{}, false
	}
	return l.ask, true
}

// Grant records the signed user JWT as the verdict. It is false when the
// gateway has given the link up.
func (r *Registry) Grant(key Key, userJWT string) bool {
	return r.settle(key, func(l *Link) { l.jwt, l.denial = userJWT, nil })
}

// Deny records the denial as the verdict. It is false when the gateway has
// given the link up.
func (r *Registry) Deny(key Key, d *Denial) bool {
	return r.settle(key, func(l *Link) { l.jwt, l.denial = "", d })
}

func (r *Registry) settle(key Key, set func(*Link)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.links[key]
	if l == nil {
		return false
	}
	if l.jwt == "" && l.denial == nil {
		close(l.settled)
	}
	set(l)
	return true
}

// Verdict returns the user JWT or the denial that the callout left.
// It does not wait: our own callout records its verdict before it answers the server.
func (l *Link) Verdict() (userJWT string, denial *Denial) {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	switch {
	case l.denial != nil:
		return "", l.denial
	case l.jwt == "":
		return "", ErrNoVerdict
	}
	return l.jwt, nil
}

// Settled is closed once there is a verdict: that of a service of somebody else's is
// heard when the server has its answer, a little sooner or later than that.
func (l *Link) Settled() <-chan struct{} { return l.settled }

// Close forgets the link. Closing twice is fine.
func (l *Link) Close() {
	l.registry.mu.Lock()
	defer l.registry.mu.Unlock()
	if l.registry.links[l.key] == l {
		delete(l.registry.links, l.key)
	}
}
