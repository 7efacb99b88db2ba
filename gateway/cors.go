package gateway

import (
	"net/http"
	"slices"
)

// page is the web page that a request comes from, as far as the browser tells.
type page struct {
	origin  string // "" for the gateway's own, and for what is no browser
	cookies bool   // its requests may use the user's cookie
}

// pageOf is false when the page is none that may ask. The rules are those of the
// upgrade, and two more: a page that is allowed only because all are may not use
// the user's cookie, and neither may one elsewhere that has the browser fetch this
// as an image or a link, which the browser tells of in Sec-Fetch-Site alone (W3C
// Fetch Metadata).
func (g *Gateway) pageOf(r *http.Request) (page, bool) {
	if !originAllowed(r, g.origins) {
		return page{}, false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		site := r.Header.Get("Sec-Fetch-Site")
		return page{cookies: true}, site == "" || site == "same-origin" || site == "none"
	}
	named := slices.DeleteFunc(slices.Clone(g.origins), func(p originPattern) bool { return p.any })
	return page{origin: origin, cookies: originAllowed(r, named)}, true
}

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
