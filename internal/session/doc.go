// Package session holds what the gateway and the callout both need to know of a
// browser's connection: the link that waits for a verdict, and the grant, the
// signed user JWT with its permissions compiled, that says what the session may
// do. It is between the two so that neither imports the other; so are the words
// (inspect.go) in which the gateway tells operators about its connections.
package session
