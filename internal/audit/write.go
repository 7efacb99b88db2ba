package audit

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/statuswire/statuswire/internal/pause"
)

// writer puts one record where it is kept. The same id twice is one record.
type writer func(ctx context.Context, subject, id string, data []byte) error

func streamWriter(js jetstream.JetStream) writer {
	return func(ctx context.Context, subject, id string, data []byte) error {
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data},
			jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
		return err
	}
}

// deliver sends the record until it is acknowledged. It fails only when ctx ends. An
// acknowledgement may get lost: the id keeps the record from being stored twice, for
// as long as the stream remembers ids. retry hears of each attempt that failed.
func deliver(ctx context.Context, write writer, o Options, subject string, data []byte, retry func(attempt int, err error)) error {
	id, delay := nuid.Next(), o.RetryWait
	for attempt := 1; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, o.WriteTimeout)
		err := write(try, subject, id, data)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		retry(attempt, err)
		if !pause.For(ctx.Done(), delay) {
			return err
		}
		delay = min(2*delay, 16*o.RetryWait)
	}
}

// writeOne sends a record of the table.
func (r *Recorder) writeOne(record Record) error {
	data, err := record.encode()
	if err != nil {
		return err
	}
	return deliver(r.ctx, r.write, r.opts, record.Kind.subject(), data, func(attempt int, err error) {
		if attempt == 1 {
			r.opts.Logger.Warn("the stream AUDIT does not acknowledge: trying again", "error", err)
		}
		r.mu.Lock()
		r.stats.Retries++
		r.mu.Unlock()
	})
}
