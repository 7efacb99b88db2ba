package app

import (
	"context"
	"runtime/debug"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/presence"
)

// startAudit makes the recorder. It stops behind all that have something to record.
func (a *App) startAudit(ctx context.Context) error {
	nc, err := a.connect(engine.PartAudit)
	if err != nil {
		return err
	}
	if a.audit, err = audit.New(nc, audit.Options{Logger: a.log}); err != nil {
		return err
	}
	if err := a.audit.Start(ctx); err != nil {
		return err
	}
	a.steps.add("flush the audit", a.audit.Stop)
	return nil
}

func (a *App) startPresence(ctx context.Context) error {
	nc, err := a.connect(engine.PartPresence, nats.NoEcho()) // it need not hear itself
	if err != nil {
		return err
	}
	opts := a.opts.Presence
	opts.Logger = a.log
	if a.presence, err = presence.New(nc, opts); err != nil {
		return err
	}
	if err := a.presence.Start(ctx); err != nil {
		return err
	}
	a.steps.add("take leave of presence", a.presence.Stop)
	return nil
}

// makeMetrics makes the registry; what it asks for exists by the time that
// somebody asks it, because the HTTP listener comes last.
func (a *App) makeMetrics() *metrics.Metrics {
	return metrics.New(metrics.Options{
		Logger: a.log,
		Sources: metrics.Sources{
			Gateway:     a.gatewayStats,
			Fanout:      a.fanoutStats,
			Callout:     a.calloutStats,
			Broadcaster: func() metrics.BroadcasterStats { return metrics.BroadcasterStats(a.broadcaster.Stats()) },
			Edge:        a.edgeStats,
			Audit:       a.auditStats,
			Marks:       a.markStats,
			LogOmitted:  a.noise.Omitted,
			Storage:     a.storageStats,
			Server:      a.serverStats,
		},
	})
}

// serviceVersion is the version of this build as a micro service names it, without the
// v of Go's versions; "" for a build that has none.
func serviceVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || !strings.HasPrefix(info.Main.Version, "v") {
		return ""
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

func (a *App) gatewayStats() metrics.GatewayStats {
	s, http, links := a.gateway.Stats(), a.gateway.Connections().Usage(), a.links.Stats()
	return metrics.GatewayStats{
		Credentials: s.Credentials, IdleGrants: s.IdleGrants, IdleBytes: s.IdleBytes, Links: links.Opened, LinksKept: links.Kept,
		SlowCloses: s.SlowCloses, Shed: s.Shed, Sheltered: s.Sheltered, Resumed: s.Resumed,
		HTTPConnections: http.Used, HTTPConnectionsLimit: http.Limit,
	}
}

// interest is what the server has for one connection.
func (a *App) interest(clientID uint64) ([]fanout.Interest, error) {
	subs, err := a.engine.SubscriptionsOf(clientID)
	all := make([]fanout.Interest, len(subs))
	for i, s := range subs {
		all[i] = fanout.Interest(s)
	}
	return all, err
}

func (a *App) fanoutStats() metrics.FanoutStats {
	s := a.fanout.Stats()
	return metrics.FanoutStats{
		Topics: s.Topics, Upstream: s.Upstream, Limit: s.Limit, CatchingUp: s.CatchingUp,
		Doubles: s.Doubles, Mended: s.Mended, Replayed: s.Replayed, Failed: s.Failed,
		Kept: s.Kept, TailStatuses: s.Tail.Statuses, TailBytes: s.Tail.Bytes, Hits: s.Hits, Misses: s.Misses, Recalled: s.Recalled,
	}
}

func (a *App) calloutStats() metrics.CalloutStats {
	var s authcallout.Stats
	if a.opts.ExternalCallout {
		s = a.witness.Stats()
	} else {
		s = a.callout.Stats()
	}
	denied := make(map[string]uint64, len(s.Denied))
	for cause, n := range s.Denied {
		denied[string(cause)] = n
	}
	return metrics.CalloutStats{Granted: s.Granted, Denied: denied, Foreign: s.Foreign, Queued: s.Queued}
}

func (a *App) auditStats() metrics.AuditStats {
	s := a.audit.Stats()
	return metrics.AuditStats{
		Recorded: s.Recorded, Lost: s.Lost, Overflowed: s.Overflowed, Records: s.Records, Retries: s.Retries, Open: s.Open,
		Acts: metrics.ActStats(s.Acts),
	}
}

func (a *App) edgeStats() map[string]metrics.EndpointStats {
	all := map[string]metrics.EndpointStats{}
	for name, s := range a.edge.Stats() {
		all[name] = metrics.EndpointStats{Answered: s.Answered, Refused: s.Refused, DurationTotal: s.DurationTotal}
	}
	return all
}

func (a *App) serverStats() (metrics.ServerStats, error) {
	s, err := a.engine.Stats()
	if err != nil {
		return metrics.ServerStats{}, err
	}
	out := metrics.ServerStats{
		Connections: s.Connections, TotalConnections: s.TotalConnections, Subscriptions: s.Subscriptions,
		InMsgs: s.InMsgs, OutMsgs: s.OutMsgs, InBytes: s.InBytes, OutBytes: s.OutBytes,
		SlowConsumers: s.SlowConsumers, MemoryBytes: s.MemoryBytes,
		StoreBytes: s.StoreBytes, StoreMemoryBytes: s.StoreMemoryBytes, APIRequests: s.APIRequests, APIErrors: s.APIErrors,
	}
	for _, st := range s.Streams {
		out.Streams = append(out.Streams, metrics.StreamStats(st))
	}
	return out, nil
}

// onVerdict observes the callout. What the gateway asked for it writes to the
// audit itself; a login that came to the server by another door only shows here.
func (a *App) onVerdict(v authcallout.Verdict) {
	a.metrics.CalloutTook(v.Duration)
	if v.Denial == nil || v.Cause != authcallout.CauseNoLink && v.Cause != authcallout.CauseKey {
		return
	}
	a.audit.Record(audit.Event{Kind: audit.KindDenied, Address: v.Address, User: v.User, Actor: string(v.Named), Reason: v.Denial.Reason})
}

// onDelivered counts statuses by category; presence is none.
func (a *App) onDelivered(m *fanout.Message, receivers int) {
	if m.Sequence == 0 {
		return
	}
	a.metrics.Delivered(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], receivers)
}
