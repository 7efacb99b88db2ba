package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// originPattern is one entry of Options.AllowedOrigins.
type originPattern struct {
	any    bool   // "*": every web page; no page that is none
	null   bool   // "null": sandboxed pages and local files, which anybody can make
	scheme string // "https"
	host   string // "app.example.com:8443", or ".example.com" when below is true
	below  bool   // every host below, not the host itself
}

// parseOriginPattern reads "https://app.example.com", "https://*.example.com", "*" or
// "null".
func parseOriginPattern(s string) (originPattern, error) {
	switch s {
	case "*":
		return originPattern{any: true}, nil
	case "null":
		return originPattern{null: true}, nil
	}
	bad := func(why string) (originPattern, error) {
		return originPattern{}, fmt.Errorf("allowed origin %q: %s; write it like \"https://app.example.com\" or \"https://*.example.com\"", s, why)
	}
	scheme, host, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok || (scheme != "http" && scheme != "https") {
		return bad("it does not start with http:// or https://")
	}
	rest, below := strings.CutPrefix(host, "*.")
	if u, err := url.Parse(scheme + "://" + rest); err != nil || u.Host != rest || rest == "" || strings.ContainsAny(rest, "*@") {
		return bad("after the scheme only a host and a port may follow")
	}
	if below {
		if !strings.Contains(rest, ".") {
			return bad("a wildcard over a whole top-level domain is not allowed")
		}
		return originPattern{scheme: scheme, host: "." + rest, below: true}, nil
	}
	return originPattern{scheme: scheme, host: stripDefaultPort(scheme, rest)}, nil
}

// anybodys is true for a pattern that lets in pages which anybody can make.
func (p originPattern) anybodys() bool { return p.any || p.null }

func (p originPattern) matches(scheme, host string) bool {
	switch {
	case p.anybodys():
		return p.any
	case p.scheme != scheme:
		return false
	case p.below:
		return strings.HasSuffix(host, p.host) && len(host) > len(p.host)
	}
	return p.host == host
}

func stripDefaultPort(scheme, host string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// checkOrigins says what is wrong with AllowedOrigins and TokenCookie together: a page
// that anybody can make must not come with a visitor's cookie.
func checkOrigins(origins []string, cookie string) error {
	for _, o := range origins {
		p, err := parseOriginPattern(o)
		if err != nil {
			return err
		}
		if p.anybodys() && cookie != "" {
			return fmt.Errorf("allowed origin %q together with the cookie %q has every page on the web log in with a visitor's cookie: name the origins, or read no cookie", o, cookie)
		}
	}
	return nil
}

// page is the web page that a request comes from, as far as the browser tells.
type page struct {
	origin  string // "" for what is no browser, or a request of the gateway's own page
	cookies bool   // its requests may use the user's cookie
}

// pageOf is false when the page is none that may ask: for an upgrade (RFC 6455,
// section 10.2) as for a request. A request without Origin is no browser's, or one
// of a page of the gateway's own: when a browser fetches this for a page elsewhere,
// as an image or a link, it tells so in Sec-Fetch-Site alone (W3C Fetch Metadata).
func (g *Gateway) pageOf(r *http.Request) (page, bool) {
	origins := r.Header["Origin"]
	switch {
	case len(origins) == 0:
		site := r.Header.Get("Sec-Fetch-Site")
		return page{cookies: true}, site == "" || site == "same-origin" || site == "none"
	case len(origins) > 1:
		return page{}, false
	}
	p := page{origin: origins[0]}
	if p.origin == "null" {
		return p, slices.ContainsFunc(g.origins, func(o originPattern) bool { return o.null })
	}
	scheme, host, ok := strings.Cut(strings.ToLower(p.origin), "://")
	if !ok {
		return p, false
	}
	host = stripDefaultPort(scheme, host)
	if scheme == g.scheme(r) && host == ownHost(scheme, r) {
		p.cookies = true
		return p, true
	}
	allowed := false
	for _, o := range g.origins {
		if o.matches(scheme, host) {
			allowed = true
			p.cookies = p.cookies || !o.anybodys()
		}
	}
	return p, allowed
}

// scheme is how the browser asks: "http" or "https". Only a trusted proxy is
// believed about it, and only one word of it.
func (g *Gateway) scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	told := r.Header["X-Forwarded-Proto"]
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || len(told) != 1 || !g.trusts(peer.Addr()) {
		return "http"
	}
	if strings.EqualFold(told[0], "https") {
		return "https"
	}
	return "http"
}

func ownHost(scheme string, r *http.Request) string {
	return stripDefaultPort(scheme, strings.ToLower(r.Host))
}

// originHint is what to do about a page of the gateway's own host that is refused
// only because the request seems to come by another scheme; "" for any other.
func (g *Gateway) originHint(r *http.Request) string {
	scheme, host, _ := strings.Cut(strings.ToLower(r.Header.Get("Origin")), "://")
	if stripDefaultPort(scheme, host) != ownHost(scheme, r) || scheme == g.scheme(r) {
		return ""
	}
	return "the page is this server's own by " + scheme + ", the request came by " + g.scheme(r) +
		" as far as a trusted proxy tells: have it send X-Forwarded-Proto, and name it in trusted_proxies"
}
