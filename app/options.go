package app

import (
	"log/slog"
	"time"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/edge"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/mark"
	"github.com/statuswire/statuswire/internal/presence"
	"github.com/statuswire/statuswire/internal/storage"
)

// Options are the settings of the whole process: its own, and those of each
// part. The zero value of a field means its default.
type Options struct {
	// DataDir holds keys, streams, NATS CLI contexts and endpoints.json.
	// It is created if missing. Default "data".
	DataDir string

	// HTTP is the address of page, WebSocket endpoint and health checks.
	// Default "127.0.0.1:8080"; port 0 picks a free one.
	HTTP string

	// Metrics is the address of the listener for /metrics; MetricsOnHTTP is the HTTP
	// address, MetricsNone is nowhere. Default "127.0.0.1:9464", or a free port where
	// that is taken or HTTP is to be on one.
	Metrics string

	// ProxyProtocol has every connection from one of Gateway.TrustedProxies begin
	// with a PROXY header that says where it comes from. Default: false.
	ProxyProtocol bool

	// Descriptors is how many files and sockets the process may have open, which
	// bounds Gateway.Limits.Connections. Default: what the system says.
	Descriptors int

	// Demo adds a demo conversation with a simulated agent run, and the demo
	// users' tokens for the page. Only on a loopback address.
	Demo bool

	// ExternalCallout has a callout service of somebody else's decide logins, by links
	// to the server; ours does not answer. nats.conf names it. Default: false.
	ExternalCallout bool

	// Token says which application tokens are accepted. Without a Secret the
	// development secret in DataDir is used.
	Token identity.HS256Options

	// DrainTimeout bounds each step of Stop. Default 10 s.
	DrainTimeout time.Duration

	// The parts. App fills in what they need of one another: the engine's Keys
	// and StoreDir, every Logger.
	Engine      engine.Options
	Callout     authcallout.Options
	Broadcaster broadcaster.Options
	Edge        edge.Options
	Fanout      fanout.Options
	Gateway     gateway.Options
	Presence    presence.Options
	Marks       mark.Options
	Storage     storage.Options

	// Logger takes what an operator should know. Default: discard.
	Logger *slog.Logger
}
