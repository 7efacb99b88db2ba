package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// directGet is the subject on which the stream STATUS answers reads.
const directGet = "$JS.API.DIRECT.GET.STATUS"

// maxBatchBytes bounds what the server sends for one request. Its own bound is
// max_pending, at which it would take us for a slow consumer.
const maxBatchBytes = 1 << 20

// maxSubjects is how many messages multi_last brings at most (nats-server 2.15.2).
const maxSubjects = 1024

// request is a direct get as ADR-31 and nats-server 2.15.2 have it.
type request struct {
	Seq       uint64     `json:"seq,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	MultiLast []string   `json:"multi_last,omitempty"`
	UpToSeq   uint64     `json:"up_to_seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
}

// page is what one request brought.
type page struct {
	messages []Message
	pending  uint64        // how many more match behind this page
	upTo     uint64        // multi_last only, 0 if nothing matched: the sequence the answer is true for
	took     time.Duration // from the request to the last word
}

// get asks once and reads until the server says that it is done.
func (r *Reader) get(ctx context.Context, req request) (page, error) {
	if req.MaxBytes == 0 {
		req.MaxBytes = maxBatchBytes
	}
	from, room, multi := r.questions, req.Batch, len(req.MultiLast) > 0
	if multi {
		room = maxSubjects
	} else {
		from = r.batches
	}
	var p page
	err := r.ask(ctx, from, req, room+1, func(ctx context.Context, answers <-chan *nats.Msg) (err error) {
		begun := time.Now()
		p, err = collect(ctx, answers, multi)
		p.took = time.Since(begun)
		return err
	})
	return p, err
}

// one asks for a single message; false when there is none.
func (r *Reader) one(ctx context.Context, req request) (m Message, found bool, err error) {
	err = r.ask(ctx, r.questions, req, 1, func(ctx context.Context, answers <-chan *nats.Msg) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case answer := <-answers:
			if isLastWord(answer) {
				return new(page).finish(answer.Header, true)
			}
			var err error
			m, err = decode(answer)
			found = err == nil
			return err
		}
	})
	return m, found, err
}

// ask sends a request over one of the pool's connections and has read take the
// answers, at most room of them.
func (r *Reader) ask(ctx context.Context, from pool, req request, room int, read func(context.Context, <-chan *nats.Msg) error) error {
	body, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	nc, err := from.take(ctx)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer from.give(nc)
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	// A channel of our own: SubscribeSync makes one of half a megabyte.
	answers := make(chan *nats.Msg, room)
	inbox := nc.NewInbox()
	sub, err := nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer sub.Unsubscribe()
	if err := nc.PublishRequest(directGet, inbox, body); err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	if err := read(ctx, answers); err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	return nil
}

// collect reads messages up to the server's last word. For multi_last "404
// Message Not Found" is a failure, for a batch it is the empty answer.
func collect(ctx context.Context, answers <-chan *nats.Msg, multi bool) (page, error) {
	var p page
	for {
		var m *nats.Msg
		select {
		case <-ctx.Done():
			return page{}, ctx.Err()
		case m = <-answers:
		}
		if isLastWord(m) {
			empty := len(p.messages) == 0 && (!multi || m.Header.Get(headerDescription) == "No Results")
			return p, p.finish(m.Header, empty)
		}
		msg, err := decode(m)
		if err != nil {
			return page{}, err
		}
		p.messages = append(p.messages, msg)
	}
}

// isLastWord is true for what is no message of the stream.
func isLastWord(m *nats.Msg) bool {
	return m.Header.Get(headerStatus) != "" && len(m.Data) == 0 && last(m.Header, headerSequence) == ""
}

// finish reads the server's last word: 204 when all is sent, 404 when nothing
// matched, else a refusal.
func (p *page) finish(h nats.Header, empty bool) error {
	code, _ := strconv.Atoi(h.Get(headerStatus))
	switch {
	case code == 204:
		p.pending, _ = strconv.ParseUint(h.Get(headerPending), 10, 64)
		p.upTo, _ = strconv.ParseUint(h.Get(headerUpTo), 10, 64)
		return nil
	case code == 404 && empty:
		return nil
	case code == 404:
		return ErrNotRead
	case code == 503:
		return ErrUnavailable
	case code == 413:
		return ErrTooManySubjects
	}
	return &RefusedError{Code: code, Description: h.Get(headerDescription)}
}
