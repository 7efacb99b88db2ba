package identity

// TokenError says why a token was refused. Each of this package's is one of the
// variables below: compare with errors.Is, or show Reason, which is a fixed text
// and holds nothing of the token.
type TokenError struct {
	// Reason is what was wrong and what to do, in lower case.
	Reason string
	// Signed is true when the signature was good and what it signs was not: the
	// token is the application's, so nobody has guessed it.
	Signed bool
}

// Error implements error.
func (e *TokenError) Error() string { return e.Reason }

// Why a token is refused before its signature is known to be good.
var (
	ErrEmpty          = &TokenError{Reason: "no token given: connect with the application's token as auth_token or pass"}
	ErrTooLong        = &TokenError{Reason: "token too long: at most 65536 bytes are allowed"}
	ErrMalformed      = &TokenError{Reason: "token malformed: it is not a signed JWT"}
	ErrBadHeader      = &TokenError{Reason: "token malformed: its header must be one JSON object in UTF-8, of at most 8192 bytes, with each name once"}
	ErrCritical       = &TokenError{Reason: "token malformed: the crit of its header demands an extension, and none is known here"}
	ErrWrongAlgorithm = &TokenError{Reason: "token has the wrong signature algorithm: sign it with HS256"}
	ErrWrongSignature = &TokenError{Reason: "token has a wrong signature: it was not signed with this server's secret"}
)

// Why a token is refused although its signature is good.
var (
	ErrBadClaims     = &TokenError{Signed: true, Reason: "token malformed: its claims must be one JSON object in UTF-8"}
	ErrTwice         = &TokenError{Signed: true, Reason: "token has a bad claim: one stands there twice; names are told apart by case, and each may stand once"}
	ErrBadExpiry     = &TokenError{Signed: true, Reason: "token has a bad claim: exp must be a number, seconds since 1970 up to 253402300799; milliseconds are too many"}
	ErrBadNotBefore  = &TokenError{Signed: true, Reason: "token has a bad claim: nbf must be a number, seconds since 1970 up to 253402300799; milliseconds are too many"}
	ErrBadIssuedAt   = &TokenError{Signed: true, Reason: "token has a bad claim: iat must be a number, seconds since 1970 up to 253402300799; milliseconds are too many"}
	ErrBadIssuer     = &TokenError{Signed: true, Reason: "token has a bad claim: iss must be a string"}
	ErrBadAudience   = &TokenError{Signed: true, Reason: "token has a bad claim: aud must be a string or a list of strings"}
	ErrBadID         = &TokenError{Signed: true, Reason: "token has a bad claim: jti must be a string"}
	ErrWrongType     = &TokenError{Signed: true, Reason: "token has the wrong type: the typ of its header must be JWT or at+jwt, or be left out"}
	ErrExpired       = &TokenError{Signed: true, Reason: "token expired: get a fresh one"}
	ErrNotYetValid   = &TokenError{Signed: true, Reason: "token not yet valid: check the clocks of the issuer and of this server"}
	ErrMissingExpiry = &TokenError{Signed: true, Reason: "token has no expiry: set the claim exp"}
	ErrMissingUser   = &TokenError{Signed: true, Reason: "token names no user: set the claim sub to the user id"}
	ErrUserNoString  = &TokenError{Signed: true, Reason: `token names an unusable user: sub must be a string; write the number 42 as "42"`}
	ErrBadUser       = &TokenError{Signed: true, Reason: "token names an unusable user: sub must be 1 to 256 bytes of UTF-8 without control characters"}
	ErrWrongIssuer   = &TokenError{Signed: true, Reason: "token has the wrong issuer: check the claim iss and the server's configuration"}
	ErrWrongAudience = &TokenError{Signed: true, Reason: "token has the wrong audience: check the claim aud and the server's configuration"}
)
