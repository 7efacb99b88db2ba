// Package web holds the page: built by Vite into dist, embedded here and
// served under headers that let it load nothing but itself. It stands on the
// lowest floor and knows nothing of NATS: the page opens its own WebSocket.
//
// Without a built page the package compiles all the same, and serves one that
// says in words how to build it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

// pageDir is where Vite builds to; until then it holds nothing to serve.
const pageDir = "dist"

// contentSecurityPolicy lets the page load its own files and open a WebSocket of its
// own host, and nothing else: no inline script or style, no frame, no form target.
// 'self' is that WebSocket in newer browsers alone (CSP level 3), so the host that the
// browser asked for is named.
func contentSecurityPolicy(host string) string {
	sockets := ""
	if plainHost.MatchString(host) {
		sockets = " ws://" + host + " wss://" + host
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; " +
		"connect-src 'self'" + sockets + "; img-src 'self' data:; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'"
}

// plainHost is a host, with a port or without, that can stand in the policy and says
// nothing else there: Host may hold a semicolon.
var plainHost = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// fallbackPage obeys the same policy, so it has no style of its own.
const fallbackPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Statuswire</title></head>
<body>
<h1>Statuswire is running</h1>
<p>The page is not part of this program: it was compiled without it. Run
<code>make build</code> in the repository and start the program again.</p>
<p>The WebSocket of this address works nevertheless: connect to it with any NATS
client.</p>
</body>
</html>
`

// Built reports whether the page was built before this program was compiled.
func Built() bool {
	_, err := fs.Stat(dist, path.Join(pageDir, "index.html"))
	return err == nil
}

// Handler serves the page at / and its files below. Files under /assets/ carry
// a hash in their name and are cached for a year; all else is asked for again
// each time. It answers only GET and HEAD and is safe for concurrent use.
func Handler() http.Handler {
	if !Built() {
		return newHandler(nil)
	}
	page, err := fs.Sub(dist, pageDir)
	if err != nil { // pageDir is a constant and a valid path.
		panic(err)
	}
	return newHandler(page)
}

// A file of the page, ready to send.
type file struct {
	body        []byte
	gzipped     []byte // the same, compressed; nil where that saves nothing
	contentType string
	etag        string // weak: both encodings share it
	immutable   bool
}

type handler struct {
	files map[string]file // by URL path; never written after newHandler
}

// newHandler reads the whole page into memory; nil stands for none.
func newHandler(page fs.FS) *handler {
	h := &handler{files: map[string]file{"/": newFile("index.html", []byte(fallbackPage))}}
	if page == nil {
		return h
	}
	err := fs.WalkDir(page, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		body, err := fs.ReadFile(page, name)
		if err != nil {
			return err
		}
		url := "/" + strings.TrimSuffix(name, "index.html")
		h.files[url] = newFile(name, body)
		return nil
	})
	if err != nil { // An embedded folder is always readable.
		panic(err)
	}
	return h
}

func newFile(name string, body []byte) file {
	sum := sha256.Sum256(body)
	return file{
		body:        body,
		gzipped:     compress(body),
		contentType: contentType(name),
		etag:        `W/"` + hex.EncodeToString(sum[:8]) + `"`,
		immutable:   strings.HasPrefix(name, "assets/"),
	}
}

// compress answers nil where the result is no smaller.
func compress(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails on a bad level only
	_, _ = w.Write(body)                                  // a buffer takes all
	_ = w.Close()
	if b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// contentType does not leave the types of our own files to the machine's table.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		if known := mime.TypeByExtension(ext); known != "" {
			return known
		}
		return "application/octet-stream"
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header(), r.Host)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		return
	}
	f, ok := h.files[r.URL.Path]
	if !ok {
		http.Error(w, "no such page; the page is at /", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", f.etag)
	w.Header().Set("Cache-Control", f.cacheControl())
	w.Header().Set("Vary", "Accept-Encoding")
	body := f.body
	if f.gzipped != nil && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as
// browsers use it: gzip is named, and not with the weight nought. A request for
// a range gets the plain file, whose bytes it counts.
func acceptsGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.TrimRight(strings.TrimSpace(weight), ".0") != "q="
		}
	}
	return false
}

func (f file) cacheControl() string {
	if f.immutable {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

func setSecurityHeaders(h http.Header, host string) {
	h.Set("Content-Security-Policy", contentSecurityPolicy(host))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
