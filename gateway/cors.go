package gateway

import "net/http"

// allow says in an answer that the page may read it (W3C CORS).
func (p page) allow(h http.Header) {
	h.Add("Vary", "Origin")
	if p.origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", p.origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if p.cookies {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

const allowedMethods = "GET, OPTIONS"

// preflight answers a browser that asks before it sends a page's request.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Allow", allowedMethods)
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "Authorization, Cache-Control, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600") // seconds
	w.WriteHeader(http.StatusNoContent)
}
