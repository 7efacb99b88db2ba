package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"

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
		return &session.Denial{Reason: reasonTokenTooLong(most), Final: true, BadToken: true}
	case !utf8.ValidString(token) || strings.ContainsFunc(token, unicode.IsControl):
		// JSON would make other bytes of it.
		return &session.Denial{Reason: reasonTokenBytes, Final: true, BadToken: true}
	}
	return nil
}

// maxShownBytes bounds what the server is told of a browser for its reports alone.
const maxShownBytes = 256

// LinkLineBytes is the longest CONNECT that a gateway sends to the server by a link:
// its token as JSON has twice the bytes at most, since misshapen lets no control
// characters pass; the rest is what the server's reports show. The server must take
// such a line.
func LinkLineBytes(maxControlLineBytes int) int {
	const escaped = 6 // bytes of one in JSON, at worst
	const rest = 3*escaped*maxShownBytes + 1024
	if maxControlLineBytes == 0 {
		maxControlLineBytes = DefaultOptions().MaxControlLineBytes
	}
	return 2*maxControlLineBytes + rest
}

// shown cuts what is only shown.
func shown(s string) string {
	if len(s) <= maxShownBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxShownBytes], "")
}
