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

// subjectPrefix is followed by the kind.
const subjectPrefix = "audit."

func streamWriter(js jetstream.JetStream) writer {
	return func(ctx context.Context, subject, id string, data []byte) error {
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data},
			jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
		return err
	}
}

// writeOne sends the record until it is acknowledged. It fails only when Stop
// gives up. An acknowledgement may get lost: the id keeps the record from being
// stored twice, for the two minutes that the stream remembers ids.
func (r *Recorder) writeOne(record Record) error {
	data, err := record.encode()
	if err != nil {
		return err
	}
	subject, id := subjectPrefix+string(record.Kind), nuid.Next()
	delay := r.opts.RetryWait
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.WriteTimeout)
		err := r.write(ctx, subject, id, data)
		cancel()
		if err == nil {
			return nil
		}
		if r.ctx.Err() != nil {
			return err
		}
		if attempt == 1 {
			r.opts.Logger.Warn("the stream AUDIT does not acknowledge: trying again", "error", err)
		}
		r.mu.Lock()
		r.stats.Retries++
		r.mu.Unlock()
		if !pause.For(r.ctx.Done(), delay) {
			return err
		}
		delay = min(2*delay, 16*r.opts.RetryWait)
	}
}
