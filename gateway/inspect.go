package gateway

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Sessions returns the connections of this node that are logged in, by ID.
func (g *Gateway) Sessions(f session.Filter) []session.Info {
	list := []session.Info{}
	for _, s := range g.loggedIn(f.User) {
		if s.id <= f.After {
			continue
		}
		if f.Limit > 0 && len(list) == f.Limit {
			break
		}
		if info, ok := s.info(); ok {
			list = append(list, info)
		}
	}
	return list
}

// loggedIn returns the sockets of the user, "" for everybody, by id.
func (g *Gateway) loggedIn(user status.UserID) []*socket {
	g.mu.Lock()
	all := slices.Collect(maps.Keys(g.sockets))
	g.mu.Unlock()
	all = slices.DeleteFunc(all, func(s *socket) bool {
		holder, ok := s.user()
		return !ok || user != "" && holder != user
	})
	slices.SortFunc(all, func(a, b *socket) int { return int(int64(a.id) - int64(b.id)) })
	return all
}

// user is who has logged in; false before that, and after the end.
func (s *socket) user() (status.UserID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credential == nil || s.grant == nil || s.closing {
		return "", false
	}
	return s.grant.User, true
}

// info is false when the socket has ended meanwhile.
func (s *socket) info() (session.Info, bool) {
	now := time.Now()
	s.mu.Lock()
	if s.credential == nil || s.grant == nil || s.changes == nil {
		s.mu.Unlock()
		return session.Info{}, false
	}
	info := session.Info{
		ID:                  s.id,
		User:                s.grant.User,
		Address:             s.remote.Addr().Unmap().String(),
		ConnectedAt:         s.opened.UTC(),
		Name:                s.connect.Name,
		Lang:                s.connect.Lang,
		Version:             s.connect.Version,
		RTTMilliseconds:     float64(s.rtt.Load()/1e3) / 1e3,
		SubscriptionChanges: s.changes.Usage(now).Used,
	}
	if !s.grant.Expires.IsZero() {
		info.Expires = s.grant.Expires.UTC()
	}
	subs := slices.Collect(maps.Values(s.subs))
	s.mu.Unlock()

	used := map[status.ConversationID]struct{}{}
	info.Subscriptions = make([]session.Subscription, len(subs))
	for i, sub := range subs {
		delivered, _ := s.out.Counts(&sub.tally)
		info.Subscriptions[i] = session.Subscription{Subject: sub.subject, Queue: sub.queue, Delivered: delivered}
		info.Delivered += delivered
		if sub.conversation != "" {
			used[sub.conversation] = struct{}{}
		}
	}
	slices.SortFunc(info.Subscriptions, func(a, b session.Subscription) int { return strings.Compare(a.Subject, b.Subject) })
	info.Conversations = slices.AppendSeq([]status.ConversationID{}, maps.Keys(used))
	slices.Sort(info.Conversations)
	info.QueueBytes = s.out.Backlog()
	return info, true
}

// Kick closes the connections of the user on this node, with the reason as the
// close frame's, and forgets the grants that the user's tokens hold here, so
// that the next login is decided anew. It returns how many connections it
// closed. by is who kicks, for the audit. An empty reason is a plain one.
func (g *Gateway) Kick(user status.UserID, reason, by string) int {
	for _, c := range g.holders() {
		if held := c.current(); held != nil && held.User == user {
			c.forget()
		}
	}
	why := refusal.CloseByOperator()
	if reason != "" {
		why = refusal.CloseKicked(reason)
	}
	why.Kind = "" // noted here, with who did it
	n := 0
	for _, s := range g.loggedIn(user) {
		e := s.event(audit.KindKicked)
		e.Actor = by
		e.Reason, e.Code = s.dialect.told(why)
		s.close(why)
		g.deps.Audit.Record(e)
		n++
	}
	return n
}

// forget drops the grant: whoever logs in or asks for more is decided anew.
func (c *credential) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grant = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// ConversationUse returns who listens in the conversation on this node.
func (g *Gateway) ConversationUse(c status.ConversationID) session.Use {
	use := session.Use{Categories: map[status.Category]int{}}
	users := map[status.UserID]struct{}{}
	var covered []string // by a wildcard; read when the first one is met
	for _, s := range g.loggedIn("") {
		user, categories, wildcard := s.listensIn(c)
		if len(categories) == 0 && !wildcard {
			continue
		}
		use.Connections++
		users[user] = struct{}{}
		if wildcard {
			if covered == nil {
				covered = g.categories(g.ctx, c)
			}
			for _, name := range covered {
				categories[status.Category(name)] = struct{}{}
			}
		}
		for name := range categories {
			use.Categories[name]++
		}
	}
	use.Users = len(users)
	return use
}

// listensIn returns the categories of the conversation that the socket subscribes
// to by name, and whether it has a wildcard there.
func (s *socket) listensIn(c status.ConversationID) (user status.UserID, categories map[status.Category]struct{}, wildcard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grant == nil {
		return "", nil, false
	}
	categories = map[status.Category]struct{}{}
	for _, sub := range s.subs {
		name, ok := strings.CutPrefix(sub.subject, "status."+string(c)+".")
		switch {
		case !ok:
		case name == "*" || name == ">":
			wildcard = true
		default:
			categories[status.Category(name)] = struct{}{}
		}
	}
	return s.grant.User, categories, wildcard
}
