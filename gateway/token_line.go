package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
)

// MaxLineBytes is the most that Options.MaxControlLineBytes may be: before it has
// logged in, each socket may have the server hold so much.
const MaxLineBytes = 64 << 10

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
