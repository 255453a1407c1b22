package main

import (
	"context"
	"errors"
	"sync"

	"github.com/klaxonhq/klaxon/incidents"
)

// storeState is what a process last counted in its store. Its zero value has counted nothing.
type storeState struct {
	mu    sync.Mutex
	name  string // what the store is, without secrets
	tally incidents.Tally
}

// setName says which store it is, without its password.
func (s *storeState) setName(c StoreConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = c.String()
}

func (s *storeState) getName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

func (s *storeState) set(t incidents.Tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally = t
}

// get is the last tally; the caller must not change it.
func (s *storeState) get() incidents.Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally
}

func (s *storeState) open() int64 {
	t := s.get()
	return t.OpenIncidents()
}

func (s *storeState) waiting() map[string]float64 {
	return s.backlog(func(b incidents.Backlog) float64 { return float64(b.Waiting) })
}

func (s *storeState) parked() map[string]float64 {
	return s.backlog(func(b incidents.Backlog) float64 { return float64(b.Parked) })
}

func (s *storeState) oldest() map[string]float64 {
	return s.backlog(func(b incidents.Backlog) float64 { return unix(b.Oldest) })
}

func (s *storeState) backlog(number func(incidents.Backlog) float64) map[string]float64 {
	out := map[string]float64{}
	for _, b := range s.get().Outbox {
		out[b.Destination] = number(b)
	}
	return out
}

// What the store is called for, as klaxon_store_errors_total names it.
const (
	storeClaim  = "claim"  // of a shard
	storeApply  = "apply"  // alerts, offsets and checkpoints
	storeOutbox = "outbox" // what is due, and what became of it
	storeTend   = "tend"   // time that passes in incidents, retention and counts
)

// storeFailed counts an error of the store and returns it. That a shard has another owner is no error of the store, and neither is
// being stopped.
func (s *stats) storeFailed(ctx context.Context, operation string, err error) error {
	if err != nil && ctx.Err() == nil && !errors.Is(err, incidents.ErrFenced) {
		s.storeErrors.add(operation)
	}
	return err
}
