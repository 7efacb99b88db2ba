package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/web"
)

// Bounds of an HTTP request's head: a browser that sends it slower or larger
// has its connection closed.
const (
	headTimeout  = 5 * time.Second
	maxHeadBytes = 16 << 10
	idleTimeout  = 60 * time.Second
)

// startHTTP opens the listener. Upgrades go to the gateway, at / and /ws.
func (a *App) startHTTP(context.Context) error {
	listener, err := net.Listen("tcp", a.opts.HTTP)
	if err != nil {
		return err
	}
	a.httpAddr = listener.Addr()
	server := &http.Server{
		Handler:           a.routes(),
		ReadHeaderTimeout: headTimeout,
		MaxHeaderBytes:    maxHeadBytes,
		IdleTimeout:       idleTimeout,
	}
	done := make(chan struct{})
	go func() { // ends with Shutdown
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the HTTP listener failed", "error", err)
		}
	}()
	a.steps.add("close the HTTP listener", func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		<-done
		return err
	})
	return nil
}

func (a *App) routes() http.Handler {
	page := web.Handler()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			answer(w, http.StatusServiceUnavailable, "not ready: starting or stopping")
			return
		}
		if err := a.directory.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, "not ready: the directory is not up to date")
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", a.metrics.Handler())
	if a.demo != nil {
		mux.HandleFunc("GET /demo.json", a.demo.serveTokens)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if (r.URL.Path == "/" || r.URL.Path == "/ws") && gateway.IsUpgrade(r) {
			a.gateway.ServeHTTP(w, r)
			return
		}
		page.ServeHTTP(w, r)
	})
	return mux
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n"))
}
