package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// originPattern is one entry of Options.AllowedOrigins.
type originPattern struct {
	any    bool   // "*"
	scheme string // "https"
	host   string // "app.example.com:8443", or ".example.com" when below is true
	below  bool   // every host below, not the host itself
}

// parseOriginPattern reads "https://app.example.com", "https://*.example.com" or "*".
func parseOriginPattern(s string) (originPattern, error) {
	if s == "*" {
		return originPattern{any: true}, nil
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

func (p originPattern) matches(scheme, host string) bool {
	switch {
	case p.any:
		return true
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

// originAllowed decides whether a page of the request's Origin may open a
// socket (RFC 6455 section 10.2). A request without Origin comes from no
// browser and is let through: it can carry no cookie that it does not own.
func originAllowed(r *http.Request, patterns []originPattern) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	scheme, host, ok := strings.Cut(strings.ToLower(origins[0]), "://")
	if !ok {
		return anyOrigin(patterns) // "null": a sandboxed page or a local file
	}
	host = stripDefaultPort(scheme, host)
	if host == stripDefaultPort(scheme, strings.ToLower(r.Host)) {
		return true
	}
	for _, p := range patterns {
		if p.matches(scheme, host) {
			return true
		}
	}
	return false
}

func anyOrigin(patterns []originPattern) bool {
	for _, p := range patterns {
		if p.any {
			return true
		}
	}
	return false
}
