package identity

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/statuswire/statuswire/status"
)

// Issue signs a token for user that lives from now on for ttl, which is cut to
// whole seconds. It is the issuer of development and of tests; in production
// the application issues its own. It sets no issuer and no audience: for a
// verifier that checks them use HS256.Issue.
func Issue(secret []byte, user status.UserID, ttl time.Duration, now time.Time) (string, error) {
	return issue(secret, jwt.RegisteredClaims{}, user, ttl, now)
}

// Issue is the function Issue with the secret, the issuer and the audience of
// the verifier: what it returns, Verify accepts.
func (v *HS256) Issue(user status.UserID, ttl time.Duration, now time.Time) (string, error) {
	claims := jwt.RegisteredClaims{Issuer: v.opts.Issuer}
	if v.opts.Audience != "" {
		claims.Audience = jwt.ClaimStrings{v.opts.Audience}
	}
	return issue(v.opts.Secret, claims, user, ttl, now)
}

func issue(secret []byte, claims jwt.RegisteredClaims, user status.UserID, ttl time.Duration, now time.Time) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", err
	}
	if _, err := status.ParseUserID(string(user)); err != nil {
		return "", err
	}
	if ttl < time.Second {
		return "", fmt.Errorf("time to live %v is too short: use at least 1s", ttl)
	}
	claims.Subject = string(user)
	claims.IssuedAt = jwt.NewNumericDate(now)
	claims.ExpiresAt = jwt.NewNumericDate(now.Truncate(time.Second).Add(ttl))
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", ErrTooLong
	}
	return token, nil
}
