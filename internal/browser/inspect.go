package browser

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Sessions returns the connections that are logged in, by ID.
func (h *Hub) Sessions(f session.Filter) []session.Info {
	list := []session.Info{}
	for _, b := range h.LoggedIn(f.User) {
		if b.id <= f.After {
			continue
		}
		if f.Limit > 0 && len(list) == f.Limit {
			break
		}
		if info, ok := b.info(); ok {
			list = append(list, info)
		}
	}
	return list
}

// LoggedIn returns the browsers of the user, "" for everybody, by id.
func (h *Hub) LoggedIn(user status.UserID) []*Browser {
	all := h.all()
	all = slices.DeleteFunc(all, func(b *Browser) bool {
		holder, ok := b.user()
		return !ok || user != "" && holder != user
	})
	slices.SortFunc(all, func(a, b *Browser) int { return cmp.Compare(a.id, b.id) })
	return all
}

// user is who has logged in; false before that, and after the end.
func (b *Browser) user() (status.UserID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.credential == nil || b.grant == nil || b.closing {
		return "", false
	}
	return b.grant.User, true
}

// info is false when the browser has gone meanwhile.
func (b *Browser) info() (session.Info, bool) {
	now := time.Now()
	b.mu.Lock()
	if b.credential == nil || b.grant == nil || b.changes == nil {
		b.mu.Unlock()
		return session.Info{}, false
	}
	info := session.Info{
		ID:                  b.id,
		User:                b.grant.User,
		Address:             b.remote.Addr().Unmap().String(),
		ConnectedAt:         b.opened.UTC(),
		Name:                b.login.Name,
		Lang:                b.login.Lang,
		Version:             b.login.Version,
		RTTMilliseconds:     float64(b.rtt.Load()/1e3) / 1e3,
		SubscriptionChanges: b.changes.Usage(now).Used,
	}
	if !b.grant.Expires.IsZero() {
		info.Expires = b.grant.Expires.UTC()
	}
	subs := slices.Collect(maps.Values(b.subs))
	b.mu.Unlock()

	used := map[status.ConversationID]struct{}{}
	info.Subscriptions = make([]session.Subscription, len(subs))
	for i, sub := range subs {
		delivered, _ := b.out.Counts(&sub.tally)
		info.Subscriptions[i] = session.Subscription{Subject: sub.subject, Queue: sub.queue, Delivered: delivered}
		info.Delivered += delivered
		if sub.conversation != "" {
			used[sub.conversation] = struct{}{}
		}
	}
	slices.SortFunc(info.Subscriptions, func(a, b session.Subscription) int { return strings.Compare(a.Subject, b.Subject) })
	info.Conversations = slices.AppendSeq([]status.ConversationID{}, maps.Keys(used))
	slices.Sort(info.Conversations)
	info.QueueBytes = b.out.Backlog()
	return info, true
}

// Kick closes the connections of the user, with the reason as the close frame's. It
// returns how many it closed. by is who kicks, for the audit. An empty reason is a plain
// one.
func (h *Hub) Kick(user status.UserID, reason, by string) int {
	why := refusal.CloseByOperator()
	if reason != "" {
		why = refusal.CloseKicked(reason)
	}
	why.Kind = "" // noted here, with who did it
	n := 0
	for _, b := range h.LoggedIn(user) {
		e := b.event(audit.KindKicked)
		e.Actor = by
		e.Reason, e.Code = b.dialect.Told(why)
		b.Close(why)
		h.deps.Audit.Record(e)
		n++
	}
	return n
}

// Use returns who listens in the conversation.
func (h *Hub) Use(c status.ConversationID) session.Use {
	use := session.Use{Categories: map[status.Category]int{}}
	users := map[status.UserID]struct{}{}
	var covered []string // by a wildcard; read when the first one is met
	for _, b := range h.LoggedIn("") {
		user, categories, wildcard := b.listensIn(c)
		if len(categories) == 0 && !wildcard {
			continue
		}
		use.Connections++
		users[user] = struct{}{}
		if wildcard {
			if covered == nil {
				covered = h.deps.Access.Categories(h.ctx, c)
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

// listensIn returns the categories of the conversation that the browser subscribes
// to by name, and whether it has a wildcard there.
func (b *Browser) listensIn(c status.ConversationID) (user status.UserID, categories map[status.Category]struct{}, wildcard bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grant == nil {
		return "", nil, false
	}
	categories = map[status.Category]struct{}{}
	for _, sub := range b.subs {
		name, ok := strings.CutPrefix(sub.subject, "status."+string(c)+".")
		switch {
		case !ok:
		case name == "*" || name == ">":
			wildcard = true
		default:
			categories[status.Category(name)] = struct{}{}
		}
	}
	return b.grant.User, categories, wildcard
}
