package status

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the identifiers, in bytes.
const (
	MaxConversationIDBytes = 128
	MaxCategoryBytes       = 32
	MaxUserIDBytes         = 256
)

// ConversationID names a conversation: 1 to 128 of A-Z a-z 0-9 _ -. It is one
// NATS subject token as it stands.
type ConversationID string

// Category names a kind of status within a conversation: a lower-case letter,
// then up to 31 of a-z 0-9 _. It is one NATS subject token as it stands.
type Category string

// UserID is the application's own name for a user: 1 to 256 bytes of UTF-8
// without control characters. It is not safe in a subject; UserID.Token is.
type UserID string

// DefaultCategories are the categories that every conversation has.
func DefaultCategories() []Category {
	return []Category{"engine", "tool", "workflow", "progress", "error", "info"}
}

// ParseConversationID checks s. The error says what is wrong with it.
func ParseConversationID(s string) (ConversationID, error) {
	if s == "" {
		return "", fmt.Errorf("%w: it is empty", ErrBadConversationID)
	}
	if len(s) > MaxConversationIDBytes {
		return "", fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrBadConversationID, len(s), MaxConversationIDBytes)
	}
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return "", fmt.Errorf("%w %q: only A-Z a-z 0-9 _ and - are allowed", ErrBadConversationID, s)
		}
	}
	return ConversationID(s), nil
}

// ParseCategory checks s. The error says what is wrong with it.
func ParseCategory(s string) (Category, error) {
	if s == "" {
		return "", fmt.Errorf("%w: it is empty", ErrBadCategory)
	}
	if len(s) > MaxCategoryBytes {
		return "", fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrBadCategory, len(s), MaxCategoryBytes)
	}
	for i := range len(s) {
		c := s[i]
		lower := c >= 'a' && c <= 'z'
		if !lower && (i == 0 || (c != '_' && (c < '0' || c > '9'))) {
			return "", fmt.Errorf("%w %q: it starts with a-z and goes on with a-z 0-9 _", ErrBadCategory, s)
		}
	}
	return Category(s), nil
}

// ParseUserID checks s. The error says what is wrong with it.
func ParseUserID(s string) (UserID, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it is empty", ErrBadUserID)
	case len(s) > MaxUserIDBytes:
		return "", fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrBadUserID, len(s), MaxUserIDBytes)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%w: it is not valid UTF-8", ErrBadUserID)
	case strings.ContainsRune(s, utf8.RuneError):
		// What decoders put for bytes that they cannot read: two users would be one.
		return "", fmt.Errorf("%w %q: U+FFFD stands for what could not be read: write the id as UTF-8", ErrBadUserID, s)
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		return "", fmt.Errorf("%w %q: control characters are not allowed", ErrBadUserID, s)
	}
	return UserID(s), nil
}

const upperHex = "0123456789ABCDEF"

// Token encodes the user id as one NATS subject token, as SafeToken does.
// UserIDFromToken reverses it.
func (u UserID) Token() string { return SafeToken(string(u)) }

// SafeToken encodes any text as one NATS subject token: A-Z a-z 0-9 _ - stand for
// themselves, every other byte becomes = and two upper-case hexadecimal digits.
func SafeToken(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for i := range len(text) {
		c := text[i]
		if isTokenByte(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('=')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String()
}

// UserIDFromToken decodes what UserID.Token made. Any other spelling is an
// error, so that each user has exactly one token.
func UserIDFromToken(token string) (UserID, error) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", fmt.Errorf("%w token %q: it ends inside an escape", ErrBadUserID, token)
		}
		hi, lo := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("%w token %q: = wants two upper-case hexadecimal digits", ErrBadUserID, token)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	u, err := ParseUserID(b.String())
	if err != nil {
		return "", err
	}
	if u.Token() != token {
		return "", fmt.Errorf("%w token %q: it is not in its one canonical spelling", ErrBadUserID, token)
	}
	return u, nil
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
