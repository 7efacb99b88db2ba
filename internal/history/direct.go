package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

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
	Seq       uint64   `json:"seq,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpToSeq   uint64   `json:"up_to_seq,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
}

// page is what one request brought.
type page struct {
	messages []Message
	pending  uint64 // how many more match behind this page
	upTo     uint64 // multi_last only, 0 if nothing matched: the sequence the answer is true for
}

// get asks once and reads until the server says that it is done.
func (r *Reader) get(ctx context.Context, req request) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	req.MaxBytes = maxBatchBytes
	body, err := json.Marshal(req)
	if err != nil {
		return page{}, fmt.Errorf("read history: %w", err)
	}
	// A channel of our own: SubscribeSync makes one of half a megabyte.
	room := req.Batch
	if len(req.MultiLast) > 0 {
		room = maxSubjects
	}
	answers := make(chan *nats.Msg, room+1)
	inbox := r.nc.NewInbox()
	sub, err := r.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return page{}, fmt.Errorf("read history: %w", err)
	}
	defer sub.Unsubscribe()
	if err := r.nc.PublishRequest(directGet, inbox, body); err != nil {
		return page{}, fmt.Errorf("read history: %w", err)
	}
	p, err := collect(ctx, answers, len(req.MultiLast) > 0)
	if err != nil {
		return page{}, fmt.Errorf("read history: %w", err)
	}
	return p, nil
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
		if code := m.Header.Get(headerStatus); code != "" && len(m.Data) == 0 && last(m.Header, headerSequence) == "" {
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
