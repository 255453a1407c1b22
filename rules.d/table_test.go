package rulesd_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/rules"
)

var update = flag.Bool("update", false, "write docs/shipped-rules.md anew")

const shippedRules = "../docs/shipped-rules.md"

// TestTableOfRules holds the table of shipped rules to the rules: go test ./rules.d -run TestTableOfRules -update writes it anew.
func TestTableOfRules(t *testing.T) {
	g, _ := compile(t)
	want := tableOfRules(g.Rules.Rules())
	if *update {
		if err := os.WriteFile(shippedRules, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(shippedRules)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the rules say: run go test ./rules.d -run TestTableOfRules -update", shippedRules)
	}
}

func tableOfRules(all []*rules.Rule) string {
	byDatasets := map[string][]*rules.Rule{}
	for _, r := range all {
		key := strings.Join(r.Source.Datasets, ", ")
		byDatasets[key] = append(byDatasets[key], r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Rules that ship

%d rules, by the datasets that they look at. `+"`klaxon rules show ID`"+` shows all of one: its condition, what to do when it fires, and what sets it off
wrongly. What a control promises stands in [rules.md](rules.md#controls); how a rule is tuned, tried or switched off, in [rules.md](rules.md#overrides).
This page is written by a test.
`, len(all))
	for _, key := range slices.Sorted(maps.Keys(byDatasets)) {
		title := key
		if key == "*" {
			title = "every dataset"
		}
		fmt.Fprintf(&b, "\n## %s\n\n| rule | finds | when | severity | ATT&CK | controls |\n|---|---|---|---|---|---|\n", title)
		for _, r := range byDatasets[key] {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", r.ID, r.Title, whenText(r), severities(r), techniques(r), strings.Join(r.Controls, ", "))
		}
	}
	return b.String()
}

func whenText(r *rules.Rule) string {
	if r.Count == nil {
		return "at once"
	}
	return fmt.Sprintf("%d in %s by %s", r.Count.AtLeast, strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(r.Count.Within.String()), strings.Join(r.Count.By, ", "))
}

func severities(r *rules.Rule) string {
	var words []string
	for _, c := range r.Severity {
		if w := c.Is.String(); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, ", ")
}

func techniques(r *rules.Rule) string {
	var out []string
	for _, tag := range r.Tags {
		if id, ok := strings.CutPrefix(tag, "attack.t"); ok && len(id) >= 4 && id[0] >= '0' && id[0] <= '9' {
			out = append(out, "T"+id)
		}
	}
	return strings.Join(out, ", ")
}
