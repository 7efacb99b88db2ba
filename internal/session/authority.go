package session

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
)

// Authority says whose user JWTs are grants here. What nats-server checks before it
// lets a connection in by a JWT of its callout (2.15.2, auth_callout.go) is checked
// again, or in its place: who signed it, for which account, until when, and for which
// kind of connection.
type Authority struct {
	// Issuer is the public account key that signs: auth_callout's issuer.
	Issuer string
	// Account is where browsers belong: the JWT's audience.
	Account string
}

// Grant reads a user JWT that is to hold from now on.
func (a Authority) Grant(userJWT string, now time.Time) (*Grant, error) {
	claims, err := jwt.DecodeUserClaims(userJWT) // verifies against the issuer it names
	if err != nil {
		return nil, fmt.Errorf("user JWT: %w", err)
	}
	types := claims.AllowedConnectionTypes
	switch {
	case claims.Issuer != a.Issuer || claims.IssuerAccount != "":
		return nil, fmt.Errorf("user JWT: %s has signed it: it must be the callout's issuer", claims.Issuer)
	case claims.Audience != a.Account:
		return nil, fmt.Errorf("user JWT: it is for the account %q: browsers are in %s", claims.Audience, a.Account)
	case claims.Expires != 0 && claims.Expires <= now.Unix():
		return nil, fmt.Errorf("user JWT: it has ended at %v", time.Unix(claims.Expires, 0).UTC())
	case claims.NotBefore > now.Unix():
		return nil, fmt.Errorf("user JWT: it begins at %v", time.Unix(claims.NotBefore, 0).UTC())
	case len(types) != 1 || types[0] != jwt.ConnectionTypeInProcess:
		// Any other would let the token in on the NATS port, where no gateway is.
		return nil, fmt.Errorf("user JWT: it is for connections of the types %q: it must be for %s alone", []string(types), jwt.ConnectionTypeInProcess)
	}
	return GrantOf(claims)
}
