package directory

import (
	"fmt"
	"slices"
	"time"

	"github.com/statuswire/statuswire/status"
)

// Bounds of a conversation.
const (
	MaxMembers       = 1000
	MaxOwnCategories = 32
)

// Conversation is who may see what. What a directory hands out is shared with
// everybody who asks: treat the slices as read-only.
type Conversation struct {
	ID    status.ConversationID `json:"id"`
	Owner status.UserID         `json:"owner"`
	// Members may see the conversation as the owner does. At most MaxMembers,
	// each once, in ascending order when they come from a directory.
	Members []status.UserID `json:"members,omitempty"`
	// Categories are the conversation's own, beside the default ones. At most
	// MaxOwnCategories, each once, in the order in which they were given.
	Categories []status.Category `json:"categories,omitempty"`
	// Created is in UTC and whole milliseconds. The directory sets it when it is zero.
	Created time.Time `json:"created"`
}

// Change tells that a conversation was created, changed or deleted. Ask the
// directory what holds now: it shows the change, or a later one, already.
type Change struct {
	ID status.ConversationID
}

// Admits tells whether u is the owner or a member.
func (c Conversation) Admits(u status.UserID) bool {
	return u != "" && (u == c.Owner || slices.Contains(c.Members, u))
}

// AllCategories are the default categories and then the conversation's own.
func (c Conversation) AllCategories() []status.Category {
	return append(status.DefaultCategories(), c.Categories...)
}

// Equal compares everything but Created.
func (c Conversation) Equal(d Conversation) bool {
	return c.ID == d.ID && c.Owner == d.Owner && slices.Equal(c.Members, d.Members) && slices.Equal(c.Categories, d.Categories)
}

// Normalized returns a copy in the form in which directories keep it: members
// in ascending order, Created in UTC and whole milliseconds.
func (c Conversation) Normalized() Conversation {
	c.Members = slices.Clip(slices.Clone(c.Members)) // clipped: an append must not reach what is shared
	slices.Sort(c.Members)
	c.Categories = slices.Clip(slices.Clone(c.Categories))
	c.Created = c.Created.UTC().Truncate(time.Millisecond)
	return c
}

// WithMember returns a copy that admits u. It is c itself when u is admitted already.
func (c Conversation) WithMember(u status.UserID) Conversation {
	if c.Admits(u) {
		return c
	}
	i, _ := slices.BinarySearch(c.Members, u)
	c.Members = slices.Clip(slices.Insert(slices.Clone(c.Members), i, u))
	return c
}

// WithoutMember returns a copy in which u is no member. The owner stays the owner.
func (c Conversation) WithoutMember(u status.UserID) Conversation {
	c.Members = slices.DeleteFunc(slices.Clone(c.Members), func(m status.UserID) bool { return m == u })
	return c
}

// WithCategory returns a copy that has the category as its own. It is c itself
// when c has the category already.
func (c Conversation) WithCategory(name status.Category) Conversation {
	if slices.Contains(c.AllCategories(), name) {
		return c
	}
	c.Categories = append(slices.Clone(c.Categories), name)
	return c
}

// WithoutCategory returns a copy that does not have the category as its own.
func (c Conversation) WithoutCategory(name status.Category) Conversation {
	c.Categories = slices.DeleteFunc(slices.Clone(c.Categories), func(own status.Category) bool { return own == name })
	return c
}

// Validate says which rule the conversation breaks. The error wraps ErrInvalid
// and, where an identifier is at fault, the error of package status.
func (c Conversation) Validate() error {
	if _, err := status.ParseConversationID(string(c.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.Owner == "" {
		return fmt.Errorf("%w: %q has no owner", ErrInvalid, c.ID)
	}
	if _, err := status.ParseUserID(string(c.Owner)); err != nil {
		return fmt.Errorf("%w: owner of %q: %w", ErrInvalid, c.ID, err)
	}
	if year := c.Created.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("%w: %q was created in the year %d, which RFC 3339 cannot write", ErrInvalid, c.ID, year)
	}
	if err := c.validateMembers(); err != nil {
		return fmt.Errorf("%w: members of %q: %w", ErrInvalid, c.ID, err)
	}
	if err := c.validateCategories(); err != nil {
		return fmt.Errorf("%w: categories of %q: %w", ErrInvalid, c.ID, err)
	}
	return nil
}

func (c Conversation) validateMembers() error {
	if len(c.Members) > MaxMembers {
		return fmt.Errorf("there are %d, at most %d are allowed", len(c.Members), MaxMembers)
	}
	seen := make(map[status.UserID]bool, len(c.Members))
	for _, m := range c.Members {
		if _, err := status.ParseUserID(string(m)); err != nil {
			return err
		}
		if seen[m] {
			return fmt.Errorf("%q is there twice", m)
		}
		seen[m] = true
	}
	return nil
}

func (c Conversation) validateCategories() error {
	if len(c.Categories) > MaxOwnCategories {
		return fmt.Errorf("there are %d, at most %d are allowed beside the default ones", len(c.Categories), MaxOwnCategories)
	}
	defaults := status.DefaultCategories()
	for i, category := range c.Categories {
		if _, err := status.ParseCategory(string(category)); err != nil {
			return err
		}
		if slices.Contains(defaults, category) {
			return fmt.Errorf("%q is a default category that every conversation has: leave it out", category)
		}
		if slices.Contains(c.Categories[:i], category) {
			return fmt.Errorf("%q is there twice", category)
		}
	}
	return nil
}
