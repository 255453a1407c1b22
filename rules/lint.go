package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// Lint says what is allowed and likely wrong, or missing, in the rules of a set: warnings only, in the order of files and lines. What has
// ended by now, or ends within soon, is named too.
func Lint(s *Set, now time.Time, soon time.Duration) diag.List {
	l := &linter{set: s, now: now.UnixMilli(), soon: now.Add(soon).UnixMilli(), titles: map[string]*Rule{}, versions: map[uint64]*Rule{}}
	for _, r := range s.rules {
		l.rule(r)
	}
	l.list.Sort()
	return l.list
}

type linter struct {
	set      *Set
	list     diag.List
	now      int64 // Unix milliseconds
	soon     int64
	datasets []string // of the rule under way; none: unknown
	titles   map[string]*Rule
	versions map[uint64]*Rule
}

// warn reports something about a rule as a whole.
func (l *linter) warn(r *Rule, path, hint, format string, args ...any) {
	l.warnAt(r.File, r.Line, path, hint, format, args...)
}

func (l *linter) warnAt(file string, line int, path, hint, format string, args ...any) {
	l.list = append(l.list, diag.Diagnostic{File: file, Line: line, Column: 1, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

func (l *linter) rule(r *Rule) {
	l.described(r)
	l.tested(r)
	l.duplicates(r)
	l.source(r)
	l.keys(r)
	for _, p := range r.conditions {
		l.condition(r, p)
	}
	for i, x := range r.Except {
		l.exception(r, r.File, r.Line, fmt.Sprintf("except[%d]", i), x)
	}
	for _, o := range r.Overrides() {
		l.override(r, o)
	}
	if r.Count != nil && r.Count.AtLeast == 1 {
		l.warn(r, "count.at_least", "leave count out", "one event is enough, so that nothing needs counting")
	}
	if r.Count == nil && len(r.IncidentBy) == 0 {
		l.warn(r, "alert.incident_by", "write incident_by: [user.name], say", "without it all alerts of a tenant are one incident")
	}
}

func (l *linter) described(r *Rule) {
	for _, m := range []struct {
		missing   bool
		path, why string
	}{
		{r.Owner == "", "owner", "somebody has to look after it"},
		{r.Runbook == "", "runbook", "who is on call needs to know what to do"},
		{len(r.FalsePositives) == 0, "false_positives", "say what harmless thing may look the same"},
		{len(r.Tags) == 0, "tags", "name the ATT&CK technique, such as attack.t1110.001"},
	} {
		if m.missing {
			l.warn(r, m.path, m.why, "is missing")
		}
	}
}

func (l *linter) tested(r *Rule) {
	if len(r.Tests) == 0 {
		l.warn(r, "tests", "add one that must alert, and one that nearly does", "is missing")
		return
	}
	alerting := func(t Test) bool { return len(t.Alerts) > 0 }
	if !slices.ContainsFunc(r.Tests, alerting) {
		l.warn(r, "tests", "add a test with alerts", "no test shows the rule alerting")
	}
	if !slices.ContainsFunc(r.Tests, func(t Test) bool { return !alerting(t) }) {
		l.warn(r, "tests", "add a test that nearly alerts, with alerts: []", "no test shows what the rule must leave alone")
	}
}

func (l *linter) duplicates(r *Rule) {
	if before, dup := l.titles[r.Title]; dup {
		l.warn(r, "title", "", "is also that of %s (%s:%d)", before.ID, before.File, before.Line)
	}
	if before, dup := l.versions[r.Version]; dup {
		l.warn(r, "where", "", "looks for exactly what %s does (%s:%d)", before.ID, before.File, before.Line)
	}
	l.titles[r.Title], l.versions[r.Version] = r, r
}

func (l *linter) condition(r *Rule, p placed) {
	at := p.doc.node.Into(&l.list)
	report := func(offset int, hint, format string, args ...any) {
		at.WarnfAt(offset+p.doc.lead, format, args...).Hint("%s", hint)
	}
	for _, u := range unguarded(p.cond.root) {
		b := u.problem(true)
		report(b.at, b.hint, "%s", b.message)
	}
	contradictions(p.cond.root, false, report)
	for _, name := range p.cond.Fields() {
		if !l.filled(name) {
			report(0, "", "no dataset of the rule fills %s", strings.TrimSuffix(name, elementsSuffix))
		}
	}
	if l.set.options.Allowed != nil {
		p.cond.root.each(false, func(a *atom, _ bool) { l.allowed(a, report) })
	}
}

// allowed finds comparisons with a value that the field never has.
func (l *linter) allowed(a *atom, report func(int, string, string, ...any)) {
	if a.cls != classText || a.right != nil || a.left.fn != noFunction || a.left.element {
		return
	}
	values := l.set.options.Allowed(a.left.field)
	if values == nil {
		return
	}
	var literals []val
	switch {
	case a.op == opEqual && !a.fold:
		literals = []val{a.lit}
	case a.op == opOneOf:
		literals = a.set.vals
	}
	for _, v := range literals {
		if !slices.Contains(values, v.text) {
			hint := diag.DidYouMean(v.text, values)
			if hint == "" {
				hint = "it can be " + strings.Join(values, ", ")
			}
			report(a.left.at, hint, "%s is never %q", a.left.name, v.text)
		}
	}
}

// contradictions finds conditions that hold never or always, where this is easily seen.
func contradictions(n *node, negated bool, report func(int, string, string, ...any)) {
	switch n.op {
	case nodeConst:
		report(n.at, "leave it out", "%v makes no difference, or all of it", n.is != negated)
	case nodeNot:
		contradictions(n.kids[0], !negated, report)
	case nodeAtom:
		if n.atom.elems != nil {
			contradictions(n.atom.elems.pred, false, report)
		}
	case nodeAnd, nodeOr:
		conflicts(n, negated, report)
		for _, k := range n.kids {
			contradictions(k, negated, report)
		}
	default:
		for _, k := range n.kids {
			contradictions(k, negated, report)
		}
	}
}

// conflicts looks at what stands beside each other.
func conflicts(n *node, negated bool, report func(int, string, string, ...any)) {
	conjunction := (n.op == nodeAnd) != negated
	seen := map[string]bool{}
	equal := map[string]*atom{}
	for _, k := range n.kids {
		plain, no := k, false
		if k.op == nodeNot {
			plain, no = k.kids[0], true
		}
		text := plain.String()
		if before, twice := seen[text]; twice && before != no {
			word := "always"
			if conjunction {
				word = "never"
			}
			report(k.at, "", "holds %s: %s stands beside its own negation", word, text)
		} else if twice {
			report(k.at, "leave one out", "%s stands there twice", text)
		}
		seen[text] = no
		a := plain.atom
		if !conjunction || no != negated || plain.op != nodeAtom || a.op != opEqual || a.right != nil {
			continue
		}
		if before := equal[a.subject]; before != nil && before.object != a.object {
			report(k.at, "write or", "holds only where %s has several values, %s and %s among them", a.subject, before.object, a.object)
		}
		equal[a.subject] = a
	}
}
