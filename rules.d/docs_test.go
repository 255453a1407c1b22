package rulesd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/pipeline"
)

var fenced = regexp.MustCompile("(?ms)^```yaml (rule|dataset)\n(.*?)^```$")

// examples is the fenced blocks of the documentation of one kind, named by their place.
func examples(t *testing.T, kind string) fstest.MapFS {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documentation: %v", err)
	}
	out := fstest.MapFS{}
	for _, name := range append(files, "../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fenced.FindAllSubmatchIndex(text, -1) {
			if string(text[m[2]:m[3]]) == kind {
				line := strings.Count(string(text[:m[4]]), "\n") + 1
				out[fmt.Sprintf("%s-%04d.yaml", filepath.Base(name), line)] = &fstest.MapFile{Data: text[m[4]:m[5]]}
			}
		}
	}
	return out
}

// TestEveryExampleInTheDocumentationRuns loads the examples beside what ships, as their readers would, and runs the tests inside.
func TestEveryExampleInTheDocumentationRuns(t *testing.T) {
	ruleFiles, datasetFiles := examples(t, "rule"), examples(t, "dataset")
	if len(ruleFiles) < 5 || len(datasetFiles) < 2 {
		t.Errorf("%d rules and %d datasets", len(ruleFiles), len(datasetFiles))
	}
	g, program, sets := compileWith(t, ruleFiles, datasetFiles)
	tester := pipeline.NewTester(g, program)
	ran := 0
	for _, r := range g.Rules.Rules() {
		if _, documented := ruleFiles[r.File]; !documented {
			continue
		}
		if len(r.Tests) == 0 {
			t.Errorf("%s: %s has no test", r.File, r.ID)
		}
		for i := range r.Tests {
			ran++
			if f := tester.Run(r, &r.Tests[i]).Failures; len(f) > 0 {
				t.Errorf("%s: %s: %s: %s", r.File, r.ID, r.Tests[i].Name, strings.Join(f, "; "))
			}
		}
	}
	if ran == 0 {
		t.Error("no test of a rule ran")
	}
	n := g.NewNormalizer()
	e := event.New(g.Schema)
	results := sets.Test(func(dataset string, rec *event.Record, each func(*event.Event)) error {
		return n.NormalizeAs(dataset, rec, e, each)
	})
	if !slices.ContainsFunc(results, func(r datasets.TestResult) bool { _, ok := datasetFiles[r.File]; return ok }) {
		t.Error("no test of a dataset ran")
	}
	for _, r := range results {
		if len(r.Failures) > 0 {
			t.Errorf("%s:%d: %s: %s: %s", r.File, r.Line, r.Dataset, r.Name, strings.Join(r.Failures, "; "))
		}
	}
}
