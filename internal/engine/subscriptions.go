package engine

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// Subscription is one that a connection has.
type Subscription struct{ Subject, Queue string }

// MaxSubscriptions is how many subscriptions one connection of our own parts may have,
// by nats.conf; 0 for any number.
func (e *Engine) MaxSubscriptions() int { return e.maxSubscriptions }

// maxSubscriptions is the lower one of the server's and of the account's, which the
// parsed options do not tell (nats-server 2.15.2, server/client.go:978 and 997).
func maxSubscriptions(o *server.Options, raw map[string]any) int {
	limit := o.MaxSubs
	limits, _ := lookUp(raw, "accounts", AccountStatus, "limits")
	block, _ := limits.(map[string]any)
	for key := range block {
		switch strings.ToLower(key) {
		case "max_subscriptions", "max_subs":
			value, _ := lookUp(block, key)
			if n, ok := value.(int64); ok && n > 0 && (limit <= 0 || int(n) < limit) {
				limit = int(n)
			}
		}
	}
	return max(0, limit)
}

// SubscriptionsOf returns what the server has for the connection with the client id.
func (e *Engine) SubscriptionsOf(clientID uint64) ([]Subscription, error) {
	srv, err := e.dialable()
	if err != nil {
		return nil, err
	}
	report, err := srv.Connz(&server.ConnzOptions{CID: clientID, Subscriptions: true, SubscriptionsDetail: true})
	if err != nil {
		return nil, err
	}
	if len(report.Conns) != 1 {
		return nil, fmt.Errorf("the server has no connection %d", clientID)
	}
	var all []Subscription
	for _, s := range report.Conns[0].SubsDetail {
		all = append(all, Subscription{s.Subject, s.Queue})
	}
	return all, nil
}
