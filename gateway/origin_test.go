package gateway_test

import (
	"strings"
	"testing"

	"github.com/statuswire/statuswire/gateway"
)

// knocks has a page ask for a socket and for a stream of events, and says whether
// each was refused for its origin; and whether the socket logs in with the cookie.
func (r *rig) knocks(lines ...string) (socket, stream, loggedIn bool) {
	r.t.Helper()
	resp, _, conn, in := r.shake(append([]string{"GET /ws HTTP/1.1", "Host: app.example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", exampleKey, "Cookie: app=alice"}, lines...)...)
	if socket = resp.StatusCode == 101; socket {
		b := &browser{t: r.t, conn: conn, in: in, pong: true}
		b.expect("INFO {")
		b.send("CONNECT {}", "PING")
		loggedIn = strings.HasPrefix(b.next(), "PONG")
	}
	_ = conn.Close()
	resp, _, _, _ = r.shake(append([]string{"GET /v1/conversations/c.1/events HTTP/1.1", "Host: app.example.com"}, lines...)...)
	return socket, resp.StatusCode != 403, loggedIn
}

func TestSocketsAndRequestsHaveOneRuleForOrigins(t *testing.T) {
	const own = "Origin: https://app.example.com"
	tls := "X-Forwarded-Proto: https"
	for _, tt := range []struct {
		name    string
		trusted bool
		origins []string
		cookie  string
		lines   []string
		let     bool
	}{
		{"the own page, behind a proxy with TLS", true, nil, "app", []string{own, tls}, true},
		{"the own page with its port", true, nil, "app", []string{"Origin: https://app.example.com:443", tls}, true},
		{"the own page by HTTP", false, nil, "app", []string{"Origin: http://app.example.com"}, true},
		{"the own host by http where we are https", true, nil, "app", []string{"Origin: http://app.example.com", tls}, false},
		{"the own host by https where we are http", false, nil, "app", []string{own}, false},
		{"who is no trusted proxy tells no scheme", false, nil, "app", []string{own, tls}, false},
		{"two words about the scheme are none", true, nil, "app", []string{own, tls, "X-Forwarded-Proto: http"}, false},
		{"a list of schemes is none", true, nil, "app", []string{own, "X-Forwarded-Proto: https, http"}, false},
		{"the own host on another port", true, nil, "app", []string{"Origin: https://app.example.com:8443", tls}, false},
		{"another scheme altogether", true, nil, "app", []string{"Origin: chrome-extension://app.example.com", tls}, false},
		{"a named origin", false, []string{"https://app.example.com"}, "app", []string{own}, true},
		{"null is no own page", true, nil, "app", []string{"Origin: null", tls}, false},
		{"null is not every page", false, []string{"*"}, "", []string{"Origin: null"}, false},
		{"null where it is named", false, []string{"null"}, "", []string{"Origin: null"}, true},
		{"every page", false, []string{"*"}, "", []string{"Origin: https://evil.example"}, true},
		{"null lets in nobody else", false, []string{"null"}, "", []string{"Origin: https://evil.example"}, false},
		{"two origins", false, []string{"*"}, "", []string{own, own}, false},
		{"an origin that is none", false, []string{"*"}, "", []string{"Origin: evil"}, false},
		{"no browser", false, nil, "app", nil, true},
		{"an image on a page elsewhere", false, nil, "app", []string{"Sec-Fetch-Site: cross-site"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := gateway.Options{AllowedOrigins: tt.origins, TokenCookie: tt.cookie}
			if tt.trusted {
				opts.TrustedProxies = loopback
			}
			r := newRig(t, opts)
			socket, stream, loggedIn := r.knocks(tt.lines...)
			if socket != tt.let || stream != tt.let {
				t.Errorf("socket: %v, stream: %v, want both %v", socket, stream, tt.let)
			}
			if loggedIn != (tt.let && tt.cookie != "") {
				t.Errorf("logged in with the cookie: %v", loggedIn)
			}
		})
	}
}

func TestACookieIsNotForPagesThatAnybodyCanMake(t *testing.T) {
	for _, origin := range []string{"*", "null"} {
		o := gateway.Options{AllowedOrigins: []string{"https://app.example.com", origin}, TokenCookie: "app"}
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "visitor's cookie") {
			t.Errorf("%q: %v", origin, err)
		}
		o.TokenCookie = ""
		if err := o.Validate(); err != nil {
			t.Errorf("%q without a cookie: %v", origin, err)
		}
	}
}

func TestTheLogSaysThatTheSchemeIsWhatIsWrong(t *testing.T) {
	r := newRig(t, gateway.Options{})
	r.knocks("Origin: https://app.example.com")
	if !strings.Contains(r.log.String(), "have it send X-Forwarded-Proto") {
		t.Errorf("no hint in\n%s", r.log)
	}
	before := strings.Count(r.log.String(), "X-Forwarded-Proto")
	r.knocks("Origin: https://evil.example")
	if strings.Count(r.log.String(), "X-Forwarded-Proto") != before {
		t.Error("a hint for a foreign page")
	}
}
