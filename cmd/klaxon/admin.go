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

// adminPages is what the port shows beside health and profiles.
type adminPages struct {
	metrics *prometheus.Registry
	ready   func() readiness
	status  func() statusReport
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool              `json:"ready"`
	Stopping bool              `json:"stopping"`
	Parts    map[string]string `json:"parts"`           // why each part is not ready; "" is ready
	Notes    map[string]string `json:"notes,omitempty"` // what somebody should look at although everything works, by part
}

func startAdmin(listen string, p adminPages) (*admin, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (admin.listen): %w", listen, err)
	}
	a := &admin{addr: l.Addr().String(), server: &http.Server{Handler: adminRoutes(p), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}}
	go func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return // the listener is gone; /healthz fails, which is the point of it
		}
	}()
	return a, nil
}

func adminRoutes(p adminPages) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r, code := p.ready(), http.StatusOK
		if !r.Ready {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, r)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.status()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // who asked has gone
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
