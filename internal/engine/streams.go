package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/pause"
)

// Names of what the engine makes: the first in account STATUS, the others in STATE.
const (
	StreamStatus     = "STATUS"      // every status, stored and republished on status.<c>.<cat>
	StreamAudit      = "AUDIT"       // security events, never deleted by hand
	StreamAuditAdmin = "AUDIT_ADMIN" // what administrators do, which nobody else can wash out
	StreamMarks      = "MARKS"       // how far resumable connections have everything, for a few minutes
	BucketDirectory  = "directory"   // the conversations
	BucketKeys       = "keys"        // the named keys
)

const (
	// maxStoredBytes bounds one stored status: 64 KiB of message and room for headers.
	maxStoredBytes = 64<<10 + 8<<10

	duplicateWindow = 2 * time.Minute

	// What the recorder writes into AUDIT in AuditMaxAge is less than AuditMaxBytes,
	// whatever strangers do: internal/audit reckons with both.
	AuditMaxAge   = 90 * 24 * time.Hour
	AuditMaxBytes = 1 << 30

	auditAdminMaxAge   = 365 * 24 * time.Hour
	auditAdminMaxBytes = 1 << 30
	// An act is sent again until it is acknowledged, for as long as that takes.
	auditAdminDuplicates = time.Hour

	directoryMaxBytes = 256 << 20
	keysMaxBytes      = 32 << 20

	// A mark counts for two minutes after its connection has ended, and what stays
	// as it is is written once a minute.
	marksMaxAge   = 3*time.Minute + 15*time.Second
	marksMaxBytes = 128 << 20

	// While a cluster has no leader nobody answers, not even with an error: ask
	// again after streamTryTimeout, and after streamRetryWait when it was refused.
	streamTryTimeout = 2 * time.Second
	streamRetryWait  = 250 * time.Millisecond

	// What JetStream answers while the cluster still finds itself (errors.json of
	// nats-server 2.15.2): no other servers known yet.
	errNoSuitablePeers = 10005
)

func statusStream(r Retention, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        StreamStatus,
		Description: "validated statuses, by conversation and category",
		Subjects:    []string{"ingest.*.*"},
		// Stored under the public subject, and pushed on it as soon as it is stored.
		SubjectTransform:  &jetstream.SubjectTransformConfig{Source: "ingest.*.*", Destination: "status.{{wildcard(1)}}.{{wildcard(2)}}"},
		RePublish:         &jetstream.RePublish{Source: "status.*.*", Destination: "status.{{wildcard(1)}}.{{wildcard(2)}}"},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Discard:           jetstream.DiscardOld,
		MaxAge:            r.MaxAge,
		MaxBytes:          r.MaxBytes,
		MaxMsgsPerSubject: r.MaxPerSubject,
		MaxMsgSize:        maxStoredBytes,
		Duplicates:        min(duplicateWindow, r.MaxAge),
		AllowDirect:       true,
	}
}

func auditStream(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        StreamAudit,
		Description: "denials and other security events",
		Subjects:    []string{"audit.*"},
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		Discard:     jetstream.DiscardOld,
		MaxAge:      AuditMaxAge,
		MaxBytes:    AuditMaxBytes,
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: true,
	}
}

func auditAdminStream(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        StreamAuditAdmin,
		Description: "what administrators have done, kicks and revocations",
		Subjects:    []string{"audit.admin.*"},
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		Discard:     jetstream.DiscardOld,
		MaxAge:      auditAdminMaxAge,
		MaxBytes:    auditAdminMaxBytes,
		Duplicates:  auditAdminDuplicates,
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: true,
	}
}

func marksStream(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        StreamMarks,
		Description: "how far resumable connections have everything",
		Subjects:    []string{"marks.*"},
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    replicas,
		Discard:     jetstream.DiscardOld,
		MaxAge:      marksMaxAge,
		MaxBytes:    marksMaxBytes,
		AllowDirect: true,
	}
}

func directoryBucket(replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      BucketDirectory,
		Description: "conversations: owner, members, categories",
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		History:     1,
		MaxBytes:    directoryMaxBytes,
	}
}

func keysBucket(replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      BucketKeys,
		Description: "named keys of operators, viewers and services",
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		History:     1,
		MaxBytes:    keysMaxBytes,
	}
}

// makeStreams creates the streams and the bucket, or brings their settings up to
// date. In a cluster it asks again until there is a leader.
func (e *Engine) makeStreams(ctx context.Context) error {
	if err := e.withJetStream(PartStreams, func(js jetstream.JetStream) error { return e.makeStatus(ctx, js) }); err != nil {
		return err
	}
	return e.withJetStream(PartStateStreams, func(js jetstream.JetStream) error { return e.makeState(ctx, js) })
}

// withJetStream calls do with the part's permissions.
func (e *Engine) withJetStream(part Part, do func(jetstream.JetStream) error) error {
	nc, err := e.Connect(part)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return do(js)
}

// makeStatus makes the stream of account STATUS.
func (e *Engine) makeStatus(ctx context.Context, js jetstream.JetStream) error {
	lost, err := e.checkRetention(ctx, js)
	if err != nil {
		return fmt.Errorf("the stream %s: %w", StreamStatus, err)
	}
	if err := e.makeStream(ctx, js, AccountStatus, statusStream(e.opts.Retention, e.opts.Replicas)); err != nil {
		return err
	}
	if err := e.logDropped(ctx, js, lost); err != nil {
		return fmt.Errorf("the stream %s: %w", StreamStatus, err)
	}
	return nil
}

// makeState makes what is in account STATE.
func (e *Engine) makeState(ctx context.Context, js jetstream.JetStream) error {
	for _, s := range []jetstream.StreamConfig{
		auditStream(e.opts.Replicas), auditAdminStream(e.opts.Replicas), marksStream(e.opts.Replicas),
	} {
		if err := e.makeStream(ctx, js, AccountState, s); err != nil {
			return err
		}
	}
	for _, bucket := range []jetstream.KeyValueConfig{directoryBucket(e.opts.Replicas), keysBucket(e.opts.Replicas)} {
		if err := e.makeBucket(ctx, js, AccountState, bucket); err != nil {
			return err
		}
	}
	return nil
}

// makeStream makes one stream, or brings its settings up to date. It is inspected
// from now on.
func (e *Engine) makeStream(ctx context.Context, js jetstream.JetStream, account string, config jetstream.StreamConfig) error {
	var made jetstream.Stream
	err := retry(ctx, func(ctx context.Context) (err error) { made, err = js.CreateOrUpdateStream(ctx, config); return err })
	if err != nil {
		return fmt.Errorf("cannot make the stream %s: %w", config.Name, err)
	}
	e.note(stream{account, config.Name, made.CachedInfo().Created})
	return nil
}

// BucketStream is the name of the stream that a key-value bucket is.
func BucketStream(bucket string) string { return "KV_" + bucket }

// makeBucket is makeStream for a key-value bucket.
func (e *Engine) makeBucket(ctx context.Context, js jetstream.JetStream, account string, config jetstream.KeyValueConfig) error {
	err := retry(ctx, func(ctx context.Context) error { _, err := js.CreateOrUpdateKeyValue(ctx, config); return err })
	if err != nil {
		return fmt.Errorf("cannot make the bucket %s: %w", config.Bucket, err)
	}
	var made jetstream.Stream
	name := BucketStream(config.Bucket)
	err = retry(ctx, func(ctx context.Context) (err error) {
		if made, err = js.Stream(ctx, name); errors.Is(err, jetstream.ErrStreamNotFound) {
			err = errors.Join(errNotHereYet, err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot look at the bucket %s: %w", config.Bucket, err)
	}
	e.note(stream{account, name, made.CachedInfo().Created})
	return nil
}

// retry calls do until it succeeds, fails for good, or the context ends.
func retry(ctx context.Context, do func(context.Context) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, streamTryTimeout)
		err := do(try)
		cancel()
		if err == nil || !passing(err) {
			return err
		}
		if !pause.For(ctx.Done(), streamRetryWait) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// errNotHereYet is a stream that was made, and of which the server that was asked
// has not heard yet: in a cluster another one may have made it.
var errNotHereYet = errors.New("it is not known here yet")

// passing reports whether the error is of a cluster that has not found itself yet.
func passing(err error) bool {
	if errors.Is(err, errNotHereYet) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode {
	case errNoSuitablePeers, jetstream.JSErrCodeStreamNameInUse:
		return true
	case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return false
	}
	return api.Code >= 500
}
