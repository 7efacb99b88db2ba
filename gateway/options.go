package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/browser"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/natsocket"
	"github.com/statuswire/statuswire/internal/sse"
)

// MaxLineBytes is the most that Options.MaxControlLineBytes may be: before it has
// logged in, each socket may have the server hold so much.
const MaxLineBytes = 64 << 10

// Options are the gateway's settings. The zero value of a field means its default.
type Options struct {
	// AllowedOrigins are the web origins besides the gateway's own that may open
	// a socket: "https://app.example.com", or "https://*.example.com" for every
	// host below example.com. A browser of any other origin is refused with
	// HTTP 403. Default: none, same origin only. "*" is every page on the web, "null"
	// sandboxed pages and local files: not together with TokenCookie.
	AllowedOrigins []string

	// KeepLinks keeps the link of each socket for the socket's life, so that the
	// server's connection reports show it and a kick ends it. Costs a link and
	// a callout for each socket. Default: false.
	KeepLinks bool

	// TokenCookie names an HttpOnly cookie that may carry the token. Only read
	// when CONNECT has none. Default: "", no cookie is read.
	TokenCookie string

	// TrustedProxies are the proxies in front: from these only is X-Forwarded-For
	// believed. Default: none.
	TrustedProxies []netip.Prefix

	// Limits bound what a connection, a user and an address may hold and do. What
	// is per connection or per user a grant may say otherwise.
	Limits limit.Options

	// SpareConnections is how many HTTP connections more than Limits.Connections are
	// taken, to be told so. Default 64.
	SpareConnections int

	// MaxControlLineBytes bounds an operation's line, CONNECT with its token included,
	// and a token that comes by another way. Default 4096, at most MaxLineBytes.
	MaxControlLineBytes int

	// MaxPayloadBytes bounds what a browser may publish at once; a grant may
	// lower it. Default 65536.
	MaxPayloadBytes int

	// MaxQueueBytes bounds what waits for a browser that reads too slowly; one
	// that would exceed it is closed. Default 1 MiB.
	MaxQueueBytes int

	// MaxRequests bounds a browser's requests that wait for an answer. Default 64.
	MaxRequests int

	// RequestTimeout is how long the answer to a request is waited for. Default 30 s.
	RequestTimeout time.Duration

	// ConnectTimeout is how long a socket may take from the upgrade to a whole
	// CONNECT, and an HTTP request to its whole head. Default 5 s.
	ConnectTimeout time.Duration

	// VerdictTimeout is how long the server and the callout may take for a
	// verdict. It is above the server's own auth timeout of 2 s. Default 4 s.
	VerdictTimeout time.Duration

	// LoginTimeout is how long a login, a join or a renewal may take in all,
	// with the wait for its turn when many come at once. Default 15 s.
	LoginTimeout time.Duration

	// MaxVerdicts bounds the verdicts that are waited for at the same time; further
	// logins wait for their turn. A callout that is asked more than it can
	// answer answers nobody in time. Default 64.
	MaxVerdicts int

	// Idle bounds the grants that are kept without a socket.
	Idle access.IdleOptions

	// PingInterval is how often an idle browser gets a WebSocket ping. Default 25 s.
	PingInterval time.Duration

	// PongTimeout is how long a browser may take to answer a ping, or anything
	// at all, before its socket is closed as dead. Default 10 s.
	PongTimeout time.Duration

	// SettleTimeout is how long a subscription whose access has ended may take to get
	// what was stored before; then it ends in any case. Default 250 ms.
	SettleTimeout time.Duration

	// ReceiptInterval is how often a resumable browser is asked by a PING whether it
	// has what was delivered, at most. Default 1 s.
	ReceiptInterval time.Duration

	// CloseSpread is the time over which a stopping gateway spreads its closes,
	// so that not all browsers come back in the same moment. Default 2 s.
	CloseSpread time.Duration

	// Logger takes what an operator should know; tokens never reach it.
	// Default: discard.
	Logger *slog.Logger
}

// DefaultOptions returns the defaults that the fields name.
func DefaultOptions() Options {
	return Options{
		Limits:              limit.DefaultOptions(),
		MaxControlLineBytes: 4096,
		MaxPayloadBytes:     64 << 10,
		MaxQueueBytes:       1 << 20,
		MaxRequests:         64,
		RequestTimeout:      30 * time.Second,
		ConnectTimeout:      5 * time.Second,
		VerdictTimeout:      4 * time.Second,
		LoginTimeout:        15 * time.Second,
		MaxVerdicts:         64,
		Idle:                access.IdleOptions{}.WithDefaults(),
		PingInterval:        25 * time.Second,
		PongTimeout:         10 * time.Second,
		SettleTimeout:       250 * time.Millisecond,
		ReceiptInterval:     time.Second,
		CloseSpread:         2 * time.Second,
		Logger:              slog.New(slog.DiscardHandler),
	}
}

// withDefaults fills the zero fields.
func (o Options) withDefaults() Options {
	d := DefaultOptions()
	o.Limits = o.Limits.WithDefaults()
	o.MaxControlLineBytes = cmp.Or(o.MaxControlLineBytes, d.MaxControlLineBytes)
	o.MaxPayloadBytes = cmp.Or(o.MaxPayloadBytes, d.MaxPayloadBytes)
	o.MaxQueueBytes = cmp.Or(o.MaxQueueBytes, d.MaxQueueBytes)
	o.MaxRequests = cmp.Or(o.MaxRequests, d.MaxRequests)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, d.RequestTimeout)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, d.ConnectTimeout)
	o.VerdictTimeout = cmp.Or(o.VerdictTimeout, d.VerdictTimeout)
	o.LoginTimeout = cmp.Or(o.LoginTimeout, d.LoginTimeout)
	o.MaxVerdicts = cmp.Or(o.MaxVerdicts, d.MaxVerdicts)
	o.Idle = o.Idle.WithDefaults()
	o.PingInterval = cmp.Or(o.PingInterval, d.PingInterval)
	o.PongTimeout = cmp.Or(o.PongTimeout, d.PongTimeout)
	o.SettleTimeout = cmp.Or(o.SettleTimeout, d.SettleTimeout)
	o.ReceiptInterval = cmp.Or(o.ReceiptInterval, d.ReceiptInterval)
	o.CloseSpread = cmp.Or(o.CloseSpread, d.CloseSpread)
	o.Logger = cmp.Or(o.Logger, d.Logger)
	return o
}

// access are those of package access.
func (o Options) access() access.Options {
	return access.Options{
		KeepLinks:      o.KeepLinks,
		MaxTokenBytes:  o.MaxControlLineBytes,
		VerdictTimeout: o.VerdictTimeout,
		LoginTimeout:   o.LoginTimeout,
		MaxVerdicts:    o.MaxVerdicts,
		GrantChanges:   o.Limits.GrantChanges,
		Idle:           o.Idle,
		Logger:         o.Logger,
	}
}

// browsers are those of package browser.
func (o Options) browsers() browser.Options {
	return browser.Options{
		Limits:          o.Limits,
		MaxQueueBytes:   o.MaxQueueBytes,
		Stall:           o.PingInterval + o.PongTimeout,
		MaxRequests:     o.MaxRequests,
		FlushTimeout:    o.VerdictTimeout,
		SettleTimeout:   o.SettleTimeout,
		ReceiptInterval: o.ReceiptInterval,
		CloseSpread:     o.CloseSpread,
		Logger:          o.Logger,
	}
}

// sockets are those of package natsocket.
func (o Options) sockets() natsocket.Options {
	return natsocket.Options{
		MaxControlLineBytes: o.MaxControlLineBytes,
		MaxPayloadBytes:     o.MaxPayloadBytes,
		Operations:          o.Limits.Operations,
		Frames:              o.Limits.Frames,
		ConnectTimeout:      o.ConnectTimeout,
		PingInterval:        o.PingInterval,
		PongTimeout:         o.PongTimeout,
		Logger:              o.Logger,
	}
}

// streams are those of package sse.
func (o Options) streams() sse.Options {
	return sse.Options{PingInterval: o.PingInterval, PongTimeout: o.PongTimeout, Logger: o.Logger}
}

// Validate reports every setting that is out of its range.
func (o Options) Validate() error {
	o = o.withDefaults()
	errs := []error{o.Limits.Validate()}
	atLeast := func(name string, got, least int) {
		if got < least {
			errs = append(errs, fmt.Errorf("%s is %d: it must be at least %d", name, got, least))
		}
	}
	positive := func(name string, got time.Duration) {
		if got < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s is %v: it must be at least 1ms", name, got))
		}
	}
	atLeast("MaxControlLineBytes", o.MaxControlLineBytes, 512)
	if o.MaxControlLineBytes > MaxLineBytes {
		errs = append(errs, fmt.Errorf("MaxControlLineBytes is %d: it must be at most %d", o.MaxControlLineBytes, MaxLineBytes))
	}
	atLeast("MaxPayloadBytes", o.MaxPayloadBytes, 1)
	atLeast("MaxQueueBytes", o.MaxQueueBytes, o.MaxPayloadBytes+o.MaxControlLineBytes)
	atLeast("MaxRequests", o.MaxRequests, 1)
	positive("RequestTimeout", o.RequestTimeout)
	positive("ConnectTimeout", o.ConnectTimeout)
	positive("VerdictTimeout", o.VerdictTimeout)
	positive("LoginTimeout", o.LoginTimeout)
	atLeast("MaxVerdicts", o.MaxVerdicts, 1)
	atLeast("Idle.Grants", o.Idle.Grants, 1)
	atLeast("Idle.Bytes", o.Idle.Bytes, 1)
	atLeast("Idle.PerUser", o.Idle.PerUser, 1)
	atLeast("Idle.BytesPerUser", o.Idle.BytesPerUser, 1)
	positive("PingInterval", o.PingInterval)
	positive("PongTimeout", o.PongTimeout)
	positive("SettleTimeout", o.SettleTimeout)
	positive("ReceiptInterval", o.ReceiptInterval)
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			errs = append(errs, errors.New("TrustedProxies holds a prefix that is none"))
		}
	}
	errs = append(errs, checkOrigins(o.AllowedOrigins, o.TokenCookie))
	return errors.Join(errs...)
}
