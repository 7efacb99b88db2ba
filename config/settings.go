package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/limit"
)

// setting is one key of statuswire.conf.
type setting struct {
	key  string // "limits.subscriptions": block and name
	kind kind
}

// settings is the table of statuswire.conf: every key, its range and the option
// that it sets. statuswire.conf in the root explains each to its reader.
func settings() []setting {
	const kb, mb, gb = 1 << 10, 1 << 20, 1 << 30
	type o = app.Options
	return slices.Concat([]setting{
		{"http", address(func(o *o) *string { return &o.HTTP })},
		{"metrics", metricsAddress(func(o *o) *string { return &o.Metrics })},
		{"trusted_proxies", networks("trusted_proxies", func(o *o) *[]netip.Prefix { return &o.Gateway.TrustedProxies })},
		{"proxy_protocol", yesNo(func(o *o) *bool { return &o.ProxyProtocol })},
		{"allowed_origins", origins("allowed_origins", func(o *o) *[]string { return &o.Gateway.AllowedOrigins })},
		{"cookie", cookieName(func(o *o) *string { return &o.Gateway.TokenCookie })},
		{"links", choice("close", "keep", func(o *o) *bool { return &o.Gateway.KeepLinks })},
		{"grant_lifetime", duration(time.Minute, 30*day, func(o *o) *time.Duration { return &o.Callout.GrantLifetime })},
		{"native_websocket", yesNo(
			func(o *o) *bool { return &o.Engine.NativeWebSocket },
			func(o *o) *bool { return &o.Callout.NativeWebSocket })},

		{"token.secret", secret(func(o *o) *[]byte { return &o.Token.Secret })},
		{"token.secret_file", secretFile(func(o *o) *[]byte { return &o.Token.Secret })},
		{"token.issuer", text(func(o *o) *string { return &o.Token.Issuer })},
		{"token.audience", text(func(o *o) *string { return &o.Token.Audience })},
		{"token.leeway", duration(0, identity.MaxLeeway, func(o *o) *time.Duration { return &o.Token.Leeway })},
	}, limitSettings(), []setting{
		{"limits.dry_run", limitNames("limits.dry_run", func(o *o) *limit.Options { return &o.Gateway.Limits })},
		{"limits.control_line", size(512, gateway.MaxLineBytes, func(o *o) *int { return &o.Gateway.MaxControlLineBytes })},
		{"limits.payload", size(kb, mb,
			func(o *o) *int { return &o.Gateway.MaxPayloadBytes },
			func(o *o) *int { return &o.Callout.MaxPayloadBytes })},
		{"limits.queue", size(16*kb, gb, func(o *o) *int { return &o.Gateway.MaxQueueBytes })},
		{"limits.connect_timeout", duration(100*time.Millisecond, 5*time.Minute, func(o *o) *time.Duration { return &o.Gateway.ConnectTimeout })},

		{"keepalive.ping_interval", duration(time.Second, time.Hour, func(o *o) *time.Duration { return &o.Gateway.PingInterval })},
		{"keepalive.pong_timeout", duration(time.Second, time.Hour, func(o *o) *time.Duration { return &o.Gateway.PongTimeout })},

		{"resume.connections", number(1, 10_000_000, func(o *o) *int { return &o.Marks.MaxKeys })},
		{"resume.memory", size(64*kb, 64*gb, func(o *o) *int { return &o.Marks.MaxBytes })},
		{"resume.tail", size(kb, 64*gb, func(o *o) *int { return &o.Fanout.TailBytes })},

		{"retention.max_age", duration(time.Minute, 365*day, func(o *o) *time.Duration { return &o.Engine.Retention.MaxAge })},
		{"retention.max_bytes", size(mb, 1024*1024*gb, func(o *o) *int64 { return &o.Engine.Retention.MaxBytes })},
		{"retention.max_per_subject", number(1, 1_000_000, func(o *o) *int64 { return &o.Engine.Retention.MaxPerSubject })},

		{"callout.external", yesNo(func(o *o) *bool { return &o.ExternalCallout })},
		{"callout.workers", number(0, 1024, func(o *o) *int { return &o.Callout.Workers })},
		{"callout.queue", number(1, 1_000_000, func(o *o) *int { return &o.Callout.QueueLength })},

		{"shutdown.drain", duration(100*time.Millisecond, 10*time.Minute, func(o *o) *time.Duration { return &o.DrainTimeout })},
		{"shutdown.close_spread", duration(time.Millisecond, 5*time.Minute, func(o *o) *time.Duration { return &o.Gateway.CloseSpread })},
	})
}

// limitSettings are the limits that internal/limit decides, by their names. Those
// that a grant carries go to the service that writes the grants as well.
func limitSettings() []setting {
	type o = app.Options
	granted := map[limit.Name]field[int]{
		limit.Categories:          func(o *o) *int { return &o.Callout.MaxCategories },
		limit.Subscriptions:       func(o *o) *int { return &o.Callout.MaxSubscriptions },
		limit.SubscriptionChanges: func(o *o) *int { return &o.Callout.ChangesPerMinute },
	}
	var all []setting
	for _, s := range limit.Settings() {
		to := []field[int]{func(o *o) *int { return &o.Gateway.Limits.Rule(s.Name).Value }}
		if f := granted[s.Name]; f != nil {
			to = append(to, f)
		}
		all = append(all, setting{"limits." + string(s.Name), number(int64(s.Min), int64(s.Max), to...)})
	}
	return all
}

const day = 24 * time.Hour
