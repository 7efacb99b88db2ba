package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Part is one of our own parts with a connection of its own. Its user in
// nats.conf is $NAME_KEY in capitals, its inbox is _INBOX_<name>.>, which services
// cannot hear.
type Part string

// The parts, by account.
const (
	// In STATUS.
	PartGateway     Part = "gateway"
	PartFanout      Part = "fanout"
	PartBroadcaster Part = "broadcaster"
	PartEdge        Part = "edge"
	PartAdmin       Part = "admin"
	PartPresence    Part = "presence"
	PartConsumers   Part = "consumers"
	PartStreams     Part = "streams"

	// In STATE.
	PartDirectory      Part = "directory"
	PartKeys           Part = "keys"
	PartAudit          Part = "audit"
	PartMarks          Part = "marks"
	PartStateConsumers Part = "state_consumers"
	PartStateStreams   Part = "state_streams"

	// In AUTH.
	PartCallout Part = "callout"
)

// Parts lists every part.
func Parts() []Part {
	return []Part{
		PartGateway, PartFanout, PartBroadcaster, PartEdge, PartAdmin, PartPresence, PartConsumers, PartStreams,
		PartDirectory, PartKeys, PartAudit, PartMarks, PartStateConsumers, PartStateStreams,
		PartCallout,
	}
}

// account is the one that the part's user is in.
func (p Part) account() string {
	switch p {
	case PartDirectory, PartKeys, PartAudit, PartMarks, PartStateConsumers, PartStateStreams:
		return AccountState
	case PartCallout:
		return AccountAuth
	}
	return AccountStatus
}

// variable is the name of the part's public key in nats.conf, without the $.
func (p Part) variable() string { return strings.ToUpper(string(p)) + "_KEY" }

func makePartKeys() (map[Part]nkeys.KeyPair, error) {
	pairs := map[Part]nkeys.KeyPair{}
	for _, p := range Parts() {
		kp, err := nkeys.CreateUser()
		if err != nil {
			return nil, fmt.Errorf("cannot make the key of %s: %w", p, err)
		}
		pairs[p] = kp
	}
	return pairs, nil
}

// Connect opens a connection inside the process with the permissions of the part.
// It reconnects for ever, after a kick too, and to the next server when there is
// another; Stop closes it if the caller has not.
// Later options win over ours. A part may hold several connections.
func (e *Engine) Connect(part Part, opts ...nats.Option) (*nats.Conn, error) {
	if _, err := e.dialable(); err != nil {
		return nil, fmt.Errorf("cannot connect %s: %w", part, err)
	}
	kp := e.parts[part]
	if kp == nil {
		return nil, fmt.Errorf("cannot connect %q: there is no such part", part)
	}
	public, err := kp.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("cannot connect %s: %w", part, err)
	}
	all := append([]nats.Option{
		nats.Name("statuswire " + string(part)),
		nats.InProcessServer(current{e}),
		nats.Nkey(public, kp.Sign),
		nats.CustomInboxPrefix("_INBOX_" + string(part)),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // the key is known to each server that there will be
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			e.logger.Warn("NATS connection", "part", string(part), "subject", subject, "error", err)
		}),
	}, opts...)
	nc, err := nats.Connect("", all...)
	if err != nil {
		return nil, fmt.Errorf("cannot connect %s: %w", part, err)
	}
	if !e.keep(nc) {
		nc.Close()
		return nil, fmt.Errorf("cannot connect %s: %w", part, ErrNotRunning)
	}
	return nc, nil
}

// keep remembers the connection for Stop. It is false when Stop was faster.
func (e *Engine) keep(nc *nats.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stateStopped {
		return false
	}
	e.conns = append(slices.DeleteFunc(e.conns, (*nats.Conn).IsClosed), nc)
	return true
}
