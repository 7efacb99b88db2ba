package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
)

// subscriptionsAnswer is what a request to gateway.subscriptions gets.
type subscriptionsAnswer struct {
	Subscriptions []listedSub               `json:"subscriptions"` // by subject
	Limits        map[limit.Name]listedUsed `json:"limits"`
}

type listedSub struct {
	Subject   string `json:"subject"`
	Queue     string `json:"queue,omitempty"`
	SID       string `json:"sid"`
	Delivered int    `json:"delivered"` // messages
	Max       int    `json:"max,omitempty"`
}

// listedUsed is where a limit stands; -1 for limit and left when there is none.
type listedUsed struct {
	Limit int `json:"limit"`
	Used  int `json:"used"`
	Left  int `json:"left"`
}

// listSubscriptions answers with what this connection has, and what is left of
// each of its limits.
func (s *webSocket) listSubscriptions(reply string) {
	if reply == "" {
		return
	}
	now := time.Now()
	answer := subscriptionsAnswer{Subscriptions: []listedSub{}, Limits: map[limit.Name]listedUsed{}}
	s.mu.Lock()
	usage := s.meter.Usage(now)
	subs := make([]*localSub, 0, len(s.subs))
	for _, sub := range s.subs {
		subs = append(subs, sub)
	}
	s.mu.Unlock()
	for _, sub := range subs {
		delivered, most := s.out.Counts(&sub.tally)
		answer.Subscriptions = append(answer.Subscriptions, listedSub{
			Subject: sub.subject, Queue: sub.queue, SID: sub.sid, Delivered: delivered, Max: most,
		})
	}
	slices.SortFunc(answer.Subscriptions, func(a, b listedSub) int {
		return strings.Compare(a.Subject+" "+a.SID, b.Subject+" "+b.SID)
	})
	g, _ := s.held()
	all := []limit.Usage{
		usage.Subscriptions, usage.Categories, usage.Operations, s.changes.Usage(now), s.gateway.grantChanges.Usage(now, g.User),
	}
	for _, u := range all {
		answer.Limits[u.Name] = listedUsed{Limit: max(u.Limit, limit.Unlimited), Used: u.Used, Left: u.Left()}
	}
	if body, err := encodeJSON(answer); err == nil {
		s.inbox(reply, nil, body)
	}
}
