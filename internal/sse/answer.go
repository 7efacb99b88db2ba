package sse

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/statuswire/statuswire/status"
)

// Refuse answers with the error, and closes the connection: who is refused
// keeps nothing.
func Refuse(w http.ResponseWriter, code, retryAfter int, e *status.Error) {
	h := w.Header()
	setRefusal(h, retryAfter, e)
	h.Set("Connection", "close")
	w.WriteHeader(code)
	_, _ = w.Write(refusalBody(e))
}

// setRefusal sets the header of an answer that is the error.
func setRefusal(h http.Header, retryAfter int, e *status.Error) {
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if e.Code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="statuswire"`) // RFC 6750, section 3
	}
}

func refusalBody(e *status.Error) []byte { return append(e.Response(), '\n') }

// rawAnswer is the head of an HTTP/1.1 answer that ends with its connection, and
// its body or the beginning of it.
func rawAnswer(code int, h http.Header, body []byte) []byte {
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", code, http.StatusText(code))
	_ = h.Write(&b) // a buffer takes all
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
