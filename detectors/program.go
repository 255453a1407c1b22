// Package detectors is what klaxon remembers: it turns frames of hits into alerts.
//
// A Memory belongs to one shard of the hits topic and is a pure function of that shard's log: no goroutine, no clock, no I/O. The
// same log makes the same alerts with the same revisions. Other logs of the same events, cut and interleaved otherwise, make the
// same alerts with the same final contents, as long as no event is later than the lateness and nothing was degraded.
package detectors

import (
	"iter"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// Limits bounds the memory of one shard. A zero means the default.
type Limits struct {
	MaxKeys    int           // keys remembered; 65,536
	MaxBytes   int64         // about what they may take; 16 MiB
	MaxMoments int           // different times kept for one key, before they are rounded; 65,536
	Lateness   time.Duration // how far event time may run behind the watermark; 1 minute
}

func (l Limits) withDefaults() Limits {
	if l.MaxKeys <= 0 {
		l.MaxKeys = 1 << 16
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = 16 << 20
	}
	if l.MaxMoments <= 0 {
		l.MaxMoments = 1 << 16
	}
	if l.Lateness <= 0 {
		l.Lateness = time.Minute
	}
	return l
}

// Program is a set of rules made ready for memories: immutable, and shared by all shards.
type Program struct {
	limits   Limits
	lateness int64
	rules    []*rule
	byID     map[string]*rule
	longest  int64 // the longest window
}

// newProgram numbers the rules.
func newProgram(limits Limits, rules []*rule) *Program {
	limits = limits.withDefaults()
	p := &Program{limits: limits, lateness: limits.Lateness.Milliseconds(), rules: rules, byID: make(map[string]*rule, len(rules))}
	for i, r := range rules {
		r.number = i
		p.byID[r.id] = r
		if c := r.clause; c != nil {
			p.longest = max(p.longest, c.within)
		}
	}
	return p
}

// rule is what a memory needs to know of a rule.
type rule struct {
	number int // in its program
	id     string
	basis  uint64
	// names are the fields whose values a hit's key holds: those of by, or of incident_by where there is no clause.
	names    []string
	incident []string // incident_by, as far as it stands among names
	clause   *clause  // nil: every hit is an alert
	plain    *variant // the rule without overrides
	// resolve is the rule as it holds for a tenant at a time; nil: plain, always.
	resolve func(tenant string, ms int64) *variant
}

// variant is what overrides may change.
type variant struct {
	info    alert.Rule
	atLeast uint32
	texts   texts
}

// texts is what a rule says; package rules provides it.
type texts interface {
	// Title is the alert's title.
	Title(v *view) string
	// Severity is the alert's severity.
	Severity(v *view) alert.Severity
	// Varies says that Severity is not always the same, and Watches that it looks at more than the count and the key, so that it may
	// change with any hit.
	Varies() bool
	Watches() bool
}

// Knows says whether the program has a rule with a basis: whether a hit of it would count.
func (p *Program) Knows(rule string, basis uint64) bool {
	r := p.byID[rule]
	return r != nil && r.basis == basis
}

// Rules is the ids of the program's rules, each with its basis.
func (p *Program) Rules() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for _, r := range p.rules {
			if !yield(r.id, r.basis) {
				return
			}
		}
	}
}

func (r *rule) at(tenant string, ms int64) *variant {
	if r.resolve == nil {
		return r.plain
	}
	return r.resolve(tenant, ms)
}

// meets says that a window that ends at u met the condition.
func (r *rule) meets(e *entity, u moment) bool {
	if u.total < r.clause.atLeast || r.resolve == nil {
		return u.total >= r.clause.atLeast
	}
	tenant, _ := splitEntityKey(e.text)
	return u.total >= r.resolve(tenant, u.time).atLeast
}

// clause is `count`. Times are milliseconds of event time.
type clause struct {
	atLeast uint32 // the least of the rule's variants
	within  int64  // windows are (t - within, t]
	quiet   int64  // length of a slot, at least within
	chunk   int64  // length of the spans of time that evidence is kept by
}

// chunksPerWindow: a flood's evidence is kept in summaries of this part of a window.
const chunksPerWindow = 8

func newClause(atLeast uint32, within, quiet time.Duration) *clause {
	c := &clause{atLeast: max(atLeast, 1), within: max(within.Milliseconds(), 1)}
	c.quiet = max(quiet.Milliseconds(), c.within)
	c.chunk = max(c.within/chunksPerWindow, 1)
	return c
}

func (c *clause) slotOf(t int64) int64 { return floorDiv(t, c.quiet) }

// kept is the greatest time before which no window can reach that ends after now, in whole chunks.
func (c *clause) kept(now int64) int64 { return floorDiv(now-c.within+1, c.chunk) * c.chunk }
