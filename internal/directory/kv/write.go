package kv

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/statuswire/statuswire/internal/bucket"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// decision is what a write makes of what it found.
type decision = bucket.Decision[directory.Conversation]

// Create adds a conversation. Created is set when it is zero. Errors:
// directory.ErrInvalid, ErrExists, ErrBroken, ErrConflict, ErrUnavailable.
func (d *Directory) Create(ctx context.Context, c directory.Conversation) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c = stamped(c)
	_, err := d.edit(ctx, c.ID, func(e *entry) (decision, error) {
		if e.State == bucket.Live {
			return decision{}, fmt.Errorf("%w: %q", directory.ErrExists, c.ID)
		}
		return decision{Write: true, Next: c}, unbroken(c.ID, e)
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
		if e.State == bucket.Absent {
			return decision{}, notFound(id)
		}
		return decision{Write: true, Delete: true}, nil
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
		if e.State != bucket.Live {
			return decision{}, notFound(id)
		}
		next, err := change(e.Value)
		if err != nil || next.Equal(e.Value) {
			return decision{Next: next}, err
		}
		return decision{Write: true, Next: next}, next.Validate()
	})
}

// edit writes what decide makes of what is there, and returns when the view shows it.
func (d *Directory) edit(ctx context.Context, id status.ConversationID, decide func(*entry) (decision, error)) (directory.Conversation, error) {
	c, err := d.bucket.Edit(ctx, string(id), decide)
	return c, translated(id, err)
}

func stamped(c directory.Conversation) directory.Conversation {
	if c.Created.IsZero() {
		c.Created = time.Now()
	}
	return c.Normalized()
}

func unbroken(id status.ConversationID, e *entry) error {
	if e.State == bucket.Broken {
		return fmt.Errorf("%w: %q", directory.ErrBroken, id)
	}
	return nil
}
