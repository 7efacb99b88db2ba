package identity

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/statuswire/statuswire/status"
)

// Bounds, in bytes.
const (
	// MinSecretBytes is the length of SHA-256's output: RFC 7518 section 3.2
	// forbids a shorter key.
	MinSecretBytes = 32
	// MaxTokenBytes keeps what an unknown sender can make us look at small; the
	// gateway's own bound may be lower.
	MaxTokenBytes = 64 << 10
)

// MaxLeeway bounds HS256Options.Leeway: a clock that is further off is to be mended.
const MaxLeeway = 5 * time.Minute

// Identity is who a token speaks for.
type Identity struct {
	User status.UserID
	// Expires is when the token stops to be accepted: its exp and the leeway.
	Expires time.Time
}

// HS256Options are the settings of HS256.
type HS256Options struct {
	// Secret is shared with the application that issues the tokens: at least
	// MinSecretBytes, best drawn at random. Required.
	Secret []byte
	// Issuer is what the claim iss must be. Default "": not checked.
	Issuer string
	// Audience must be among the claim aud. Default "": not checked.
	Audience string
	// Leeway is by how much the issuer's clock may differ from ours, in both
	// directions; at most MaxLeeway. Default 0.
	Leeway time.Duration
}

// Validate says what is wrong with the options; it never quotes the secret.
func (o HS256Options) Validate() error {
	if err := checkSecret(o.Secret); err != nil {
		return err
	}
	if o.Leeway < 0 || o.Leeway > MaxLeeway {
		return fmt.Errorf("leeway %v is out of range: use 0s to %v", o.Leeway, MaxLeeway)
	}
	return nil
}

// HS256 verifies JSON Web Tokens (RFC 7519) that are signed with HMAC-SHA-256
// and a shared secret. Safe for concurrent use.
type HS256 struct {
	opts  HS256Options
	rules claimRules
}

// NewHS256 returns a verifier. The secret is copied.
func NewHS256(opts HS256Options) (*HS256, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.Secret = bytes.Clone(opts.Secret)
	return &HS256{
		opts:  opts,
		rules: claimRules{issuer: opts.Issuer, audience: opts.Audience, leeway: opts.Leeway},
	}, nil
}

// Verify returns whom the token speaks for. Every error is a *TokenError. The
// signature comes first: of what nobody signed only the header is read.
func (v *HS256) Verify(_ context.Context, token string) (Identity, error) {
	who, err := v.verify(token)
	if err != nil {
		return Identity{}, err
	}
	return who, nil
}

func (v *HS256) verify(token string) (Identity, *TokenError) {
	switch {
	case token == "":
		return Identity{}, ErrEmpty
	case len(token) > MaxTokenBytes:
		return Identity{}, ErrTooLong
	}
	t, wrong := parseJWS(token)
	switch {
	case wrong != nil:
		return Identity{}, wrong
	case t.algorithm != jwt.SigningMethodHS256.Alg():
		return Identity{}, ErrWrongAlgorithm
	case jwt.SigningMethodHS256.Verify(t.signed, t.signature, v.opts.Secret) != nil:
		return Identity{}, ErrWrongSignature
	}
	if wrong := t.checkType(); wrong != nil {
		return Identity{}, wrong
	}
	payload, err := decodeSegment(t.payload)
	if err != nil {
		return Identity{}, ErrBadClaims
	}
	return v.rules.identify(payload, time.Now())
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("token secret has %d bytes: use at least %d, drawn at random", len(secret), MinSecretBytes)
	}
	return nil
}
