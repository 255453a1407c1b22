package pipeline

import (
	"sync"

	"github.com/klaxonhq/klaxon/rules"
)

// RuleCounts is what became of one rule's events.
type RuleCounts struct {
	Matched  int64 // met its condition, and no exception
	Excepted int64 // met its condition, and were hidden by an exception
	// Keyless is matches that were not counted because a field of the key was absent; CutKeys is keys that were left out because an
	// event had too many.
	Keyless, CutKeys int64
}

// RuleStats counts by rule. Its zero value is ready. It is safe for concurrent use, and as large as the number of rules that ever met
// an event.
type RuleStats struct {
	mu   sync.Mutex
	byID map[string]RuleCounts
}

// Each calls f for every rule that met an event.
func (s *RuleStats) Each(f func(rule string, c RuleCounts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.byID {
		f(id, c)
	}
}

// Add adds to what is known of a rule.
func (s *RuleStats) Add(rule string, more RuleCounts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]RuleCounts{}
	}
	c := s.byID[rule]
	c.Matched, c.Excepted, c.Keyless, c.CutKeys = c.Matched+more.Matched, c.Excepted+more.Excepted, c.Keyless+more.Keyless, c.CutKeys+more.CutKeys
	s.byID[rule] = c
}

// since adds what a matcher counted since before, which is what it had counted when it was asked last.
func (s *RuleStats) since(before, now []rules.RuleStats) {
	for i := range now {
		n, was := &now[i], rules.RuleStats{}
		if before != nil {
			was = before[i]
		}
		if c := (RuleCounts{n.Matched - was.Matched, n.Excepted - was.Excepted, n.MissingKey - was.MissingKey, n.CutKeys - was.CutKeys}); c != (RuleCounts{}) {
			s.Add(n.Rule.ID, c)
		}
	}
}
