package status

// Why a request over HTTP was refused, or a stream of events ended. What is not
// here is ErrBadRequest, ErrNotTheirs or ErrUnavailable, as for other requests.
var (
	ErrUnauthorized      = &Error{401, 20201, "token is refused"}
	ErrExpired           = &Error{401, 20202, "grant has expired"}
	ErrOriginNotAllowed  = &Error{403, 20203, "origin is not allowed"}
	ErrNotGranted        = &Error{403, 20204, "grant does not cover it"}
	ErrTooManyCategories = &Error{400, 20205, "more categories than a connection may have"}
	ErrLimited           = &Error{429, 20206, "limit is reached"}
	ErrKicked            = &Error{503, 20207, "connection was ended by an operator"}
)
