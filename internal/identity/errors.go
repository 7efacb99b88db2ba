package identity

// TokenError says why a token was refused. Each of this package's is one of the
// variables below: compare with errors.Is, or show Reason, which is a fixed text
// and holds nothing of the token.
type TokenError struct {
	// Reason is what was wrong and what to do, in lower case.
	Reason string
}

// Error implements error.
func (e *TokenError) Error() string { return e.Reason }

// Why a token is refused.
var (
	ErrEmpty          = &TokenError{"no token given: connect with the application's token as auth_token or pass"}
	ErrTooLong        = &TokenError{"token too long: at most 4096 bytes are allowed"}
	ErrMalformed      = &TokenError{"token malformed: it is not a signed JWT"}
	ErrWrongAlgorithm = &TokenError{"token has the wrong signature algorithm: sign it with HS256"}
	ErrWrongSignature = &TokenError{"token has a wrong signature: it was not signed with this server's secret"}
	ErrExpired        = &TokenError{"token expired: get a fresh one"}
	ErrNotYetValid    = &TokenError{"token not yet valid: check the clocks of the issuer and of this server"}
	ErrMissingExpiry  = &TokenError{"token has no expiry: set the claim exp"}
	ErrMissingUser    = &TokenError{"token names no user: set the claim sub to the user id"}
	ErrBadUser        = &TokenError{"token names an unusable user: sub must be 1 to 256 bytes of UTF-8 without control characters"}
	ErrWrongIssuer    = &TokenError{"token has the wrong issuer: check the claim iss and the server's configuration"}
	ErrWrongAudience  = &TokenError{"token has the wrong audience: check the claim aud and the server's configuration"}
)
