package keyring

import "errors"

// What callers test for.
var (
	// ErrNotFound: there is no key of that name.
	ErrNotFound = errors.New("there is no key of that name")
	// ErrExists: the name, or the public key, is taken.
	ErrExists = errors.New("the key exists already")
	// ErrInvalid: the key breaks a rule of Validate.
	ErrInvalid = errors.New("key is invalid")
	// ErrTooMany: there are MaxKeys.
	ErrTooMany = errors.New("there are too many keys: end some")
	// ErrUnavailable: the bucket does not work at the moment. For a write it is
	// open whether it took place.
	ErrUnavailable = errors.New("the keys are not available: try again")
)
