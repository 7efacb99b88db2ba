// Package identity answers "who is this?": it verifies the token that a browser
// hands in with CONNECT and returns the user and the end of the token's life.
//
// It knows nothing of conversations: what the user may see is the directory's
// word. authcallout brings the two together. Of a token that is refused only a
// fixed text leaves this package, never the token or a part of it, so that the
// text can be logged, audited and sent to the browser as it stands.
package identity
