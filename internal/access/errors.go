package access

import (
	"errors"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
)

// ErrGrantFull says that what is needed and in use is more than a grant may cover.
var ErrGrantFull = errors.New("what is needed and in use is more than a grant may cover")

// LimitedError is a limit that does not let a login, a join or a fresh token pass now:
// limit.FailedLogins, which is noted already, or limit.GrantChanges.
type LimitedError struct{ limit.Verdict }

func (l *LimitedError) Error() string {
	if text := refusal.LoginLimited(l.Verdict); text != "" {
		return text
	}
	return refusal.By(l.Verdict).Reason
}

// Refusal is the refusal that an error of this package is; none for a denial, and for
// what is passing.
func Refusal(err error) refusal.Refusal {
	var limited *LimitedError
	switch {
	case errors.As(err, &limited):
		r := refusal.By(limited.Verdict)
		r.Reason = limited.Error()
		return r
	case errors.Is(err, ErrGrantFull):
		return refusal.GrantFull(session.MaxConversations)
	}
	return refusal.Refusal{}
}
