package rules

import "github.com/klaxonhq/klaxon/event"

// Set is compiled rules. It is immutable and safe for concurrent use.
type Set struct {
	schema  *event.Schema
	rules   []*Rule
	byID    map[string]*Rule
	options Options
}

// Rules is every rule, the disabled ones included, in the order of their ids. The caller must not write to it.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule is the rule of an id as its file says, overrides aside except for what they set for all tenants and times: within and quiet.
func (s *Set) Rule(id string) (*Rule, bool) {
	r, ok := s.byID[id]
	return r, ok
}

// Resolve is the rule of an id as it holds for a tenant at an event time, Unix milliseconds: overrides applied. It is nil when there
// is no such rule.
func (s *Set) Resolve(id, tenant string, ms int64) *Rule {
	r := s.byID[id]
	if r == nil {
		return nil
	}
	return r.resolve(tenant, ms)
}

// Schema is what the rules were compiled for; only its events, or those of a schema that extends it, may be matched.
func (s *Set) Schema() *event.Schema { return s.schema }
