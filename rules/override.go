package rules

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// overrideDoc tunes a rule without editing it.
type overrideDoc struct {
	at       diag.Node
	rule     string
	tenant   string // "": every tenant
	until    int64  // Unix milliseconds of event time, exclusive; 0: for ever
	why      string
	atLeast  int64 // 0: as it is
	severity []severityDoc
	mode     Mode
	hasMode  bool
}

// parseOverride reads an override's document.
func (u *Unit) parseOverride(m *diag.Map) {
	d := &overrideDoc{at: m.Need("override")}
	u.override = d
	d.rule = d.at.Text()
	u.ID = d.rule
	d.tenant = m.Get("tenant").Text()
	d.why = strings.TrimSpace(m.Need("why").Text())
	if until := m.Get("until"); until.Exists() {
		if day := until.Date(); !day.IsZero() {
			d.until = endOfDay(day)
		}
	}
	set, ok := m.Need("set").Map()
	if !ok {
		return
	}
	if n := set.Get("count.at_least"); n.Exists() {
		d.atLeast = n.Int(1, maxAtLeast)
	}
	if n := set.Get("severity"); n.Exists() {
		u.parseSeverity(n, &d.severity)
	}
	if n := set.Get("mode"); n.Exists() {
		d.mode, d.hasMode = parseMode(n), true
	}
	if set.Len() == 0 {
		m.Get("set").Errorf("sets nothing").Hint("count.at_least, severity and mode can be set")
	}
	set.Done()
}

// applyOverrides makes the variants of a rule. All its overrides are given; the more special, with a tenant, come last and win.
func (c *setCompiler) applyOverrides(r *Rule, all []*overrideDoc) {
	slices.SortStableFunc(all, func(a, b *overrideDoc) int { return cmp.Compare(a.tenant, b.tenant) })
	tenants := map[string]bool{"": true}
	compiled := map[*overrideDoc][]SeverityCase{}
	for _, o := range all {
		at := o.at.Into(c.list)
		switch {
		case o.tenant != "" && r.Together:
			at.Errorf("the rule %s looks at all tenants together, and cannot be tuned for one", r.ID)
		case o.atLeast > 0 && r.Count == nil:
			at.Errorf("the rule %s has no count to set", r.ID)
		case o.severity != nil:
			compiled[o] = c.severities(r, o.severity)
		}
		tenants[o.tenant] = true
	}
	r.variants = map[string][]variant{}
	for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
		r.variants[tenant] = timeline(r, tenant, all, compiled)
	}
}

// timeline is the rule for a tenant from one override's end to the next.
func timeline(r *Rule, tenant string, all []*overrideDoc, compiled map[*overrideDoc][]SeverityCase) []variant {
	var ends []int64
	for _, o := range all {
		if o.tenant == "" || o.tenant == tenant {
			ends = append(ends, o.end())
		}
	}
	slices.Sort(ends)
	var out []variant
	for _, end := range slices.Compact(ends) {
		v := *r
		v.variants, v.overrides = nil, nil
		for _, o := range all {
			if (o.tenant == "" || o.tenant == tenant) && o.end() >= end {
				o.apply(&v, compiled[o])
			}
		}
		v.hash()
		out = append(out, variant{end, &v})
	}
	return out
}

func (o *overrideDoc) end() int64 {
	if o.until == 0 {
		return math.MaxInt64
	}
	return o.until
}

func (o *overrideDoc) apply(r *Rule, severity []SeverityCase) {
	if o.atLeast > 0 && r.Count != nil {
		count := *r.Count
		count.AtLeast = o.atLeast
		r.Count = &count
	}
	if severity != nil {
		r.Severity = severity
	}
	if o.hasMode {
		r.Mode = o.mode
	}
	r.overrides = append(slices.Clone(r.overrides), o.why)
}
