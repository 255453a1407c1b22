package rules

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var lintTime = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// catalog is one dataset, a, which fills every field but some.
type catalog []string

func (c catalog) Names() []string { return []string{"a"} }
func (c catalog) Fills(dataset, field string) bool {
	return dataset == "a" && !slices.Contains(c, field)
}

func TestLintIsContentWithACompleteRule(t *testing.T) {
	if d := Lint(mustLoad(t, bruteforce), lintTime, 14*24*time.Hour); len(d) > 0 {
		t.Error(d)
	}
}

func TestLint(t *testing.T) {
	const head = "id: x\ntitle: x\nsource: {dataset: [a]}\nseverity: high\n"
	opts := Options{Catalog: catalog{"rule.name", "source.port"},
		Allowed: func(f string) []string {
			if f == "event.outcome" {
				return []string{"failure", "success"}
			}
			return nil
		}}
	for name, c := range map[string]struct{ text, want string }{
		"no tests":      {head, "r.yaml:1:1: warning: tests: is missing"},
		"no owner":      {head, "warning: owner: is missing"},
		"no tags":       {head, "warning: tags: is missing"},
		"no runbook":    {head, "warning: runbook: is missing"},
		"no fp":         {head, "warning: false_positives: is missing"},
		"no near miss":  {head + "tests: [{name: a, events: [{}], alerts: [{}]}]\n", "no test shows what the rule must leave alone"},
		"no positive":   {head + "tests: [{name: a, events: [{}], alerts: []}]\n", "no test shows the rule alerting"},
		"negation":      {head + "where: event.action == \"a\" and user.name != \"x\"\n", `r.yaml:5:42: warning: where: user.name != "x" also holds where user.name is absent (write: has(user.name) and user.name != "x")`},
		"one incident":  {head, "all alerts of a tenant are one incident"},
		"at least one":  {head + "count: {by: [source.ip], within: 1m, at_least: 1}\n", "nothing needs counting"},
		"endless":       {head + "except: [{where: 'user.name == \"x\"', why: x}]\n", "except[0]: the exception never ends"},
		"hides all":     {head + "where: user.name == \"x\"\nexcept: [{where: 'user.name==\"x\"', why: x}]\n", "hides everything"},
		"same title":    {head + "---\n" + strings.Replace(head, "id: x", "id: y", 1), "title: is also that of x (r.yaml:1)"},
		"same rule":     {head + "---\n" + strings.Replace(strings.Replace(head, "id: x", "id: y", 1), "title: x", "title: y", 1), "looks for exactly what x does"},
		"never":         {head + "where: has(user.name) and not has(user.name)\n", "holds never: has(user.name) stands beside its own negation"},
		"always":        {head + "where: has(user.name) or not has(user.name)\n", "holds always"},
		"both":          {head + "where: user.name == \"a\" and user.name == \"b\"\n", `holds only where user.name has several values, "a" and "b" among them (write or)`},
		"twice":         {head + "where: user.name == \"a\" or user.name == 'a'\n", "stands there twice"},
		"constant":      {head + "where: true and has(user.name)\n", "true makes no difference"},
		"unknown field": {head + "where: rule.name == \"a\"\n", "r.yaml:5:8: warning: where: no dataset of the rule fills rule.name"},
		"unknown key":   {head + "count: {by: [source.port], within: 1m, at_least: 2}\n", "no dataset of the rule fills source.port, which it counts by or shows"},
		"no dataset":    {strings.Replace(head, "[a]", "[aa]", 1), "source.dataset: there is no dataset aa (did you mean a?)"},
		"never value":   {head + "where: event.outcome == \"failed\"\n", `event.outcome is never "failed" (it can be failure, success)`},
		"never of list": {head + "where: event.outcome in [\"failure\", \"sucess\"]\n", `event.outcome is never "sucess"`},
	} {
		t.Run(name, func(t *testing.T) {
			set, d := load(t, c.text, opts)
			if d.HasErrors() {
				t.Fatal(d)
			}
			got := Lint(set, lintTime, 14*24*time.Hour)
			if got.HasErrors() || !strings.Contains(got.String(), c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	set, _ := load(t, head+"where: not (user.name == \"a\" or user.name == \"b\") and event.action in [\"a\"]\n", opts)
	if got := Lint(set, lintTime, 0).String(); strings.Contains(got, "holds only") {
		t.Error(got)
	}
}
