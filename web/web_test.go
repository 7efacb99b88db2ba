package web_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/statuswire/statuswire/web"
)

func builtPage() fs.FS {
	return fstest.MapFS{
		"index.html":             {Data: []byte("<!doctype html><title>page</title>")},
		"favicon.svg":            {Data: []byte("<svg/>")},
		"assets/index-abc123.js": {Data: []byte("export {}")},
		".gitkeep":               {Data: []byte("keep")},
		"assets/index-abc123.css": {
			Data: []byte("body{}"),
		},
	}
}

func get(t *testing.T, h http.Handler, method, url string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, url, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestFilesAreServedWithTheirTypeAndLifetime(t *testing.T) {
	h := web.NewHandler(builtPage())
	for _, tc := range []struct{ url, contentType, cache string }{
		{"/", "text/html; charset=utf-8", "no-cache"},
		{"/favicon.svg", "image/svg+xml", "no-cache"},
		{"/assets/index-abc123.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/index-abc123.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
	} {
		t.Run(tc.url, func(t *testing.T) {
			res := get(t, h, http.MethodGet, tc.url, nil)
			if res.StatusCode != http.StatusOK {
				t.Fatalf("status %d, want 200", res.StatusCode)
			}
			if got := res.Header.Get("Content-Type"); got != tc.contentType {
				t.Errorf("Content-Type %q, want %q", got, tc.contentType)
			}
			if got := res.Header.Get("Cache-Control"); got != tc.cache {
				t.Errorf("Cache-Control %q, want %q", got, tc.cache)
			}
		})
	}
}

func TestEveryAnswerForbidsForeignContent(t *testing.T) {
	h := web.NewHandler(builtPage())
	for _, url := range []string{"/", "/assets/index-abc123.js", "/missing"} {
		res := get(t, h, http.MethodGet, url, nil)
		csp := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %q", url, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy %q allows something unsafe", url, csp)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q, want nosniff", url, got)
		}
	}
}

func TestThePageConnectsToItsOwnHostAlone(t *testing.T) {
	h := web.NewHandler(builtPage())
	for host, want := range map[string]string{
		"127.0.0.1:8080":              "connect-src 'self' ws://127.0.0.1:8080 wss://127.0.0.1:8080;",
		"status.example.com":          "connect-src 'self' ws://status.example.com wss://status.example.com;",
		"[::1]:8080":                  "connect-src 'self' ws://[::1]:8080 wss://[::1]:8080;",
		"":                            "connect-src 'self';",
		"x; script-src *":             "connect-src 'self';",
		"x;script-src%20*":            "connect-src 'self';",
		"x ws://evil.example":         "connect-src 'self';",
		"*":                           "connect-src 'self';",
		"*.example.com":               "connect-src 'self';",
		"a,b":                         "connect-src 'self';",
		"'unsafe-inline'":             "connect-src 'self';",
		"status.example.com:99999999": "connect-src 'self';",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if csp := w.Result().Header.Get("Content-Security-Policy"); !strings.Contains(csp, want) {
			t.Errorf("Host %q: the policy is %q, want %q in it", host, csp, want)
		}
	}
}

func TestWhatIsNoFileOfThePageIsRefused(t *testing.T) {
	h := web.NewHandler(builtPage())
	for _, tc := range []struct {
		name, method, url string
		want              int
	}{
		{"an unknown path is not found", http.MethodGet, "/nothing", http.StatusNotFound},
		{"a hidden file is not served", http.MethodGet, "/.gitkeep", http.StatusNotFound},
		{"a folder is not listed", http.MethodGet, "/assets/", http.StatusNotFound},
		{"a path cannot climb", http.MethodGet, "/assets/../../web.go", http.StatusNotFound},
		{"nothing can be posted", http.MethodPost, "/", http.StatusMethodNotAllowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := get(t, h, tc.method, tc.url, nil).StatusCode; got != tc.want {
				t.Errorf("status %d, want %d", got, tc.want)
			}
		})
	}
}

func TestAnUnchangedPageIsNotSentAgain(t *testing.T) {
	h := web.NewHandler(builtPage())
	etag := get(t, h, http.MethodGet, "/", nil).Header.Get("ETag")
	if etag == "" {
		t.Fatal("no ETag")
	}
	res := get(t, h, http.MethodGet, "/", http.Header{"If-None-Match": {etag}})
	if res.StatusCode != http.StatusNotModified {
		t.Errorf("status %d, want 304", res.StatusCode)
	}
}

func TestTheAnswerIsCompressedForThoseWhoTakeIt(t *testing.T) {
	script := strings.Repeat("export const text = 'the same again';\n", 100)
	h := web.NewHandler(fstest.MapFS{"index.html": {Data: []byte("page")}, "assets/a.js": {Data: []byte(script)}})
	for _, tc := range []struct {
		name, accept, byteRange, want string
	}{
		{"a browser gets gzip", "gzip, deflate, br, zstd", "", "gzip"},
		{"who names nothing gets the plain file", "", "", ""},
		{"who forbids gzip gets the plain file", "gzip;q=0, br", "", ""},
		{"a weight other than nought is a yes", "br;q=1.0, gzip;q=0.8", "", "gzip"},
		{"a range is of the plain file", "gzip", "bytes=0-9", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := http.Header{"Accept-Encoding": {tc.accept}}
			if tc.byteRange != "" {
				header.Set("Range", tc.byteRange)
			}
			res := get(t, h, http.MethodGet, "/assets/a.js", header)
			if got := res.Header.Get("Content-Encoding"); got != tc.want {
				t.Errorf("Content-Encoding %q, want %q", got, tc.want)
			}
			if got := res.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("Vary %q, want Accept-Encoding", got)
			}
			body, err := decoded(res)
			if err != nil || (tc.byteRange == "" && body != script) {
				t.Errorf("body of %d bytes (%v), want the script of %d", len(body), err, len(script))
			}
		})
	}
}

func decoded(res *http.Response) (string, error) {
	body := io.Reader(res.Body)
	if res.Header.Get("Content-Encoding") == "gzip" {
		r, err := gzip.NewReader(res.Body)
		if err != nil {
			return "", err
		}
		body = r
	}
	text, err := io.ReadAll(body)
	return string(text), err
}

func TestWithoutABuiltPageItSaysHowToBuildOne(t *testing.T) {
	res := get(t, web.NewHandler(nil), http.MethodGet, "/", nil)
	body := make([]byte, 4096)
	n, _ := res.Body.Read(body)
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body[:n]), "make build") {
		t.Errorf("status %d, body %q: want 200 and the words make build", res.StatusCode, body[:n])
	}
}

func TestTheEmbeddedPageMatchesBuilt(t *testing.T) {
	res := get(t, web.Handler(), http.MethodGet, "/favicon.svg", nil)
	if got := res.StatusCode == http.StatusOK; got != web.Built() {
		t.Errorf("favicon served: %v, Built: %v", got, web.Built())
	}
}
