package natsocket

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
func (s *Socket) listSubscriptions(reply string) {
	if reply == "" {
		return
	}
	now := time.Now()
	answer := subscriptionsAnswer{Subscriptions: []listedSub{}, Limits: map[limit.Name]listedUsed{}}
	for _, sub := range s.Subs() {
		delivered, most := sub.Counts()
		answer.Subscriptions = append(answer.Subscriptions, listedSub{
			Subject: sub.Subject(), Queue: sub.Queue(), SID: sub.SID(), Delivered: delivered, Max: most,
		})
	}
	slices.SortFunc(answer.Subscriptions, func(a, b listedSub) int {
		return strings.Compare(a.Subject+" "+a.SID, b.Subject+" "+b.SID)
	})
	usage := s.MeterUsage(now)
	for _, u := range append(s.UserUsage(now), usage.Subscriptions, usage.Categories, usage.Operations) {
		answer.Limits[u.Name] = listedUsed{Limit: max(u.Limit, limit.Unlimited), Used: u.Used, Left: u.Left()}
	}
	if body, err := encodeJSON(answer); err == nil {
		s.inbox(reply, nil, body)
	}
}
