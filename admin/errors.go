package admin

import (
	"errors"
	"strings"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// What the admin service answers when it refuses. errors.Is compares the code,
// so that what Client returns is its sentinel.
var (
	ErrBadRequest  = &status.Error{Code: 400, ErrCode: 20101, Description: "request is not understood"}
	ErrInvalid     = &status.Error{Code: 400, ErrCode: 20102, Description: "conversation is invalid"}
	ErrNotFound    = &status.Error{Code: 404, ErrCode: 20103, Description: "conversation not found"}
	ErrExists      = &status.Error{Code: 409, ErrCode: 20104, Description: "conversation exists already"}
	ErrOwner       = &status.Error{Code: 409, ErrCode: 20105, Description: "the owner cannot be removed from the conversation"}
	ErrBroken      = &status.Error{Code: 409, ErrCode: 20106, Description: "the entry of the conversation cannot be read: delete it and create it again"}
	ErrConflict    = &status.Error{Code: 503, ErrCode: 20107, Description: "the conversation is being changed by others: try again"}
	ErrUnavailable = &status.Error{Code: 503, ErrCode: 20108, Description: "not available at the moment: try again"}
	ErrNotPurged   = &status.Error{Code: 503, ErrCode: 20109, Description: "the conversation is deleted, but its statuses are not purged yet: delete it again"}
	ErrInternal    = &status.Error{Code: 500, ErrCode: 20110, Description: "internal error: see the server's log"}
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
	} {
		if errors.Is(err, row.of) {
			return row.to.Withf("%s", clip(err.Error())), false
		}
	}
	if errors.Is(err, directory.ErrUnavailable) {
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
