package identity

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// maxHeaderBytes bounds a token's header, which is read before its signature is
// known to be good. The largest in use carry a chain of certificates.
const maxHeaderBytes = 8192

// jws is a token in the compact serialization of RFC 7515 section 7.1, taken
// apart and not yet believed: header.payload.signature, each in base64url.
type jws struct {
	algorithm string // alg, "" for none
	typ       json.RawMessage
	signed    string // what the signature is over: header.payload
	payload   string // in base64url
	signature []byte
}

// parseJWS takes a token apart.
func parseJWS(token string) (jws, *TokenError) {
	// A decoder of base64 leaves out line breaks, so that one token had many forms.
	if strings.IndexFunc(token, func(r rune) bool { return !isCompact(r) }) >= 0 || strings.Count(token, ".") != 2 {
		return jws{}, ErrMalformed
	}
	head, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	t := jws{signed: token[:len(head)+1+len(payload)], payload: payload}
	var err error
	if t.signature, err = decodeSegment(signature); err != nil {
		return jws{}, ErrMalformed
	}
	return t, t.readHeader(head)
}

func isCompact(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
}

func (t *jws) readHeader(segment string) *TokenError {
	if len(segment) > base64.RawURLEncoding.EncodedLen(maxHeaderBytes) {
		return ErrBadHeader
	}
	data, err := decodeSegment(segment)
	if err != nil {
		return ErrMalformed
	}
	fields, err := object(data)
	if err != nil {
		return ErrBadHeader
	}
	// RFC 7515 section 4.1.11: what must be understood, and we understand none.
	if _, critical := fields["crit"]; critical {
		return ErrCritical
	}
	t.algorithm, _ = text(fields["alg"])
	t.typ = fields["typ"]
	return nil
}

// checkType refuses a token that was made for something else (RFC 8725 section
// 3.11): one of a logout, say, is signed with the same key.
func (t *jws) checkType() *TokenError {
	if t.typ == nil {
		return nil
	}
	typ, _ := text(t.typ)
	// A media type, whose "application/" may be left out (RFC 7515 section 4.1.9).
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "jwt", "at+jwt":
		return nil
	}
	return ErrWrongType
}

// decodeSegment decodes what has the one form that it can have.
func decodeSegment(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }
