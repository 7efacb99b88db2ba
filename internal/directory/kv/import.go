package kv

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// Import creates the conversations that are not there and replaces owner,
// members and categories of those that are; Created of these stays, unless the
// import has one. The writes are pipelined. The outcome at i is that of list[i];
// the later of two with the same id wins. It returns when the view shows all.
func (d *Directory) Import(ctx context.Context, list []directory.Conversation) []directory.Outcome {
	outcomes := make([]directory.Outcome, len(list))
	if err := d.writable(); err != nil {
		for i := range outcomes {
			outcomes[i].Err = err
		}
		return outcomes
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.WriteTimeout*time.Duration(1+len(list)/1000))
	defer cancel()
	todo := make([]int, len(list))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		var wave []int
		wave, todo = firstOfEachID(list, todo)
		d.importWave(ctx, list, wave, outcomes)
	}
	return outcomes
}

// firstOfEachID takes the first of each id out of todo: what is decided on the
// view must not be overtaken by a write of the same wave.
func firstOfEachID(list []directory.Conversation, todo []int) (wave, rest []int) {
	there := make(map[status.ConversationID]bool, len(todo))
	for _, i := range todo {
		if there[list[i].ID] {
			rest = append(rest, i)
			continue
		}
		there[list[i].ID] = true
		wave = append(wave, i)
	}
	return wave, rest
}

// flight is a write of which the acknowledgement is still to come.
type flight struct {
	index  int
	result directory.Result
	ack    jetstream.PubAckFuture
}

func (d *Directory) importWave(ctx context.Context, list []directory.Conversation, wave []int, outcomes []directory.Outcome) {
	var flying []flight
	var again []int
	var revision uint64
	land := func(f flight) {
		sequence, err := landed(ctx, f.ack)
		switch {
		case err == nil:
			revision = max(revision, sequence)
			outcomes[f.index].Result = f.result
		case conflict(err) || passing(err) && ctx.Err() == nil:
			again = append(again, f.index)
		default:
			outcomes[f.index].Err = unavailable(err)
		}
	}
	for _, i := range wave {
		if len(flying) >= d.opts.ImportWindow {
			land(flying[0])
			flying = flying[1:]
		}
		e := d.view.get(list[i].ID)
		what, result, err := importDecision(list[i], e)
		if err != nil || !what.write {
			outcomes[i] = directory.Outcome{Result: result, Err: err}
			continue
		}
		ack, err := d.send(what, e.revision)
		if err != nil {
			outcomes[i].Err = unavailable(err)
			continue
		}
		flying = append(flying, flight{i, result, ack})
	}
	for _, f := range flying {
		land(f)
	}
	// The view may be behind what it was decided on, or the stream had no leader:
	// one by one, with retries.
	for _, i := range again {
		var result directory.Result
		_, err := d.edit(ctx, list[i].ID, func(e *entry) (what decision, err error) {
			what, result, err = importDecision(list[i], e)
			return what, err
		})
		outcomes[i] = directory.Outcome{Result: result, Err: err}
		if err != nil {
			outcomes[i].Result = directory.Failed
		}
	}
	if err := d.shown(ctx, revision); err != nil {
		for _, i := range wave {
			if outcomes[i].Result != directory.Failed {
				outcomes[i] = directory.Outcome{Err: err}
			}
		}
	}
}

// importDecision says what an import makes of what is there.
func importDecision(c directory.Conversation, e *entry) (decision, directory.Result, error) {
	if err := c.Validate(); err != nil {
		return decision{}, directory.Failed, err
	}
	if err := unbroken(c.ID, e); err != nil {
		return decision{}, directory.Failed, err
	}
	if e.state != live {
		return decision{write: true, next: stamped(c)}, directory.Created, nil
	}
	if c.Created.IsZero() {
		c.Created = e.conversation.Created
	}
	c = c.Normalized()
	if c.Equal(e.conversation) && c.Created.Equal(e.conversation.Created) {
		return decision{next: c}, directory.Unchanged, nil
	}
	return decision{write: true, next: c}, directory.Updated, nil
}

func (d *Directory) send(what decision, revision uint64) (jetstream.PubAckFuture, error) {
	msg, err := d.message(what.next.ID, what, revision)
	if err != nil {
		return nil, fmt.Errorf("encode %q: %w", what.next.ID, err)
	}
	return d.js.PublishMsgAsync(msg)
}

func landed(ctx context.Context, ack jetstream.PubAckFuture) (uint64, error) {
	select {
	case a := <-ack.Ok():
		return a.Sequence, nil
	case err := <-ack.Err():
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
