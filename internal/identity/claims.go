package identity

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/statuswire/statuswire/status"
)

// claims are the registered claims of a token (RFC 7519 section 4.1). A time that
// is not there is zero.
type claims struct {
	user                       status.UserID
	issuer                     string
	audience                   []string
	expires, notBefore, issued time.Time
}

// claimRules are what a token must say, whoever signed it and however.
type claimRules struct {
	issuer, audience string // "" is not checked
	leeway           time.Duration
}

// identify reads the claims of a token whose signature is good and says for whom
// it speaks now. The claims exp and sub are required; the other registered ones
// are honoured where they are, and what they are must fit in any case. All others
// are the application's own.
func (r claimRules) identify(payload []byte, now time.Time) (Identity, *TokenError) {
	c, err := readClaims(payload)
	if err != nil {
		return Identity{}, err
	}
	switch {
	case c.expires.IsZero():
		return Identity{}, ErrMissingExpiry
	case !now.Before(c.expires.Add(r.leeway)):
		return Identity{}, ErrExpired
	case now.Before(c.notBefore.Add(-r.leeway)), now.Before(c.issued.Add(-r.leeway)):
		return Identity{}, ErrNotYetValid
	case r.issuer != "" && c.issuer != r.issuer:
		return Identity{}, ErrWrongIssuer
	case r.audience != "" && !slices.Contains(c.audience, r.audience):
		return Identity{}, ErrWrongAudience
	case c.user == "":
		return Identity{}, ErrMissingUser
	}
	return Identity{User: c.user, Expires: c.expires.Add(r.leeway)}, nil
}

// readClaims reads what is registered.
func readClaims(payload []byte) (c claims, wrong *TokenError) {
	fields, err := object(payload)
	switch {
	case errors.Is(err, errTwice):
		return c, ErrTwice
	case err != nil:
		return c, ErrBadClaims
	}
	for _, read := range []func(*claims, map[string]json.RawMessage) *TokenError{
		(*claims).readUser, (*claims).readTimes, (*claims).readIssuer, (*claims).readAudience, (*claims).readID,
	} {
		if wrong := read(&c, fields); wrong != nil {
			return c, wrong
		}
	}
	return c, nil
}

func (c *claims) readUser(fields map[string]json.RawMessage) *TokenError {
	raw, there := fields["sub"]
	if !there {
		return nil
	}
	sub, ok := text(raw)
	switch {
	case !ok:
		return ErrUserNoString
	case sub == "":
		return nil
	case strings.ContainsRune(sub, utf8.RuneError):
		// Half of a surrogate pair is read as U+FFFD: two users would be one.
		return ErrBadUser
	}
	user, err := status.ParseUserID(sub)
	if err != nil {
		return ErrBadUser // err quotes the claim
	}
	c.user = user
	return nil
}

func (c *claims) readTimes(fields map[string]json.RawMessage) *TokenError {
	for _, claim := range []struct {
		name string
		to   *time.Time
		bad  *TokenError
	}{
		{"exp", &c.expires, ErrBadExpiry},
		{"nbf", &c.notBefore, ErrBadNotBefore},
		{"iat", &c.issued, ErrBadIssuedAt},
	} {
		raw, there := fields[claim.name]
		if !there {
			continue
		}
		var ok bool
		if *claim.to, ok = numericDate(raw); !ok {
			return claim.bad
		}
	}
	return nil
}

func (c *claims) readIssuer(fields map[string]json.RawMessage) *TokenError {
	raw, there := fields["iss"]
	if !there {
		return nil
	}
	var ok bool
	if c.issuer, ok = text(raw); !ok {
		return ErrBadIssuer
	}
	return nil
}

func (c *claims) readAudience(fields map[string]json.RawMessage) *TokenError {
	raw, there := fields["aud"]
	if !there {
		return nil
	}
	if one, ok := text(raw); ok {
		c.audience = []string{one}
		return nil
	}
	var ok bool
	if c.audience, ok = texts(raw); !ok {
		return ErrBadAudience
	}
	return nil
}

func (*claims) readID(fields map[string]json.RawMessage) *TokenError {
	raw, there := fields["jti"]
	if _, ok := text(raw); there && !ok {
		return ErrBadID
	}
	return nil
}

// lastSecond is the end of the year 9999, the last that RFC 3339 can write.
const lastSecond = 253402300799

// numericDate reads a NumericDate (RFC 7519 section 2): seconds since 1970, with
// a fraction if one likes. What is no number, or of no year from 1970 to 9999, is
// none: a clock in milliseconds, say.
func numericDate(raw json.RawMessage) (time.Time, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < 0 || f > lastSecond {
		return time.Time{}, false
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*float64(time.Second))), true
}
