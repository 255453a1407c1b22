package rules

import (
	"slices"
	"strconv"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/glob"
)

// Bounds on what one event may cost.
const (
	maxKeyValues = 16   // values of one key field, and keys of one event and rule
	maxCarried   = 16   // values of one carried field
	maxRoutes    = 4096 // datasets whose rules are remembered; their names may come from events
)

// Match is one rule met by one event. It is valid until the matcher's next call.
type Match struct {
	// Rule is the rule as it holds for the event's tenant.
	Rule *Rule
	// Tenant is the event's, or "" where the rule does not tell tenants apart.
	Tenant string
	// Key is the values of Rule.Count.By, or of Rule.IncidentBy where there is no clause; there, an absent field is "".
	Key []string
}

// RuleStats counts what became of one rule since the matcher was made.
type RuleStats struct {
	Rule      *Rule
	Evaluated int64 // events of the rule's datasets
	Matched   int64 // that met its condition, and no exception
	Excepted  int64 // that met its condition and an exception
	// ByException is Excepted by exception: the rule's own, then those that its overrides add.
	ByException []int64
	// MissingKey is matches that were not counted because a key field is absent; CutKeys is keys left out because an event had
	// too many.
	MissingKey int64
	CutKeys    int64
}

// Matcher says which rules of a set an event meets. Each worker has its own: it is not safe for concurrent use.
type Matcher struct {
	set    *Set
	routes map[string][]*Rule
	stats  []RuleStats
	e      *event.Event
	out    []Match
	texts  []string // the keys of out, one after the other
	arena  []byte
	parts  [maxKeys][]string
	carry  []string
}

// NewMatcher makes a matcher for one worker.
func (s *Set) NewMatcher() *Matcher {
	m := &Matcher{set: s, routes: map[string][]*Rule{}, stats: make([]RuleStats, len(s.rules))}
	for i, r := range s.rules {
		m.stats[i] = RuleStats{Rule: r, ByException: make([]int64, r.exceptions)}
	}
	return m
}

// Stats counts by rule, in the order of Set.Rules. It is a copy.
func (m *Matcher) Stats() []RuleStats {
	out := slices.Clone(m.stats)
	for i := range out {
		out[i].ByException = slices.Clone(out[i].ByException)
	}
	return out
}

// Match is the rules that an event meets, in the order of Set.Rules; one with several keys occurs once for each. What it returns is
// valid until the next call.
func (m *Matcher) Match(e *event.Event) []Match {
	m.e, m.out, m.texts, m.arena = e, m.out[:0], m.texts[:0], m.arena[:0]
	for _, base := range m.route(e.Dataset) {
		st := &m.stats[base.index]
		st.Evaluated++
		if base.Where != nil && !base.Where.Eval(e) {
			continue
		}
		r := base.resolve(e.Tenant, e.Time)
		if r.Mode == Disabled {
			continue
		}
		if x := r.excepted(e); x != nil {
			st.Excepted++
			st.ByException[x.number]++
			continue
		}
		st.Matched++
		m.emit(r, st)
	}
	return m.out
}

// route is the rules that look at a dataset.
func (m *Matcher) route(dataset string) []*Rule {
	if list, ok := m.routes[dataset]; ok {
		return list
	}
	list := []*Rule{}
	for _, r := range m.set.rules {
		if r.Mode == Disabled && r.variants == nil {
			continue
		}
		if slices.ContainsFunc(r.globs, func(g string) bool { return glob.Match(g, dataset) }) {
			list = append(list, r)
		}
	}
	if len(m.routes) < maxRoutes {
		m.routes[string([]byte(dataset))] = list // the name lives as long as the event only
	}
	return list
}

// excepted is the exception that hides an event, or nil.
func (r *Rule) excepted(e *event.Event) *Exception {
	for i := range r.Except {
		x := &r.Except[i]
		if (x.Until == 0 || e.Time < x.Until) && x.Where.Eval(e) {
			return x
		}
	}
	return nil
}

// emit appends a match for every key of the event.
func (m *Matcher) emit(r *Rule, st *RuleStats) {
	tenant := m.e.Tenant
	if r.Together {
		tenant = ""
	}
	start := len(m.texts)
	several := false
	for i := range r.keys {
		m.parts[i] = m.values(m.parts[i][:0], &r.keys[i], maxKeyValues, &st.CutKeys)
		switch {
		case len(m.parts[i]) > 0:
		case r.Count != nil:
			st.MissingKey++
			return
		default:
			m.parts[i] = append(m.parts[i], "")
		}
		several = several || len(m.parts[i]) > 1
	}
	if several && r.Count != nil {
		m.product(r, tenant, st)
		return
	}
	for i := range r.keys {
		m.texts = append(m.texts, m.parts[i][0])
	}
	m.out = append(m.out, Match{Rule: r, Tenant: tenant, Key: m.texts[start:len(m.texts):len(m.texts)]})
}

// product appends a match for every combination of the key fields' values.
func (m *Matcher) product(r *Rule, tenant string, st *RuleStats) {
	var at [maxKeys]int
	for n := 0; ; n++ {
		if n == maxKeyValues {
			st.CutKeys++
			return
		}
		start := len(m.texts)
		for i := range r.keys {
			m.texts = append(m.texts, m.parts[i][at[i]])
		}
		m.out = append(m.out, Match{Rule: r, Tenant: tenant, Key: m.texts[start:len(m.texts):len(m.texts)]})
		i := len(r.keys) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(m.parts[i]) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

// Carried is the values that the event last matched has for Rule.Carry[i]: distinct, at most 16. It is valid until the next call of
// Carried or Match.
func (m *Matcher) Carried(r *Rule, i int) []string {
	var cut int64
	m.carry = m.values(m.carry[:0], &r.carry[i], maxCarried, &cut)
	return m.carry
}

// values appends an operand's distinct values in their usual form.
func (m *Matcher) values(dst []string, o *operand, limit int, cut *int64) []string {
	if o.count || m.e == nil {
		return dst
	}
	for v := m.e.First(o.id); v != nil; v = m.e.Next(v) {
		text, ok := m.text(o, v)
		if !ok || slices.Contains(dst, text) {
			continue
		}
		if len(dst) == limit {
			*cut++
			break
		}
		dst = append(dst, text)
	}
	return dst
}

// text is a value in the form that makes equal values equal texts.
func (m *Matcher) text(o *operand, v *event.Value) (string, bool) {
	start := len(m.arena)
	if o.fn == fnSubnet {
		a, ok := addrOf(v)
		if !ok {
			return "", false
		}
		p, ok := subnet(a, o.bits4, o.bits6)
		m.arena = p.AppendTo(m.arena)
		return event.View(m.arena[start:]), ok
	}
	switch v.Kind() {
	case event.Addr:
		m.arena = v.Addr().AppendTo(m.arena)
	case event.Int:
		m.arena = strconv.AppendInt(m.arena, v.Int(), 10)
	case event.Time:
		m.arena = event.AppendTime(m.arena, v.Int())
	default:
		return v.Text(), true
	}
	return event.View(m.arena[start:]), true
}
