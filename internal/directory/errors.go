package directory

import "errors"

// What callers test for. Errors of the adapters wrap these and quote the id.
var (
	// ErrNotFound: there is no such conversation, or its entry cannot be read.
	ErrNotFound = errors.New("conversation not found")
	// ErrExists: the id is taken.
	ErrExists = errors.New("conversation exists already")
	// ErrInvalid: the conversation breaks a rule of Validate, or would.
	ErrInvalid = errors.New("conversation is invalid")
	// ErrOwner: the owner cannot be taken out of the own conversation.
	ErrOwner = errors.New("the owner cannot be removed from the conversation")
	// ErrBroken: the entry is there but cannot be read. Look-ups say
	// ErrNotFound; only writes say this. Deleting the conversation mends it.
	ErrBroken = errors.New("the entry of the conversation cannot be read: delete the conversation and create it again")
	// ErrConflict: others kept changing the conversation; nothing was written.
	ErrConflict = errors.New("the conversation is being changed by others: try again")
	// ErrUnavailable: the directory does not work at the moment. For a write it
	// is open whether it took place.
	ErrUnavailable = errors.New("the directory is not available: try again")
)
