package admin

import (
	"errors"
	"strings"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/status"
)

// What the admin service answers when it refuses. errors.Is compares the code,
// so that what Client returns is its sentinel.
var (
	ErrBadRequest  = status.ErrBadRequest
	ErrInvalid     = status.ErrConversationInvalid
	ErrNotFound    = status.ErrConversationNotFound
	ErrExists      = status.ErrConversationExists
	ErrOwner       = status.ErrConversationOwner
	ErrBroken      = status.ErrConversationBroken
	ErrConflict    = status.ErrConversationChanging
	ErrUnavailable = status.ErrUnavailable
	ErrNotPurged   = status.ErrNotPurged
	ErrInternal    = status.ErrInternal
	ErrKeyNotFound = status.ErrKeyNotFound
	ErrKeyExists   = status.ErrKeyExists
	ErrKeyInvalid  = status.ErrKeyInvalid
	ErrKeyBuiltIn  = status.ErrKeyBuiltIn
	ErrTooManyKeys = status.ErrTooManyKeys
)

// ErrNoService is what Client returns when nobody answers.
var ErrNoService = errors.New("the admin service does not answer: is the server running, and is this its operator's key?")

// told says what of an error crosses the wire. What the caller can mend is told
// as it is; for the rest the text is fixed and hidden is true: the cause belongs
// into the log.
func told(err error) (answer *status.Error, hidden bool) {
	var ours *status.Error
	if errors.As(err, &ours) {
		return ours.Withf("%s", clip(ours.Description)), ours.Code >= 500
	}
	for _, row := range []struct {
		of error
		to *status.Error
	}{
		{directory.ErrInvalid, ErrInvalid},
		{directory.ErrNotFound, ErrNotFound},
		{directory.ErrExists, ErrExists},
		{directory.ErrOwner, ErrOwner},
		{directory.ErrBroken, ErrBroken},
		{directory.ErrConflict, ErrConflict},
		{keyring.ErrNotFound, ErrKeyNotFound},
		{keyring.ErrExists, ErrKeyExists},
		{keyring.ErrInvalid, ErrKeyInvalid},
		{keyring.ErrTooMany, ErrTooManyKeys},
	} {
		if errors.Is(err, row.of) {
			return row.to.Withf("%s", clip(err.Error())), false
		}
	}
	if errors.Is(err, directory.ErrUnavailable) || errors.Is(err, keyring.ErrUnavailable) {
		return ErrUnavailable, true
	}
	return ErrInternal, true
}

// maxDescriptionBytes keeps answers small that quote what the caller sent.
const maxDescriptionBytes = 1000

func clip(s string) string {
	if len(s) <= maxDescriptionBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxDescriptionBytes], "") + "…"
}
