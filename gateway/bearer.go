package gateway

import (
	"errors"
	"net/http"
	"strings"
)

// requestToken is the token of a request over HTTP, "" for none: of the header
// Authorization (RFC 6750), else of the cookie that is configured, if the page may
// use it. A header of another scheme is somebody else's, a proxy's for instance.
// There is no way to have it in the URL, which is written to too many logs.
func (g *Gateway) requestToken(r *http.Request, p page) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", errors.New("the header Authorization is there twice")
	}
	if len(values) == 1 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token), nil
		}
	}
	if !p.cookies {
		return "", nil
	}
	return g.cookieToken(r), nil
}

// cookieToken reads the token from the cookie, if one is configured.
func (g *Gateway) cookieToken(r *http.Request) string {
	if g.opts.TokenCookie == "" {
		return ""
	}
	c, err := r.Cookie(g.opts.TokenCookie)
	if err != nil {
		return ""
	}
	return c.Value
}
