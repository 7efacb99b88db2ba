package gateway

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/status"
)

// admission decides who may open a socket and log in, and counts who has.
// Everything in it is of this node alone. Safe for concurrent use.
//
//	upgrade ── enter ──▶ handshake ── screen, the verdict, LoggedIn ──▶ logged in
//	   │                     │   └ a bad token: Failed              │
//	   ▼                     └──────────────── leave ◀───────────────────┘
//	429, 503
type admission struct {
	openings   *limit.Rates[netip.Prefix]
	failures   *limit.Windows[netip.Prefix]
	addresses  *limit.Counters[netip.Prefix]
	handshakes *limit.Counters[struct{}]
	upgrades   *limit.Rate
	users      *limit.Counters[status.UserID]

	// onHit hears of each limit that is hit, in dry-run or not. It must not block.
	onHit func(v limit.Verdict, p *place, user status.UserID)
}

func newAdmission(rules limit.Options) *admission {
	return &admission{
		openings:   limit.NewRates[netip.Prefix](limit.UpgradesPerAddress, rules.UpgradesPerAddress),
		failures:   limit.NewWindows[netip.Prefix](limit.FailedLogins, rules.FailedLogins, limit.FailedLoginsPeriod),
		addresses:  limit.NewCounters[netip.Prefix](limit.ConnectionsPerAddress, rules.ConnectionsPerAddress),
		handshakes: limit.NewCounters[struct{}](limit.Handshakes, rules.Handshakes),
		upgrades:   limit.NewRate(limit.Upgrades, rules.Upgrades),
		users:      limit.NewCounters[status.UserID](limit.ConnectionsPerUser, rules.ConnectionsPerUser),
		onHit:      func(limit.Verdict, *place, status.UserID) {},
	}
}

// enter asks for a socket from the address, on a connection that may be counted
// already. Unless the verdict is Refused, the caller ends with Leave of what it
// gets. The limits of the address come first, so that one address alone does not use
// up what is for all.
func (a *admission) enter(now time.Time, from netip.AddrPort, conn *httpconn.Conn) (*place, limit.Verdict) {
	p := &place{admission: a, from: from, network: limit.Network(from.Addr()), conn: conn}
	if v := a.openings.Take(now, p.network); p.hit(v) {
		return nil, v
	}
	if v := conn.Room(); p.hit(v) {
		return nil, v
	}
	if !conn.CountsFor(p.network) {
		if v := a.addresses.Take(p.network); p.hit(v) {
			return nil, v
		}
		p.counted = true
	}
	v := a.handshakes.Take(struct{}{})
	if !p.hit(v) {
		p.handshaking = true
		v = a.upgrades.Take(now)
		if !p.hit(v) {
			return p, limit.Verdict{}
		}
	}
	p.Leave()
	return nil, v
}

// limitedConnection notes a hit of one of the limits here.
func (g *Gateway) limitedConnection(v limit.Verdict, p *place, user status.UserID) {
	g.deps.Metrics.Refused(metrics.Refusal(v.Name), v.Dry)
	why := refusal.UpgradeLimited(v)
	if text := refusal.LoginLimited(v); text != "" {
		why = &refusal.Upgrade{Code: int(refusal.TryAgainLater), Text: text}
		if p.stream {
			why.Code = http.StatusTooManyRequests
		}
	}
	g.deps.Audit.Record(audit.Event{
		Kind: audit.KindLimited, Limit: string(v.Name), DryRun: v.Dry,
		User: user, Address: audit.AddressOf(p.from), Reason: why.Text, Code: why.Code,
	})
}

// place is what one socket takes of the limits, until it leaves. A nil place
// takes nothing. Not safe for concurrent use.
type place struct {
	admission   *admission
	from        netip.AddrPort
	network     netip.Prefix
	conn        *httpconn.Conn
	counted     bool          // for the address; otherwise conn is
	user        status.UserID // "" until LoggedIn
	handshaking bool
	left        bool
	stream      bool // it answers one request: what is refused is an HTTP status
}

// hit reports a hit, and is true when it refuses.
func (p *place) hit(v limit.Verdict) bool {
	if v.Hit() {
		p.admission.onHit(v, p, p.user)
	}
	return v.Refused()
}

// MayFail implements access.Tries: it asks whether the address may try a token that is bad, or that nobody
// has looked at. It counts nothing: of several tries at the same time each may
// pass, so the bound on failures is the limit and the address's connections
// together.
func (p *place) MayFail() limit.Verdict {
	if p == nil {
		return limit.Verdict{}
	}
	v := p.admission.failures.Check(time.Now(), p.network)
	p.hit(v)
	return v
}

// Failed implements access.Tries.
func (p *place) Failed() {
	if p != nil {
		p.admission.failures.Add(time.Now(), p.network)
	}
}

// LoggedIn implements browser.Place: it ends the handshake and asks for one more connection of the user.
func (p *place) LoggedIn(u status.UserID) limit.Verdict {
	if p == nil {
		return limit.Verdict{}
	}
	p.endHandshake()
	v := p.admission.users.Take(u)
	if v.Hit() {
		p.admission.onHit(v, p, u)
	}
	if !v.Refused() {
		p.user = u
	}
	return v
}

// LogOut implements browser.Place: it gives back what the user has taken. The connection goes on counting for
// its address until it is gone.
func (p *place) LogOut() {
	if p != nil && p.user != "" {
		p.admission.users.Release(p.user)
		p.user = ""
	}
}

// Leave implements browser.Place: it gives everything back. Leaving again does nothing.
func (p *place) Leave() {
	if p == nil || p.left {
		return
	}
	p.left = true
	p.endHandshake()
	if p.counted {
		p.admission.addresses.Release(p.network)
	}
	p.conn.Ended()
	p.LogOut()
}

func (p *place) endHandshake() {
	if p.handshaking {
		p.handshaking = false
		p.admission.handshakes.Release(struct{}{})
	}
}
