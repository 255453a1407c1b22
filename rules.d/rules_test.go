package rulesd_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/rules"
	rulesd "github.com/klaxonhq/klaxon/rules.d"
)

// compile compiles the shipped rules against the shipped datasets.
func compile(t testing.TB) (*pipeline.Generation, *detectors.Program) {
	g, program, _ := compileWith(t, nil, nil)
	return g, program
}

// compileWith compiles the shipped rules and datasets, and more of them.
func compileWith(t testing.TB, moreRules, moreDatasets fs.FS) (*pipeline.Generation, *detectors.Program, *datasets.Set) {
	t.Helper()
	var list diag.List
	registry := lists.Load(rulesd.Lists(), &list)
	ruleTrees, datasetTrees := []fs.FS{rulesd.FS()}, []fs.FS{datasets.Shipped()}
	if moreRules != nil {
		ruleTrees, datasetTrees = append(ruleTrees, moreRules), append(datasetTrees, moreDatasets)
	}
	units := rules.LoadFiles(ruleTrees, &list)
	sets := datasets.LoadFiles(datasetTrees, &list)
	schema, err := ecs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	schema, more := datasets.Extend(schema, sets)
	list = append(list, more...)
	var names []string
	for _, u := range units {
		names = append(names, u.FieldNames()...)
	}
	if schema, err = rules.ExtendSchema(schema, names); err != nil {
		t.Fatal(err)
	}
	condition := func(src string, s *event.Schema) (datasets.Condition, diag.List) {
		c, list := rules.CompileCondition(src, s, rules.ConditionOptions{Lists: registry})
		if list.HasErrors() {
			return nil, list
		}
		return c, list
	}
	claimed, more := datasets.Compile(sets, datasets.Options{Schema: schema, Compile: condition})
	list = append(list, more...)
	g := &pipeline.Generation{Schema: schema}
	g.Rules, more = rules.Compile(units, rules.Options{Schema: schema, Lists: registry, Catalog: claimed, Allowed: ecs.Allowed})
	list = append(list, more...)
	program, more := detectors.Compile(g.Rules, detectors.Limits{})
	list = append(list, more...)
	for _, d := range list {
		t.Error(d)
	}
	if t.Failed() {
		t.FailNow()
	}
	g.NewNormalizer = func() *ingest.Normalizer {
		return ingest.NewNormalizer(ingest.Options{Datasets: claimed, Schema: schema, Country: enrich.Embedded{}, Tenant: ingest.TenantRule{Header: traffic.TenantHeader}})
	}
	return g, program, claimed
}

func TestEveryRulePassesItsTests(t *testing.T) {
	g, program := compile(t)
	tester := pipeline.NewTester(g, program)
	for _, r := range g.Rules.Rules() {
		for i := range r.Tests {
			for _, f := range tester.Run(r, &r.Tests[i]).Failures {
				t.Errorf("%s:%d: %s: %s: %s", r.Tests[i].File, r.Tests[i].Line, r.ID, r.Tests[i].Name, f)
			}
		}
	}
}

// TestEveryRuleIsComplete holds what a shipped rule must have beyond what the loader asks for.
func TestEveryRuleIsComplete(t *testing.T) {
	g, _ := compile(t)
	if n := len(g.Rules.Rules()); n < 12 {
		t.Errorf("%d rules", n)
	}
	for _, r := range g.Rules.Rules() {
		fires, near, raw := 0, 0, 0
		for i := range r.Tests {
			if len(r.Tests[i].Alerts) > 0 {
				fires++
			} else {
				near++
			}
			for s := range r.Tests[i].Steps() {
				if s.Line != "" {
					raw++
				}
			}
		}
		for what, ok := range map[string]bool{
			"a test that fires": fires > 0, "a near miss": near > 0, "an owner": r.Owner != "", "a runbook": r.Runbook != "", "controls": len(r.Controls) > 0,
			"false positives": len(r.FalsePositives) > 0, "references": len(r.References) > 0, "quiet": r.Quiet > 0, "incident_by": len(r.IncidentBy) > 0,
			"a tag of a technique":       slices.ContainsFunc(r.Tags, func(tag string) bool { return strings.HasPrefix(tag, "attack.t") }),
			"a title with a value in it": strings.Contains(r.TitleTemplate.String(), "{{"), "live mode": r.Mode == rules.Live,
		} {
			if !ok {
				t.Errorf("%s lacks %s", r.ID, what)
			}
		}
	}
	for _, d := range rules.Lint(g.Rules, time.Now(), 0) {
		t.Error(d)
	}
}
