package ingest

import (
	"io/fs"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/rules"
)

func compileCondition(src string, s *event.Schema) (datasets.Condition, diag.List) {
	c, list := rules.CompileCondition(src, s, rules.ConditionOptions{})
	return c, list
}

// shipped compiles the shipped units, and whatever is given on top of them.
func shipped(t testing.TB, more ...fs.FS) *datasets.Set {
	t.Helper()
	var list diag.List
	units := datasets.LoadFiles(append([]fs.FS{datasets.Shipped()}, more...), &list)
	s, err := event.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	s, problems := datasets.Extend(s, units)
	list = append(list, problems...)
	set, problems := datasets.Compile(units, datasets.Options{Schema: s, Compile: compileCondition})
	list = append(list, problems...)
	if len(list) > 0 {
		t.Fatal(list.String())
	}
	return set
}

func TestShippedDatasets(t *testing.T) {
	set := shipped(t)
	results := TestDatasets(Options{Datasets: set, Country: enrich.Embedded{}})
	for _, r := range results {
		for _, f := range r.Failures {
			t.Errorf("%s:%d: %s: %s: %s", r.File, r.Line, r.Dataset, r.Name, f)
		}
	}
	if len(results) < 80 {
		t.Errorf("only %d tests", len(results))
	}
}
