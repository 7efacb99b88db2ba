package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/keys"
)

// Options of an Engine. Zero means the default everywhere.
type Options struct {
	// Config is the text of nats.conf. Default: the shipped file.
	Config []byte
	// ConfigName is the name of the file in errors. Default "nats.conf".
	ConfigName string
	// Listen is host:port for services and the nats CLI; port 0 picks a free
	// one. Default: what Config says.
	Listen string
	// MaxClients bounds the clients, in the process and over TCP, where Config does
	// not bound them closer (max_connections). Default: what Config says.
	MaxClients int
	// StoreDir is the folder of the streams. Required, unless Config says it.
	StoreDir string
	// Keys are the installation's. Required.
	Keys *keys.Set
	// Retention bounds what the stream STATUS keeps.
	Retention Retention
	// AllowShrink lets a lower limit of Retention drop statuses that are stored.
	// Default: Start refuses with a *ShrinkError.
	AllowShrink bool
	// NativeWebSocket allows a websocket block in Config: the server's own
	// listener, where the gateway's limits do not hold. Default: such a block is
	// an error.
	NativeWebSocket bool
	// ExternalCallout is for a callout service of somebody else's: Config names its
	// issuer, and lets our part of the callout hear what it answers. Default: ours
	// answers, as the issuer of Keys.
	ExternalCallout bool
	// LineBytes is the longest line that a client may send, a link included; a
	// larger max_control_line in Config holds. Default: what Config says.
	LineBytes int
	// Replicas is the number of servers that hold each stream. Default 1; 3 or 5
	// in a cluster.
	Replicas int
	// ReadyTimeout bounds Start. Default 30 s.
	ReadyTimeout time.Duration
	// Logger gets the server's warnings and errors, its notices at level Debug.
	// Default: discard.
	Logger *slog.Logger
}

// Retention bounds what the stream STATUS keeps; the oldest goes first. Zero
// means the default.
type Retention struct {
	MaxAge        time.Duration // default 24 h, at least 1 s
	MaxBytes      int64         // of the whole stream on disk, default 1 GiB, at least 1 MiB
	MaxPerSubject int64         // messages of one category of one conversation, default 10,000
}

// DefaultOptions are the options with every default filled in; Keys and StoreDir
// have none.
func DefaultOptions() Options {
	return Options{
		Config:       statuswire.DefaultNATSConfig(),
		ConfigName:   "nats.conf",
		Retention:    Retention{MaxAge: 24 * time.Hour, MaxBytes: 1 << 30, MaxPerSubject: 10_000},
		Replicas:     1,
		ReadyTimeout: 30 * time.Second,
		Logger:       slog.New(slog.DiscardHandler),
	}
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	if len(o.Config) == 0 {
		o.Config = d.Config
	}
	if o.ConfigName == "" {
		o.ConfigName = d.ConfigName
	}
	if o.Retention.MaxAge == 0 {
		o.Retention.MaxAge = d.Retention.MaxAge
	}
	if o.Retention.MaxBytes == 0 {
		o.Retention.MaxBytes = d.Retention.MaxBytes
	}
	if o.Retention.MaxPerSubject == 0 {
		o.Retention.MaxPerSubject = d.Retention.MaxPerSubject
	}
	if o.Replicas == 0 {
		o.Replicas = d.Replicas
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = d.ReadyTimeout
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}

// Validate reports every value that cannot be used. The text of Config is New's
// to check.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Keys == nil {
		bad("engine: keys are missing")
	}
	if o.Listen != "" {
		if _, _, err := splitListen(o.Listen); err != nil {
			errs = append(errs, err)
		}
	}
	if r := o.Retention; r.MaxAge != 0 && r.MaxAge < time.Second {
		bad("retention: max age %v is too short: at least 1s", r.MaxAge)
	}
	if r := o.Retention; r.MaxBytes != 0 && r.MaxBytes < 1<<20 {
		bad("retention: max bytes %d is too small: at least 1048576", r.MaxBytes)
	}
	if r := o.Retention; r.MaxPerSubject < 0 {
		bad("retention: max per subject %d is negative", r.MaxPerSubject)
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		bad("replicas %d: 1 to 5 are possible", o.Replicas)
	}
	if o.LineBytes < 0 || o.LineBytes > 1<<20 {
		bad("line bytes %d: 0 to 1048576 are possible", o.LineBytes)
	}
	if o.ReadyTimeout < 0 {
		bad("ready timeout %v is negative", o.ReadyTimeout)
	}
	return errors.Join(errs...)
}

// splitListen takes host:port apart; the host may be empty, the port may be 0.
func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("NATS address %q is not host:port", listen)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("NATS address %q: the port is a number from 0 to 65535", listen)
	}
	return host, port, nil
}
