package access

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// screen refuses a login that can only be refused, before anything is spent on it:
// no credential, no verdict. The callout looks at all of it again; what it
// signs is the one authority.
//
// An address that has handed in too many bad tokens has to wait with further bad
// ones; whoever else is behind it, with a good token, passes. A *session.Denial is
// the login's, a *LimitedError says to wait. The proof is nil when nobody screens.
func (a *Access) screen(ctx context.Context, tries Tries, token string, join status.ConversationID) (session.Proof, error) {
	denial := misshapen(token, a.opts.MaxTokenBytes)
	var proof session.Proof
	switch look := a.deps.Screen; {
	case denial != nil:
	case look == nil:
		return nil, mayFail(tries)
	default:
		proof, denial = look.Screen(ctx, token)
	}
	switch {
	case denial == nil:
		return proof, a.screenJoin(ctx, proof.User(), join)
	case denial.BadToken:
		if err := mayFail(tries); err != nil {
			return nil, err
		}
	}
	return nil, denial
}

// screenJoin refuses a login that names a conversation which is not its user's.
func (a *Access) screenJoin(ctx context.Context, user status.UserID, join status.ConversationID) error {
	if join == "" {
		return nil
	}
	if r := a.admits(ctx, join, user, nil); r.Is() {
		return &session.Denial{Reason: r.Reason, Final: r.Why == metrics.RefusalConversation, User: user}
	}
	return nil
}

func mayFail(tries Tries) error {
	if v := tries.MayFail(); v.Refused() {
		return &LimitedError{v}
	}
	return nil
}

// misshapen refuses a token that cannot go to the server, by whichever way it has
// come: in CONNECT, in a cookie, in the header of a request, in a request to
// gateway.token.
func misshapen(token string, most int) *session.Denial {
	switch {
	case len(token) > most:
		return &session.Denial{Reason: refusal.ReasonTokenTooLong(most), Final: true, BadToken: true}
	case !utf8.ValidString(token) || strings.ContainsFunc(token, unicode.IsControl):
		// JSON would make other bytes of it.
		return &session.Denial{Reason: refusal.ReasonTokenBytes, Final: true, BadToken: true}
	}
	return nil
}
