package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/noise"
	"github.com/statuswire/statuswire/web"
)

// Bounds of an HTTP request, beside headTimeout: a browser that sends it slower or
// larger has its connection closed. A socket has the gateway's bounds instead.
const (
	maxHeadBytes  = 16 << 10         // beside a token, which may be in a cookie or a header
	bodyTimeout   = 5 * time.Second  // beyond the head's; nothing here takes a body
	answerTimeout = 30 * time.Second // to write the answer
	idleTimeout   = 60 * time.Second
)

// headTimeout is how long a request may take to its whole head: as long as a
// socket to its CONNECT.
func (a *App) headTimeout() time.Duration {
	return cmp.Or(a.opts.Gateway.ConnectTimeout, gateway.DefaultOptions().ConnectTimeout)
}

// startHTTP opens the listener. Upgrades go to the gateway, at / and /ws, and
// all below /v1/.
func (a *App) startHTTP(context.Context) error {
	listener, err := a.listen()
	if err != nil {
		return err
	}
	a.httpAddr = listener.Addr()
	connections, newcomers := a.gateway.Connections(), newNewcomers()
	server := &http.Server{
		Handler:           connections.Handler(a.routes()),
		ReadHeaderTimeout: a.headTimeout(),
		ReadTimeout:       a.headTimeout() + bodyTimeout,
		WriteTimeout:      answerTimeout,
		MaxHeaderBytes:    maxHeadBytes + cmp.Or(a.opts.Gateway.MaxControlLineBytes, gateway.DefaultOptions().MaxControlLineBytes),
		IdleTimeout:       idleTimeout,
		ErrorLog:          noise.Lines(a.log, slog.LevelWarn),
		ConnContext:       connections.Context,
		ConnState: func(conn net.Conn, s http.ConnState) {
			connections.State(conn, s)
			newcomers.state(conn, s)
		},
	}
	server.RegisterOnShutdown(newcomers.close)
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
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", a.metricsOnHTTP())
	mux.Handle("/v1/", a.gateway.API())
	if a.demo != nil {
		mux.Handle("GET /demo.json", localOnly(http.HandlerFunc(a.demo.serveTokens)))
	}
	mux.Handle("/ws", a.gateway)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && gateway.IsUpgrade(r) {
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
