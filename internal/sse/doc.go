// Package sse answers those who speak HTTP alone, as curl and EventSource do: with the
// statuses of a conversation as server-sent events (WHATWG HTML, section 9.2), and with
// its history as JSON lines. It is a dialect of package browser: a Stream is a connection
// that answers one GET request, and ends with that.
//
//	Events, History      what is asked for (query.go)
//	Run ── log in ── open ── serve ── Last
//	          events.go: one subscription upstream, filtered here
//	          history.go: one request to the edge, each part a line
//
// A refusal before the answer has begun is an HTTP status with the error as JSON, a later
// one is the last that is sent.
package sse
