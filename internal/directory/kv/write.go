package kv

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

const (
	maxInt = math.MaxInt
	// catchUp is how long after a conflict the view may take to show what was
	// in the way; then the write is tried again all the same.
	catchUp = 200 * time.Millisecond
	// ackTimeout is how long one attempt waits for the bucket's acknowledgement.
	ackTimeout = 2 * time.Second
	// duplicateInFlight is what a clustered stream answers while the first
	// message of an id is not yet stored (JSStreamDuplicateMessageConflict).
	duplicateInFlight = 10158
	// seen is how long the view may take to show our own write before the watch
	// counts as broken.
	seen = 2 * time.Second
)

// decision is what a write makes of what it found.
type decision struct {
	write  bool // false: nothing is to be done
	delete bool
	next   directory.Conversation
}

// Create adds a conversation. Created is set when it is zero. Errors:
// directory.ErrInvalid, ErrExists, ErrBroken, ErrConflict, ErrUnavailable.
func (d *Directory) Create(ctx context.Context, c directory.Conversation) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c = stamped(c)
	_, err := d.edit(ctx, c.ID, func(e *entry) (decision, error) {
		if e.state == live {
			return decision{}, fmt.Errorf("%w: %q", directory.ErrExists, c.ID)
		}
		return decision{write: true, next: c}, unbroken(c.ID, e)
	})
	return err
}

// AddMember lets user see the conversation. Adding who is the owner or a member
// already changes nothing. Errors: directory.ErrNotFound, ErrInvalid,
// ErrBroken, ErrConflict, ErrUnavailable.
func (d *Directory) AddMember(ctx context.Context, id status.ConversationID, user status.UserID) (directory.Conversation, error) {
	if _, err := status.ParseUserID(string(user)); err != nil {
		return directory.Conversation{}, fmt.Errorf("%w: %w", directory.ErrInvalid, err)
	}
	return d.amend(ctx, id, func(c directory.Conversation) (directory.Conversation, error) {
		return c.WithMember(user), nil
	})
}

// RemoveMember ends that user sees the conversation. Removing who is no member
// changes nothing; the owner cannot be removed (directory.ErrOwner). Errors
// otherwise as AddMember.
func (d *Directory) RemoveMember(ctx context.Context, id status.ConversationID, user status.UserID) (directory.Conversation, error) {
	if _, err := status.ParseUserID(string(user)); err != nil {
		return directory.Conversation{}, fmt.Errorf("%w: %w", directory.ErrInvalid, err)
	}
	return d.amend(ctx, id, func(c directory.Conversation) (directory.Conversation, error) {
		if user == c.Owner {
			return c, fmt.Errorf("%w: %q owns %q", directory.ErrOwner, user, id)
		}
		return c.WithoutMember(user), nil
	})
}

// AddCategory gives the conversation a category of its own. One that it has
// already, a default one too, changes nothing. Errors as AddMember.
func (d *Directory) AddCategory(ctx context.Context, id status.ConversationID, name status.Category) (directory.Conversation, error) {
	if _, err := status.ParseCategory(string(name)); err != nil {
		return directory.Conversation{}, fmt.Errorf("%w: %w", directory.ErrInvalid, err)
	}
	return d.amend(ctx, id, func(c directory.Conversation) (directory.Conversation, error) {
		return c.WithCategory(name), nil
	})
}

// RetireCategory takes a category of its own from the conversation: nothing more
// can be published to it. One that it does not have changes nothing; a default
// one stays (directory.ErrInvalid). Errors otherwise as AddMember.
func (d *Directory) RetireCategory(ctx context.Context, id status.ConversationID, name status.Category) (directory.Conversation, error) {
	if _, err := status.ParseCategory(string(name)); err != nil {
		return directory.Conversation{}, fmt.Errorf("%w: %w", directory.ErrInvalid, err)
	}
	if slices.Contains(status.DefaultCategories(), name) {
		return directory.Conversation{}, fmt.Errorf("%w: %q is a default category that every conversation has: it cannot be retired", directory.ErrInvalid, name)
	}
	return d.amend(ctx, id, func(c directory.Conversation) (directory.Conversation, error) {
		return c.WithoutCategory(name), nil
	})
}

// Delete removes the conversation, one that cannot be read too. Errors:
// directory.ErrNotFound, ErrConflict, ErrUnavailable.
func (d *Directory) Delete(ctx context.Context, id status.ConversationID) error {
	if _, err := status.ParseConversationID(string(id)); err != nil {
		return fmt.Errorf("%w: %w", directory.ErrInvalid, err)
	}
	_, err := d.edit(ctx, id, func(e *entry) (decision, error) {
		if e.state == absent {
			return decision{}, notFound(id)
		}
		return decision{write: true, delete: true}, nil
	})
	return err
}

// amend changes a conversation that is there.
func (d *Directory) amend(ctx context.Context, id status.ConversationID, change func(directory.Conversation) (directory.Conversation, error)) (directory.Conversation, error) {
	if _, err := status.ParseConversationID(string(id)); err != nil {
		return directory.Conversation{}, fmt.Errorf("%w: %w", directory.ErrInvalid, err)
	}
	return d.edit(ctx, id, func(e *entry) (decision, error) {
		if err := unbroken(id, e); err != nil {
			return decision{}, err
		}
		if e.state != live {
			return decision{}, notFound(id)
		}
		next, err := change(e.conversation)
		if err != nil || next.Equal(e.conversation) {
			return decision{next: next}, err
		}
		return decision{write: true, next: next}, next.Validate()
	})
}

// edit decides on what the view shows, writes if nobody else was quicker, and
// returns when the view shows the result.
func (d *Directory) edit(ctx context.Context, id status.ConversationID, decide func(*entry) (decision, error)) (directory.Conversation, error) {
	if err := d.writable(); err != nil {
		return directory.Conversation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.WriteTimeout)
	defer cancel()
	unlock, err := d.locks.lock(ctx, id)
	if err != nil {
		return directory.Conversation{}, unavailable(err)
	}
	defer unlock()
	for attempt := range d.opts.MaxAttempts {
		e := d.view.get(id)
		what, err := decide(e)
		if err != nil {
			return directory.Conversation{}, err
		}
		if !what.write {
			return what.next, nil
		}
		msg, err := d.message(id, what, expected(e, attempt))
		if err != nil {
			return directory.Conversation{}, err
		}
		revision, err := d.store(ctx, msg)
		switch {
		case err == nil:
			return what.next, d.shown(ctx, revision)
		case conflict(err):
			d.catchUp(ctx, id, e)
		default:
			return directory.Conversation{}, unavailable(err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return directory.Conversation{}, fmt.Errorf("%w: %q", directory.ErrConflict, id)
}

// store publishes until the bucket acknowledges or refuses, or ctx ends. Sending
// again is safe: the stream remembers message ids for two minutes, before it
// looks at the expected revision, and answers a second one with the sequence of
// the first.
func (d *Directory) store(ctx context.Context, msg *nats.Msg) (revision uint64, err error) {
	msg.Header.Set(jetstream.MsgIDHeader, nuid.Next())
	for {
		attempt, cancel := context.WithTimeout(ctx, ackTimeout)
		ack, err := d.js.PublishMsg(attempt, msg)
		cancel()
		if err == nil {
			return ack.Sequence, nil
		}
		if ctx.Err() != nil || !passing(err) {
			return 0, err
		}
		select {
		case <-time.After(firstRetry):
		case <-ctx.Done():
			return 0, err
		}
	}
}

// passing tells whether a write may work in a moment: the stream has no leader,
// the leader has just gone, or the first attempt is still on its way.
func passing(err error) bool {
	for _, e := range []error{context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrAsyncPublishTimeout} {
		if errors.Is(err, e) {
			return true
		}
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.Code == 503 || api.ErrorCode == duplicateInFlight)
}

// expected is the revision that a write is decided on. The marker of a deletion
// may have been cleared away, which no watch shows: every second attempt then
// takes the key as never written.
func expected(e *entry, attempt int) uint64 {
	if e.state == absent && attempt%2 == 1 {
		return 0
	}
	return e.revision
}

func (d *Directory) message(id status.ConversationID, what decision, revision uint64) (*nats.Msg, error) {
	msg := &nats.Msg{Subject: d.prefix + string(id), Header: nats.Header{}}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	if what.delete {
		msg.Header.Set(operationHeader, deleteOperation)
		return msg, nil
	}
	var err error
	msg.Data, err = encode(what.next)
	return msg, err
}

// catchUp waits for the view to show another revision than e's, for a moment.
func (d *Directory) catchUp(ctx context.Context, id status.ConversationID, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for d.view.get(id).revision == e.revision {
		if d.view.await(ctx, d.view.revision()+1) != nil {
			return
		}
	}
	// Those who were refused together must not come back together.
	select {
	case <-time.After(rand.N(5 * time.Millisecond)):
	case <-ctx.Done():
	}
}

// shown waits until the view shows a write that is stored. When that takes too
// long the watch must be broken in a way that it did not notice.
func (d *Directory) shown(ctx context.Context, revision uint64) error {
	soon, cancel := context.WithTimeout(ctx, seen)
	defer cancel()
	if d.view.await(soon, revision) == nil {
		return nil
	}
	if ctx.Err() == nil {
		d.breakWatch(errBehind)
	}
	if err := d.view.await(ctx, revision); err != nil {
		return fmt.Errorf("%w: the write is stored but not visible here yet: %w", directory.ErrUnavailable, err)
	}
	return nil
}

func (d *Directory) writable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop == nil || errors.Is(d.broken, errStopped) {
		return fmt.Errorf("%w: it is not running", directory.ErrUnavailable)
	}
	return nil
}

func stamped(c directory.Conversation) directory.Conversation {
	if c.Created.IsZero() {
		c.Created = time.Now()
	}
	return c.Normalized()
}

func unbroken(id status.ConversationID, e *entry) error {
	if e.state == broken {
		return fmt.Errorf("%w: %q", directory.ErrBroken, id)
	}
	return nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
}

// conflict: a clustered stream answers with a code of its own.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
