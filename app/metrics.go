package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/noise"
)

// What Options.Metrics may be beside an address.
const (
	MetricsOnHTTP = "http"
	MetricsNone   = "none"
)

// maxMetricsConns is how many connections those who ask for metrics may have, of the
// descriptors that are the server's own.
const maxMetricsConns = 16

// startMetrics opens the listener of /metrics: what it tells is for who operates the
// server, and each answer costs more than a page's.
func (a *App) startMetrics(context.Context) error {
	if a.opts.Metrics == MetricsOnHTTP || a.opts.Metrics == MetricsNone {
		return nil
	}
	listener, err := a.listenMetrics()
	if err != nil {
		return err
	}
	a.metricsAddr = listener.Addr()
	handler := a.metrics.Handler()
	if IsLoopback(listener.Addr().String()) {
		handler = localOnly(handler)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "only /metrics is here")
	})
	connections := httpconn.New(httpconn.Options{Together: limit.Rule{Value: maxMetricsConns}, Spare: 1})
	server := &http.Server{
		Handler:           connections.Handler(mux),
		ReadHeaderTimeout: a.headTimeout(),
		ReadTimeout:       a.headTimeout() + bodyTimeout,
		WriteTimeout:      answerTimeout,
		MaxHeaderBytes:    maxHeadBytes,
		IdleTimeout:       idleTimeout,
		ErrorLog:          noise.Lines(a.log, slog.LevelWarn),
		ConnContext:       connections.Context,
		ConnState:         connections.State,
	}
	done := make(chan struct{})
	go func() { // ends with Close
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the metrics listener failed", "error", err)
		}
	}()
	a.steps.add("close the metrics listener", func(context.Context) error {
		err := server.Close() // whoever asks now asks again
		<-done
		return err
	})
	return nil
}

// listenMetrics: the default address gives way, since nobody has asked for it; any
// other is meant.
func (a *App) listenMetrics() (net.Listener, error) {
	addr := a.opts.Metrics
	if addr != DefaultMetrics {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			err = fmt.Errorf("setting metrics: %w", err)
		}
		return l, err
	}
	const free = "127.0.0.1:0"
	if _, port, err := net.SplitHostPort(a.opts.HTTP); err == nil && port == "0" {
		return net.Listen("tcp", free)
	}
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	if l, freeErr := net.Listen("tcp", free); freeErr == nil {
		a.log.Warn("the metrics are elsewhere than by default: say where with the setting metrics", "metrics", l.Addr(), "error", err)
		return l, nil
	}
	return nil, err
}

// metricsOnHTTP answers /metrics at the HTTP address.
func (a *App) metricsOnHTTP() http.Handler {
	if a.opts.Metrics == MetricsOnHTTP {
		return a.metrics.Handler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "the metrics are not here: the setting metrics says where")
	})
}
