package main

import (
	"slices"
	"sync"
	"time"
)

// states is what /readyz says of each part: "" is ready. It is safe for concurrent use.
type states struct {
	mu     sync.Mutex
	parts  map[string]trouble
	ending bool
}

// trouble is why a part is not ready. What was told in passing is forgotten when it was not told again for a while: the loops
// repeat what goes on being wrong every ten seconds.
type trouble struct {
	why   string
	until time.Time // zero: until something else is set
}

const troubleLasts = 30 * time.Second

func (s *states) set(part, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[part] = trouble{why: why}
}

func (s *states) tell(part, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[part] = trouble{why, time.Now().Add(troubleLasts)}
}

// stop says that the process is ending: it is not ready from now on, whatever its parts are.
func (s *states) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
}

func (s *states) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

func (s *states) get() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]string, len(s.parts))
	for part, t := range s.parts {
		out[part] = t.why
		if !t.until.IsZero() && time.Now().After(t.until) {
			out[part] = ""
		}
	}
	return out
}

// unready is the parts that are not ready, sorted.
func unready(parts map[string]string) []string {
	var out []string
	for part, why := range parts {
		if why != "" {
			out = append(out, part)
		}
	}
	slices.Sort(out)
	return out
}
