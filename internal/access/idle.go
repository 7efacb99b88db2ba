package access

import (
	"cmp"
	"container/list"

	"github.com/statuswire/statuswire/status"
)

// IdleOptions bound the grants that are kept without a browser, so that a reload of the
// page costs no login decision. Above a bound the least recently used go first: of the
// user's, then of all. Zero means the default everywhere.
type IdleOptions struct {
	Grants int // of all together. Default 10,000.
	Bytes  int // that they take. Default 32 MiB.
	// PerUser and BytesPerUser are the same of each user, who may have as many tokens
	// as the application gives. Default 20, and 1 MiB.
	PerUser      int
	BytesPerUser int
}

func defaultIdle() IdleOptions {
	return IdleOptions{Grants: 10_000, Bytes: 32 << 20, PerUser: 20, BytesPerUser: 1 << 20}
}

// WithDefaults fills the zero fields.
func (o IdleOptions) WithDefaults() IdleOptions {
	d := defaultIdle()
	o.Grants = cmp.Or(o.Grants, d.Grants)
	o.Bytes = cmp.Or(o.Bytes, d.Bytes)
	o.PerUser = cmp.Or(o.PerUser, d.PerUser)
	o.BytesPerUser = cmp.Or(o.BytesPerUser, d.BytesPerUser)
	return o
}

// bytesOfCredential is what a credential takes beside its grant: its table entries and
// its timer.
const bytesOfCredential = 1 << 10

// idleGrants are the credentials without a browser. Access.mu guards it.
type idleGrants struct {
	bounds IdleOptions
	order  *list.List // of *idleGrant, the least recently used in front
	bytes  int
	users  map[status.UserID]*idleOfUser
	at     map[*Credential]*list.Element
}

type idleGrant struct {
	credential *Credential
	user       status.UserID
	bytes      int
}

// idleOfUser is the user's part of order.
type idleOfUser struct {
	grants []*idleGrant
	bytes  int
}

func newIdleGrants(bounds IdleOptions) *idleGrants {
	return &idleGrants{bounds: bounds, order: list.New(), users: map[status.UserID]*idleOfUser{}, at: map[*Credential]*list.Element{}}
}

// add enters the credential, as used now, and returns those that are too many then. The
// credential itself may be among them.
func (l *idleGrants) add(c *Credential, u status.UserID, bytes int) (over []*Credential) {
	l.remove(c)
	g := &idleGrant{c, u, bytes + bytesOfCredential}
	l.at[c] = l.order.PushBack(g)
	l.bytes += g.bytes
	of := l.users[u]
	if of == nil {
		of = &idleOfUser{}
		l.users[u] = of
	}
	of.grants, of.bytes = append(of.grants, g), of.bytes+g.bytes
	for len(of.grants) > l.bounds.PerUser || of.bytes > l.bounds.BytesPerUser {
		over = append(over, l.drop(of.grants[0]))
	}
	for l.order.Len() > l.bounds.Grants || l.bytes > l.bounds.Bytes {
		over = append(over, l.drop(l.order.Front().Value.(*idleGrant)))
	}
	return over
}

// remove takes the credential out, if it is in.
func (l *idleGrants) remove(c *Credential) {
	if e := l.at[c]; e != nil {
		l.drop(e.Value.(*idleGrant))
	}
}

func (l *idleGrants) drop(g *idleGrant) *Credential {
	l.order.Remove(l.at[g.credential])
	delete(l.at, g.credential)
	l.bytes -= g.bytes
	of := l.users[g.user]
	of.bytes -= g.bytes
	for i, other := range of.grants {
		if other == g {
			of.grants = append(of.grants[:i], of.grants[i+1:]...)
			break
		}
	}
	if len(of.grants) == 0 {
		delete(l.users, g.user)
	}
	return g.credential
}
