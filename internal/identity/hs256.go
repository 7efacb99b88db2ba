package identity

import (
	"bytes"
	"context"
	"errors"
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
	// MaxTokenBytes keeps what an unknown sender can make us parse small.
	MaxTokenBytes = 4096
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
	opts   HS256Options
	parser *jwt.Parser
}

// NewHS256 returns a verifier. The secret is copied.
func NewHS256(opts HS256Options) (*HS256, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.Secret = bytes.Clone(opts.Secret)
	parserOptions := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithStrictDecoding(),
		jwt.WithLeeway(opts.Leeway),
	}
	if opts.Issuer != "" {
		parserOptions = append(parserOptions, jwt.WithIssuer(opts.Issuer))
	}
	if opts.Audience != "" {
		parserOptions = append(parserOptions, jwt.WithAudience(opts.Audience))
	}
	return &HS256{opts: opts, parser: jwt.NewParser(parserOptions...)}, nil
}

// Verify returns whom the token speaks for. Every error is a *TokenError. The
// claims exp and sub are required; nbf and iat are honoured when they are there.
func (v *HS256) Verify(_ context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, ErrEmpty
	}
	if len(token) > MaxTokenBytes {
		return Identity{}, ErrTooLong
	}
	var claims jwt.RegisteredClaims
	parsed, err := v.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		return v.opts.Secret, nil
	})
	if err != nil {
		return Identity{}, v.refusal(parsed, claims, err)
	}
	// RFC 7515 section 4.1.11: an extension that must be understood, and we
	// understand none.
	if _, critical := parsed.Header["crit"]; critical {
		return Identity{}, ErrMalformed
	}
	if claims.Subject == "" {
		return Identity{}, ErrMissingUser
	}
	user, err := status.ParseUserID(claims.Subject)
	if err != nil {
		return Identity{}, ErrBadUser // err quotes the claim
	}
	return Identity{User: user, Expires: claims.ExpiresAt.Add(v.opts.Leeway)}, nil
}

// refusal maps what the parser found to one of our texts. The parser may find
// several faults at once: the first in this order is told.
func (v *HS256) refusal(parsed *jwt.Token, claims jwt.RegisteredClaims, err error) *TokenError {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed) || parsed == nil:
		return ErrMalformed
	case parsed.Header["alg"] != jwt.SigningMethodHS256.Alg():
		return ErrWrongAlgorithm
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrWrongSignature
	case claims.ExpiresAt == nil:
		return ErrMissingExpiry
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ErrNotYetValid
	case v.opts.Issuer != "" && claims.Issuer != v.opts.Issuer:
		return ErrWrongIssuer
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return ErrWrongAudience
	default:
		return ErrMalformed
	}
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("token secret has %d bytes: use at least %d, drawn at random", len(secret), MinSecretBytes)
	}
	return nil
}
