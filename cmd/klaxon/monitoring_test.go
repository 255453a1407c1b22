package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v4"
)

// promExpr looks at an expression as far as can be done without Prometheus: brackets that close, and labels that the metrics have.
func promExpr(t *testing.T, where, expr string, all map[string]*dto.MetricFamily) {
	t.Helper()
	var open []rune
	for _, r := range regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`) {
		if i := strings.IndexRune("([{", r); i >= 0 {
			open = append(open, rune(")]}"[i]))
		}
		if strings.ContainsRune(")]}", r) {
			if len(open) == 0 || open[len(open)-1] != r {
				t.Errorf("%s: brackets do not match in %s", where, expr)
				return
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || strings.TrimSpace(expr) == "" {
		t.Errorf("%s: %q is no whole expression", where, expr)
	}
	known := map[string]bool{"job": true, "instance": true, "le": true}
	for name, f := range all {
		if !strings.Contains(expr, name) {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				known[l.GetName()] = true
			}
		}
	}
	for _, by := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(by[1], ",") {
			if !known[strings.TrimSpace(label)] {
				t.Errorf("%s: no metric has the label %s in %s", where, label, expr)
			}
		}
	}
	for _, matcher := range regexp.MustCompile(`([a-z_]+)=~?"`).FindAllStringSubmatch(expr, -1) {
		if !known[matcher[1]] {
			t.Errorf("%s: no metric has the label %s in %s", where, matcher[1], expr)
		}
	}
}

// TestAlertingRules reads the file as strictly as Prometheus does. That each metric exists is TestMetricsNamedInFilesExist's.
func TestAlertingRules(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "deploy/prometheus/klaxon.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Load(data, &file, yaml.WithKnownFields(), yaml.WithUniqueKeys(), yaml.WithSingleDocument()); err != nil {
		t.Fatal(err)
	}
	all, seen := families(t, fullRegistry(t)), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			promExpr(t, r.Alert, r.Expr, all)
			if !regexp.MustCompile(`^Klaxon[A-Z][A-Za-z]+$`).MatchString(r.Alert) || seen[r.Alert] {
				t.Errorf("%q is no name, or there twice", r.Alert)
			}
			seen[r.Alert] = true
			if _, err := time.ParseDuration(r.For); err != nil && r.For != "" {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
			if s := r.Labels["severity"]; s != "warning" && s != "critical" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
			for _, key := range []string{"summary", "description"} {
				text := r.Annotations[key]
				if text == "" || strings.Count(text, "{{") != strings.Count(text, "}}") {
					t.Errorf("%s: %s is %q", r.Alert, key, text)
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d rules were found", len(seen))
	}
}

func TestDashboard(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "deploy/grafana/klaxon.json"))
	if err != nil {
		t.Fatal(err)
	}
	type box struct{ H, W, X, Y int }
	var d struct {
		UID, Title string
		Templating struct{ List []struct{ Name string } }
		Panels     []struct {
			ID      int
			Title   string
			GridPos box
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	variables := []string{"__rate_interval"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	all, ids := families(t, fullRegistry(t)), map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H < 3 {
			t.Errorf("panel %d (%s) has an id twice, no title, no target or no place", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range d.Panels[:i] {
			if a, b := p.GridPos, q.GridPos; a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s lies over %s", p.Title, q.Title)
			}
		}
		for _, target := range p.Targets {
			promExpr(t, p.Title, target.Expr, all)
			for _, v := range regexp.MustCompile(`\$\{?([a-z_]+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(variables, v[1]) {
					t.Errorf("%s: there is no variable %s", p.Title, v[1])
				}
			}
		}
	}
	if len(d.Panels) < 10 || d.UID != "klaxon" {
		t.Errorf("%d panels, uid %s", len(d.Panels), d.UID)
	}
}
