package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin serves metrics, health and profiles on a port of its own, which belongs on a loopback or cluster address.
type admin struct {
	server *http.Server
	addr   string
}

// readiness says for each part whether it is ready, and if not why.
type readiness func() map[string]string

// notices says what somebody should look at although everything works, by part.
type notices func() map[string]string

func startAdmin(listen string, reg *prometheus.Registry, ready readiness, notes notices) (*admin, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (admin.listen): %w", listen, err)
	}
	a := &admin{addr: l.Addr().String(), server: &http.Server{Handler: adminRoutes(reg, ready, notes), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}}
	go func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return // the listener is gone; /healthz fails, which is the point of it
		}
	}()
	return a, nil
}

func adminRoutes(reg *prometheus.Registry, ready readiness, notes notices) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		parts, code := ready(), http.StatusOK
		for _, why := range parts {
			if why != "" {
				code = http.StatusServiceUnavailable
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		answer := map[string]any{"ready": code == http.StatusOK, "parts": parts}
		if n := notes(); len(n) > 0 {
			answer["notes"] = n
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// adminGrace is how long requests under way may take at the end: a profile of a minute must not hold up the process.
const adminGrace = 2 * time.Second

func (a *admin) close(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, adminGrace)
	defer done()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close()
	}
}
