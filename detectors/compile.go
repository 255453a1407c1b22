package detectors

import (
	"math"
	"slices"
	"strconv"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/rules"
)

// Compile makes a program of a set of rules. What it reports are warnings: a set that could be loaded can be run.
func Compile(set *rules.Set, limits Limits) (*Program, diag.List) {
	var list diag.List
	var out []*rule
	for _, r := range set.Rules() {
		out = append(out, compileRule(set, r, &list))
	}
	return newProgram(limits, out), list
}

func compileRule(set *rules.Set, r *rules.Rule, list *diag.List) *rule {
	out := &rule{id: r.ID, basis: r.Basis, names: r.IncidentBy, incident: r.IncidentBy, plain: newVariant(r)}
	if r.Count != nil {
		out.names = r.Count.By
		out.incident = incidentNames(r, list)
		out.clause = newClause(atLeast(r), r.Count.Within, r.Quiet)
	}
	variants := r.Variants()
	if len(variants) == 1 {
		return out
	}
	compiled := make(map[*rules.Rule]*variant, len(variants))
	for _, v := range variants {
		compiled[v] = newVariant(v)
		if out.clause != nil {
			out.clause.atLeast = min(out.clause.atLeast, compiled[v].atLeast)
		}
	}
	out.resolve = func(tenant string, ms int64) *variant { return compiled[set.Resolve(r.ID, tenant, ms)] }
	return out
}

func atLeast(r *rules.Rule) uint32 {
	if r.Count == nil {
		return 1
	}
	return uint32(min(max(r.Count.AtLeast, 1), math.MaxUint32))
}

// incidentNames is incident_by as far as it stands in by. The evidence of an alert has many values of any other field, and which
// were seen first depends on the order of arrival: an incident of them would not be the same in every run.
func incidentNames(r *rules.Rule, list *diag.List) []string {
	var out []string
	for _, name := range r.IncidentBy {
		if slices.Contains(r.Count.By, name) {
			out = append(out, name)
			continue
		}
		*list = append(*list, diag.Diagnostic{File: r.File, Line: r.Line, Path: "alert.incident_by", Warning: true,
			Message: "the rule " + r.ID + " counts events that may differ in " + name + ", which therefore cannot tell incidents apart",
			Hint:    "name it in count.by too, or leave it out"})
	}
	if len(out) == 0 {
		return r.Count.By
	}
	return out
}

func newVariant(r *rules.Rule) *variant {
	return &variant{
		atLeast: atLeast(r),
		texts:   newTexts(r),
		info: alert.Rule{ID: r.ID, Title: r.Title, Version: strconv.FormatUint(r.Version, 16), Mode: alert.Mode(r.Mode.String()),
			Owner: r.Owner, Runbook: r.Runbook, Tags: r.Tags, Controls: r.Controls},
	}
}

// ruleTexts is what a rule of package rules says.
type ruleTexts struct {
	rule            *rules.Rule
	varies, watches bool
}

func newTexts(r *rules.Rule) ruleTexts {
	t := ruleTexts{rule: r}
	for _, c := range r.Severity {
		if c.When == nil {
			continue
		}
		t.varies = true
		for _, name := range c.When.Fields() {
			t.watches = t.watches || name != countName && (r.Count == nil || !slices.Contains(r.Count.By, name))
		}
	}
	return t
}

// countName is how texts and conditions name the count.
const countName = "count"

// Title is the alert's title.
func (t ruleTexts) Title(v *view) string {
	if t.rule.TitleTemplate == nil {
		return t.rule.Title
	}
	return t.rule.TitleTemplate.Render(v.get)
}

// Severity is the alert's severity.
func (t ruleTexts) Severity(v *view) alert.Severity {
	return alert.Severity(t.rule.SeverityOf(v.count, v.get))
}

// Varies says that there is more than one severity.
func (t ruleTexts) Varies() bool { return t.varies }

// Watches says that the severity looks at more than the count and the key.
func (t ruleTexts) Watches() bool { return t.watches }

// field is the values of a field.
func (v *view) field(name string) []string {
	if name == countName {
		return []string{strconv.FormatInt(v.count, 10)}
	}
	for _, f := range v.keyFields() {
		if f.Name == name {
			return f.Values
		}
	}
	for _, f := range v.values {
		if f.name == name {
			return f.values
		}
	}
	return nil
}
