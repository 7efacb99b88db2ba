package app_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/logtest"
)

// asHost asks under another name than the one that is called.
func asHost(t *testing.T, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A page of evil.example, whose name points to this machine by now, asks under that
// name: it must get no token of the demo.
func TestTheDemosTokensAreForThisMachineUnderItsOwnName(t *testing.T) {
	a := newApp(t, app.Options{Demo: true})
	start(t, a)
	_, port, _ := strings.Cut(strings.TrimPrefix(a.Endpoints().HTTP, "http://"), ":")
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "127.0.0.1": 200, "localhost:" + port: 200, "LOCALHOST.": 200, "[::1]:" + port: 200, "app.localhost:" + port: 200, "127.1.2.3:" + port: 200,
		"evil.example:" + port: 403, "evil.example": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example:" + port: 403, "notlocalhost": 403, "10.0.0.1:" + port: 403, "0.0.0.0:" + port: 403,
	} {
		code, body := asHost(t, a.Endpoints().HTTP+"/demo.json", host)
		if code != want || strings.Contains(body, "token") != (want == 200) {
			t.Errorf("Host %s: %d %s, want %d", host, code, body, want)
		}
	}
}

func TestPublicHTTPWithoutAProxyWarns(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts app.Options
		warn bool
	}{
		{"loopback", app.Options{HTTP: "127.0.0.1:8080"}, false},
		{"loopback by name", app.Options{HTTP: "localhost:8080"}, false},
		{"the default", app.Options{}, false},
		{"every address", app.Options{HTTP: "0.0.0.0:8080"}, true},
		{"every address, in short", app.Options{HTTP: ":8080"}, true},
		{"behind a proxy", app.Options{HTTP: ":8080", Gateway: gateway.Options{TrustedProxies: loopback}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := &logtest.Log{}
			tt.opts.Report(slog.New(slog.NewTextHandler(log, nil)))
			if got := strings.Contains(log.String(), "no TLS stands in front"); got != tt.warn {
				t.Errorf("warned: %v, want %v\n%s", got, tt.warn, fmt.Sprint(log))
			}
		})
	}
}
