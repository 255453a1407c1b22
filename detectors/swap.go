package detectors

import (
	"fmt"
	"slices"
	"strings"
)

// Report says what became of a memory when its rules were exchanged: by Swap, or by Restore with other rules than it was frozen
// with.
type Report struct {
	Kept, Dropped []RuleReport // by rule
}

// RuleReport is one rule's part of a memory.
type RuleReport struct {
	Rule   string
	Keys   int    // remembered
	Alerts int    // open
	Why    string // it was dropped, or ""
}

// String is one line: how much was kept, and each rule whose memory was dropped, with the reason.
func (r Report) String() string {
	keys, alerts := 0, 0
	for _, k := range r.Kept {
		keys, alerts = keys+k.Keys, alerts+k.Alerts
	}
	var b strings.Builder
	fmt.Fprintf(&b, "kept %d keys and %d open alerts of %d rules", keys, alerts, len(r.Kept))
	for i, d := range r.Dropped {
		b.WriteString([]string{"; dropped ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s (%s): %d keys, %d open alerts", d.Rule, d.Why, d.Keys, d.Alerts)
	}
	return b.String()
}

func (r *Report) add(p RuleReport) {
	switch {
	case p.Keys == 0:
	case p.Why == "":
		r.Kept = append(r.Kept, p)
	default:
		r.Dropped = append(r.Dropped, p)
	}
}

func (p *RuleReport) add(e *entity) {
	p.Keys++
	if e.more != nil {
		p.Alerts += len(e.more.slots)
	}
}

// memoryOf is the program's rule that goes on with the memory of a rule, or nil and why there is none.
func (p *Program) memoryOf(id string, basis uint64) (*rule, string) {
	switch r := p.byID[id]; {
	case r == nil:
		return nil, "the rule is gone"
	case r.clause == nil:
		return nil, "the rule counts no more"
	case r.basis != basis:
		return nil, "what the rule looks for, by or within changed"
	default:
		return r, ""
	}
}

// Swap exchanges the rules. The memory of a rule is kept unless its basis changed. Open alerts of what is dropped end with the
// next call of Apply, and say why.
func (m *Memory) Swap(p *Program) Report {
	old, states := m.program, m.states
	var report Report
	kept := make([]*rule, len(old.rules))
	for i, r := range old.rules {
		next, why := p.memoryOf(r.id, r.basis)
		kept[i] = next
		part := RuleReport{Rule: r.id, Why: why}
		for _, place := range states[i].keys {
			part.add(m.table[place])
		}
		if next == nil && len(states[i].keys) > 0 {
			m.end(i)
		}
		report.add(part)
	}
	m.program, m.states = p, newStates(len(p.rules))
	for i, next := range kept {
		if next != nil {
			m.states[next.number] = states[i]
		}
	}
	for place, e := range m.table {
		if e != nil && int(e.rule) != kept[e.rule].number {
			m.own(uint32(place)).rule = int32(kept[e.rule].number)
		}
	}
	slices.SortFunc(report.Kept, compareReports)
	slices.SortFunc(report.Dropped, compareReports)
	return report
}

func compareReports(a, b RuleReport) int { return strings.Compare(a.Rule, b.Rule) }

// end drops the memory of a rule.
func (m *Memory) end(rule int) {
	out := m.out
	m.out = nil
	for place, e := range m.table {
		if e != nil && int(e.rule) == rule {
			m.close(m.own(uint32(place)), ruleChanged)
			m.drop(uint32(place))
		}
	}
	m.pending = append(m.pending, m.out...)
	m.out = out
}
