package status

import "errors"

// What makes an identifier unusable. The errors of the Parse functions wrap these.
var (
	ErrBadConversationID = errors.New("bad conversation id")
	ErrBadCategory       = errors.New("bad category")
	ErrBadUserID         = errors.New("bad user id")
)
