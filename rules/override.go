package rules

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// overrideDoc tunes a rule without editing it.
type overrideDoc struct {
	at     diag.Node
	rule   string
	tenant string // "": every tenant
	until  int64  // Unix milliseconds of event time, exclusive; 0: for ever
	why    string
	sets   []settingDoc

	// What it sets; the zero value leaves the rule as it is.
	mode           *Mode
	owner, runbook string
	atLeast        int64
	within, quiet  time.Duration
	severity       []severityDoc
	except         []exceptDoc

	compiledSeverity []SeverityCase
	compiledExcept   []Exception
}

// settingDoc is one key of `set`.
type settingDoc struct {
	key  string
	at   diag.Node
	text string // for people
}

// The keys of `set`, named as the rule's own.
const (
	setMode     = "mode"
	setSeverity = "severity"
	setOwner    = "owner"
	setRunbook  = "runbook"
	setAtLeast  = "count.at_least"
	setWithin   = "count.within"
	setQuiet    = "alert.quiet"
	setExcept   = "except"
)

// parseOverride reads an override's document.
func (u *Unit) parseOverride(m *diag.Map) {
	d := &overrideDoc{at: m.Need("override")}
	u.override = d
	d.rule = d.at.Text()
	u.ID = d.rule
	tenant := m.Get("tenant")
	if d.tenant = strings.TrimSpace(tenant.Text()); m.Has("tenant") && d.tenant == "" {
		tenant.Errorf("is empty").Hint("leave it out to tune the rule for every tenant")
	}
	d.why = strings.TrimSpace(m.Need("why").Text())
	d.until = lastDay(m.Get("until"))
	set, ok := m.Need("set").Map()
	if !ok {
		return
	}
	u.parseSet(set)
	if set.Len() == 0 {
		m.Get("set").Errorf("sets nothing").Hint("mode, severity, owner, runbook, count.at_least, count.within, alert.quiet and except can be set")
	}
	set.Done()
	for _, p := range set.Pairs() {
		d.sets = append(d.sets, settingDoc{p.Key, p.KeyAt, d.describe(p)})
	}
}

func (u *Unit) parseSet(set *diag.Map) {
	d := u.override
	if n := set.Get(setMode); n.Exists() {
		mode := parseMode(n)
		d.mode = &mode
	}
	if n := set.Get(setSeverity); n.Exists() {
		u.parseSeverity(n, &d.severity)
	}
	d.owner = strings.TrimSpace(set.Get(setOwner).Text())
	d.runbook = set.Get(setRunbook).Text()
	if n := set.Get(setAtLeast); n.Exists() {
		d.atLeast = n.Int(1, maxAtLeast)
	}
	if n := set.Get(setWithin); n.Exists() {
		d.within = parseWithin(n)
	}
	if n := set.Get(setQuiet); n.Exists() {
		d.quiet = parseQuiet(n)
	}
	d.except = u.parseExcept(set.Get(setExcept))
	for _, p := range set.Pairs() {
		if saysNothing(p.Value) {
			p.KeyAt.Errorf("is empty").Hint("leave it out to keep what the rule says")
		}
	}
}

func saysNothing(n diag.Node) bool {
	return !n.Exists() || n.IsScalar() && strings.TrimSpace(n.Raw()) == "" || n.IsSeq() && len(n.Seq()) == 0
}

// describe is one setting for people.
func (o *overrideDoc) describe(p diag.Pair) string {
	switch {
	case p.Key == setExcept && len(o.except) == 1:
		return "one more exception"
	case p.Key == setExcept:
		return "more exceptions"
	case p.Value.IsScalar() && p.Key != setRunbook:
		return p.Key + " " + strings.TrimSpace(p.Value.Raw())
	case p.Key == setSeverity && len(o.severity) > 0:
		return p.Key + " " + severityNamesOf(o.severity)
	}
	return p.Key
}

func severityNamesOf(cases []severityDoc) string {
	var words []string
	for _, c := range cases {
		words = append(words, c.is.String())
	}
	return strings.Join(words, "/")
}

// overrides applies every override to its rule.
func (c *setCompiler) overrides(set *Set, first map[string]*Unit, overrides map[string][]*overrideDoc) {
	ids := slices.Sorted(maps.Keys(first))
	for id, all := range overrides {
		if _, known := first[id]; !known {
			for _, o := range all {
				o.at.Into(c.list).Errorf("there is no rule %s to override", id).Hint("%s", diag.DidYouMean(id, ids))
			}
			continue
		}
		if r := set.byID[id]; r != nil {
			c.applyOverrides(r, all)
		}
	}
	c.list.Sort()
}

// applyOverrides makes the variants of a rule. All its overrides are given; the more special, with a tenant, come last and win.
func (c *setCompiler) applyOverrides(r *Rule, all []*overrideDoc) {
	slices.SortStableFunc(all, func(a, b *overrideDoc) int { return cmp.Compare(a.tenant, b.tenant) })
	before := len(*c.list)
	c.clashes(r, all)
	c.conditions = r.conditions
	for _, o := range all {
		c.checkOverride(r, o)
		o.compiledSeverity = c.severities(r, o.severity)
		o.compiledExcept = c.exceptions(o.except, r.exceptions)
		r.exceptions += len(o.compiledExcept)
	}
	r.conditions = c.conditions
	if c.opts.AsWritten || (*c.list)[before:].HasErrors() {
		return
	}
	tenants := map[string]bool{"": true}
	for _, o := range all {
		tenants[o.tenant] = true
		r.tuned = append(r.tuned, o.public())
		o.applyToAll(r)
	}
	r.hash()
	r.variants = map[string][]variant{}
	for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
		r.variants[tenant] = timeline(r, tenant, all)
	}
}

// clashes reports what two overrides set for the same tenant: which of them holds would depend on the order of files.
func (c *setCompiler) clashes(r *Rule, all []*overrideDoc) {
	type slot struct{ tenant, key string }
	first := map[slot]settingDoc{}
	for _, o := range all {
		for _, s := range o.sets {
			if s.key == setExcept {
				continue // they add up
			}
			at := slot{o.tenant, s.key}
			before, twice := first[at]
			if !twice {
				first[at] = s
				continue
			}
			file, line, _ := before.at.Pos()
			s.at.Into(c.list).Errorf("%s of the rule %s is set for %s by another override too, in %s:%d", s.key, r.ID, tenantText(o.tenant), file, line).
				Hint("leave one of them out; an override with a tenant goes before one without")
		}
	}
}

func tenantText(tenant string) string {
	if tenant == "" {
		return "every tenant"
	}
	return "the tenant " + tenant
}

// checkOverride reports what cannot be set for this rule.
func (c *setCompiler) checkOverride(r *Rule, o *overrideDoc) {
	at := o.at.Into(c.list)
	if o.tenant != "" && r.Together {
		at.Errorf("the rule %s looks at all tenants together, and cannot be tuned for one", r.ID)
	}
	for _, s := range o.sets {
		at := s.at.Into(c.list)
		shared := s.key == setWithin || s.key == setQuiet
		switch {
		case r.Count == nil && (shared || s.key == setAtLeast):
			at.Errorf("the rule %s has no count to set", r.ID)
		case shared && (o.tenant != "" || o.until != 0):
			at.Errorf("is the same for all tenants and times: what is remembered, and the names of alerts, follow from it").
				Hint("leave tenant and until out, or set count.at_least")
		case s.key == setQuiet && o.quiet > 0 && r.Count != nil && o.quiet < max(r.Count.Within, o.within):
			at.Errorf("is shorter than within, %s", max(r.Count.Within, o.within)).Hint("an episode lasts at least as long as the window")
		}
	}
}

// timeline is the rule for a tenant from one override's end to the next.
func timeline(r *Rule, tenant string, all []*overrideDoc) []variant {
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
		v.variants, v.tuned, v.overrides = nil, nil, nil
		for _, o := range all {
			if (o.tenant == "" || o.tenant == tenant) && o.end() >= end {
				o.apply(&v)
			}
		}
		v.hash()
		out = append(out, variant{end, &v})
	}
	return out
}

// forEver is when an override without an end ends.
const forEver = math.MaxInt64

func (o *overrideDoc) end() int64 {
	if o.until == 0 {
		return forEver
	}
	return o.until
}

// applyToAll changes what is one for all tenants and times.
func (o *overrideDoc) applyToAll(r *Rule) {
	if o.within > 0 {
		count := *r.Count
		if r.Quiet == count.Within || r.Quiet < o.within {
			r.Quiet = o.within
		}
		count.Within = o.within
		r.Count = &count
	}
	if o.quiet > 0 {
		r.Quiet = o.quiet
	}
}

// apply changes the rest, in a rule of its own.
func (o *overrideDoc) apply(r *Rule) {
	if o.atLeast > 0 {
		count := *r.Count
		count.AtLeast = o.atLeast
		r.Count = &count
	}
	if o.compiledSeverity != nil {
		r.Severity = o.compiledSeverity
	}
	if o.mode != nil {
		r.Mode = *o.mode
	}
	r.Owner, r.Runbook = cmp.Or(o.owner, r.Owner), cmp.Or(o.runbook, r.Runbook)
	r.Except = slices.Concat(r.Except, o.compiledExcept)
	r.overrides = append(slices.Clone(r.overrides), o.why)
}

func (o *overrideDoc) public() Override {
	out := Override{Tenant: o.tenant, Until: o.until, Why: o.why, Except: o.compiledExcept}
	out.File, out.Line, _ = o.at.Pos()
	for _, s := range o.sets {
		out.Sets = append(out.Sets, s.text)
	}
	return out
}
