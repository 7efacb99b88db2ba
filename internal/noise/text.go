package noise

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nkeys"
)

// Text is s as a record may hold it: in one line, valid UTF-8, without a credential,
// and with at most maxBytes of s.
func Text(s string, maxBytes int) string {
	if len(s) <= maxBytes && isPlain(s) && !mayHoldCredential(s) {
		return s
	}
	return strings.Map(printable, short(s, maxBytes))
}

// isPlain is true for printable ASCII, which most texts are.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// printable replaces what moves a cursor, or hides or turns around other text.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return utf8.RuneError
}

// short is s with at most maxBytes of it and without a credential.
func short(s string, maxBytes int) string {
	// What is looked through for credentials is bounded as well. A credential that
	// is cut here is found by its beginning.
	tail := ""
	if most := 4 * maxBytes; len(s) > most {
		s, tail = s[:most], ellipsis
	}
	s = strings.ToValidUTF8(redact(s), string(utf8.RuneError))
	if len(s) <= maxBytes {
		return s + tail
	}
	cut := maxBytes
	for cut > maxBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}

const ellipsis = "…"

// credential finds JWTs, whole or cut, and nkey seeds, which begin in the second group:
// the first is what stands before and may belong to a public key.
var credential = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*|([A-Z2-7]*?)(S[ACNOUX][A-Z2-7]{40,})`)

const credentialMark = "[credential]"

// redact takes out what looks like a JWT or an nkey seed: a browser can name a
// subject, or its origin, so. A public key in which a seed seems to begin stays.
func redact(s string) string {
	if !mayHoldCredential(s) {
		return s
	}
	var out strings.Builder
	at := 0
	for _, m := range credential.FindAllStringSubmatchIndex(s, -1) {
		if nkeys.IsValidPublicKey(s[m[0]:m[1]]) {
			continue
		}
		from := m[0]
		if m[4] >= 0 {
			from = m[4]
		}
		out.WriteString(s[at:from])
		out.WriteString(credentialMark)
		at = m[1]
	}
	out.WriteString(s[at:])
	return out.String()
}

// mayHoldCredential looks for what each of them has, which is quicker.
func mayHoldCredential(s string) bool {
	return len(s) > 10 && strings.Contains(s, "eyJ") || len(s) > 40 && strings.ContainsRune(s, 'S')
}
