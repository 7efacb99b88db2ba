package history

import (
	"errors"
	"fmt"
)

var (
	// ErrUnavailable: nobody answers for the stream, it has no leader or does
	// not exist yet. Trying again later can help.
	ErrUnavailable = errors.New("the stream of statuses does not answer: try again")
	// ErrTooManySubjects: more than 1024 subjects match. Ask for one
	// conversation at a time.
	ErrTooManySubjects = errors.New("more than 1024 subjects match: ask for fewer")
	// ErrNotRead: the server found a message and could not load it, for
	// instance because retention dropped it at that moment. Try again.
	ErrNotRead = errors.New("a stored status could not be read: try again")
	// ErrAheadOfStream: the place is above the stream's last sequence, or, then it
	// is ErrOtherEpoch too, of another epoch. The stream was made anew, or the place
	// never was true: begin from nothing.
	ErrAheadOfStream = errors.New("the position is above the stream's last sequence: begin from nothing")
	// ErrOtherEpoch is an ErrAheadOfStream: the stream was made anew, whatever the
	// sequences say.
	ErrOtherEpoch error = otherEpoch{}
	// ErrBadAnswer: the answer is not what ADR-31 describes.
	ErrBadAnswer = errors.New("the stream's answer makes no sense")
)

// otherEpoch is ErrOtherEpoch.
type otherEpoch struct{}

func (otherEpoch) Error() string {
	return "the position is of another epoch of the stream: begin from nothing"
}

func (otherEpoch) Is(target error) bool { return target == ErrAheadOfStream }

// RefusedError is the server's own refusal of a direct get, for example 408 Bad
// Request.
type RefusedError struct {
	Code        int
	Description string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the stream refused the request: %d %s", e.Code, e.Description)
}
