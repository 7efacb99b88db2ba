package broadcaster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/status"
)

// PublisherOptions of a Publisher. Zero means the default everywhere.
type PublisherOptions struct {
	// Timeout bounds one call, all attempts included, besides the call's
	// context. Default 30 s; at most 90 s, because the stream knows an id for
	// two minutes only and a later attempt could store the status twice.
	Timeout time.Duration
	// AttemptTimeout is how long one attempt waits for its acknowledgement
	// before the next is made with the same id. Default 2 s.
	AttemptTimeout time.Duration
	// RetryWait is the pause before the second attempt; it doubles with each
	// one, up to 2 s. Default 100 ms.
	RetryWait time.Duration
	// MaxInFlight is how many statuses of a batch may wait for their
	// acknowledgements at a time. Default 256.
	MaxInFlight int
}

// maxPublishTimeout leaves the last attempt half a minute to arrive before the
// stream forgets the id.
const maxPublishTimeout = 90 * time.Second

const maxRetryWait = 2 * time.Second

// DefaultPublisherOptions are the options with every default filled in.
func DefaultPublisherOptions() PublisherOptions {
	return PublisherOptions{
		Timeout:        30 * time.Second,
		AttemptTimeout: 2 * time.Second,
		RetryWait:      100 * time.Millisecond,
		MaxInFlight:    256,
	}
}

// Validate reports every value that cannot be used.
func (o PublisherOptions) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"timeout", o.Timeout}, {"attempt timeout", o.AttemptTimeout}, {"retry wait", o.RetryWait}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("publisher: %s is %v: it must not be negative", d.name, d.value))
		}
	}
	if o.Timeout > maxPublishTimeout {
		errs = append(errs, fmt.Errorf("publisher: timeout is %v: at most %v, or a status could be stored twice", o.Timeout, maxPublishTimeout))
	}
	if o.MaxInFlight < 0 {
		errs = append(errs, fmt.Errorf("publisher: max in flight is %d: at least 1, or 0 for the default", o.MaxInFlight))
	}
	return errors.Join(errs...)
}

func (o PublisherOptions) withDefaults() PublisherOptions {
	d := DefaultPublisherOptions()
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = d.AttemptTimeout
	}
	if o.RetryWait == 0 {
		o.RetryWait = d.RetryWait
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = d.MaxInFlight
	}
	return o
}

// Ack says that a status is stored.
type Ack struct {
	Stream   string
	Sequence uint64 // of the status in the stream; browsers see the same number
	// ID is what makes publishing the status again harmless: the message's own,
	// or the one made for it.
	ID string
	// Duplicate: a status with this ID was stored on this subject before, by an
	// earlier call or by an earlier attempt of this one. Sequence is its.
	Duplicate bool
}

// Publisher publishes statuses for a service written in Go. It holds nothing
// but the connection and needs no closing. Safe for concurrent use.
type Publisher struct {
	nc   *nats.Conn
	opts PublisherOptions
}

// NewPublisher makes a Publisher on a connection that may publish statuses. The
// connection stays the caller's.
func NewPublisher(nc *nats.Conn, opts PublisherOptions) (*Publisher, error) {
	if nc == nil {
		return nil, errors.New("publisher: the connection is nil")
	}
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	return &Publisher{nc: nc, opts: opts.withDefaults()}, nil
}

// Publish stores one status in the conversation and returns when it is stored.
// The message needs a Category and a Text.
//
// A refused status is a *status.Error; what can be seen to be wrong without
// asking is refused at once, with the same errors. An attempt that gets no answer,
// or status.ErrUnavailable, is repeated until ctx or Options.Timeout ends,
// always with the same id, so that the status is stored once. When they end, the
// error is context.DeadlineExceeded or context.Canceled and it is not known
// whether the status was stored: publish it again with the same ID.
func (p *Publisher) Publish(ctx context.Context, c status.ConversationID, m status.Message) (Ack, error) {
	out, err := prepare(c, m)
	if err != nil {
		return Ack{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	delay := p.opts.RetryWait
	for {
		ack, err := p.attempt(ctx, out)
		if err == nil || !retryable(err) {
			return ack, err
		}
		out.last = err
		if !pause.For(ctx.Done(), delay) {
			return Ack{}, out.gaveUp(ctx)
		}
		delay = min(2*delay, maxRetryWait)
	}
}

func (p *Publisher) attempt(ctx context.Context, out *outgoing) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.AttemptTimeout)
	defer cancel()
	answer, err := p.nc.RequestMsgWithContext(ctx, out.message(""))
	if err != nil {
		return Ack{}, fmt.Errorf("publish %s: %w", out.subject, err)
	}
	return out.ack(answer.Data)
}

// outgoing is a message that is ready to be sent, as often as need be.
type outgoing struct {
	subject string
	id      string
	header  nats.Header
	data    []byte
	last    error // of the last attempt
}

// prepare checks the message as the broadcaster will and gives it an id.
func prepare(c status.ConversationID, m status.Message) (*outgoing, error) {
	if _, err := status.ParseConversationID(string(c)); err != nil {
		return nil, status.ErrBadSubject.Withf("%v", err)
	}
	if _, err := status.ParseCategory(string(m.Category)); err != nil {
		return nil, status.ErrBadSubject.Withf("%v", err)
	}
	data, err := encode(m)
	if err != nil {
		return nil, err
	}
	if _, err := status.Normalize(data, m.Category, time.Time{}); err != nil {
		return nil, err
	}
	out := &outgoing{subject: status.Subject(c, m.Category), id: m.ID, data: data}
	if out.id == "" {
		out.id = nuid.Next()
		out.header = nats.Header{status.HeaderMsgID: {out.id}}
	}
	return out, nil
}

func encode(m status.Message) ([]byte, error) {
	// encoding/json would replace what is not UTF-8 and say nothing.
	if !utf8.ValidString(m.Text) {
		return nil, status.ErrNotUTF8.Withf("text %s is not valid UTF-8: encode it as UTF-8", status.Quote(m.Text))
	}
	if !utf8.Valid(m.Metadata) {
		return nil, status.ErrNotUTF8.Withf("metadata is not valid UTF-8: encode it as UTF-8")
	}
	if len(m.Metadata) > 0 && !json.Valid(m.Metadata) {
		return nil, status.ErrNotJSON.Withf("metadata is not valid JSON: %s", status.Quote(string(m.Metadata)))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // < stays one byte
	if err := e.Encode(m); err != nil {
		return nil, status.ErrBadTimestamp.Withf("the message cannot be written as JSON: %v", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (o *outgoing) message(reply string) *nats.Msg {
	return &nats.Msg{Subject: o.subject, Reply: reply, Header: o.header, Data: o.data}
}

// ack reads JetStream's answer, or the broadcaster's, which has the same shape.
func (o *outgoing) ack(answer []byte) (Ack, error) {
	var a struct {
		Error     *status.Error `json:"error"`
		Stream    string        `json:"stream"`
		Sequence  uint64        `json:"seq"`
		Duplicate bool          `json:"duplicate"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return Ack{}, fmt.Errorf("publish %s: the answer is no acknowledgement: %w", o.subject, err)
	}
	if a.Error != nil {
		return Ack{}, fmt.Errorf("publish %s: %w", o.subject, a.Error)
	}
	if a.Stream == "" {
		return Ack{}, fmt.Errorf("publish %s: the answer is no acknowledgement: it names no stream", o.subject)
	}
	return Ack{Stream: a.Stream, Sequence: a.Sequence, ID: o.id, Duplicate: a.Duplicate}, nil
}

// gaveUp is the error when the context ended before an attempt succeeded.
func (o *outgoing) gaveUp(ctx context.Context) error {
	if o.last == nil || errors.Is(o.last, ctx.Err()) {
		return fmt.Errorf("publish %s: no acknowledgement, id %q: %w", o.subject, o.id, ctx.Err())
	}
	return fmt.Errorf("publish %s: no acknowledgement, id %q: %w, after: %w", o.subject, o.id, ctx.Err(), o.last)
}

// retryable reports whether the next attempt may succeed where this one failed.
func retryable(err error) bool {
	var refused *status.Error
	if errors.As(err, &refused) {
		return refused.Retryable()
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded)
}
