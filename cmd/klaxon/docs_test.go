package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/pipeline"
)

const root = "../.."

// TestExampleConfiguration reads the annotated configuration as it ships, and once more with every commented setting on.
func TestExampleConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "klaxon.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, text string, secrets bool) {
		dir := t.TempDir()
		if secrets {
			writeCertificates(t, dir)
			for _, file := range regexp.MustCompile(`/run/secrets/[a-z-]+`).FindAllString(text, -1) {
				own := filepath.Join(dir, filepath.Base(file))
				text = strings.ReplaceAll(text, file+"\n", own+"\n")
				text = strings.ReplaceAll(text, file+" ", own+" ")
				if err := os.WriteFile(own, []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range regexp.MustCompile(`[A-Za-z0-9-]+\.mmdb`).FindAllString(text, -1) {
				if err := os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		var list diag.List
		parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(text), noEnv, &list)
		if err := list.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("as it ships", string(data), false)
	setting := regexp.MustCompile(`(?m)^( *)# ( *(?:- )?[a-z_]+:( |$).*)$`)
	all := setting.ReplaceAllString(string(data), "$1$2")
	if all == string(data) {
		t.Fatal("no commented setting was found")
	}
	all = strings.Replace(all, "  path: data/klaxon.db\n", "", 1) // a store is in a file or in a database
	check("with everything on", all, true)
}

// TestConfigurationsInDocs reads every configuration that the documents show.
func TestConfigurationsInDocs(t *testing.T) {
	found := 0
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range regexp.MustCompile("(?s)```yaml config\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
				found++
				dir := t.TempDir()
				var list diag.List
				parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(block[1]), func(string) (string, bool) { return "x:1", true }, &list)
				for _, d := range list {
					if !strings.Contains(d.Message, "cannot read the secret") && !strings.Contains(d.Message, "cannot be read") && !strings.Contains(d.Message, "password is missing") && !strings.Contains(d.Message, "secret is missing") {
						t.Errorf("%s: %s", file, d)
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("no configuration was found in the documents")
	}
}

// TestMetricsAreDocumented compares the metrics with the list in the documents.
func TestMetricsAreDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStats()
	s.archive["x"], s.deliver["x"] = pipeline.NewArchiveStats(), &pipeline.DeliverStats{}
	s.match.Rules.Add("x", pipeline.RuleCounts{Matched: 1})
	s.leases["x"] = &pipeline.Gauge{}
	s.geoip["city"] = &pipeline.Gauge{}
	reg, err := s.registry()
	if err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "klaxon_") {
			continue
		}
		have[name] = true
		if !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("%s is not in docs/operations.md", name)
		}
		if len(f.GetHelp()) < 10 {
			t.Errorf("%s has no help", name)
		}
	}
	for _, m := range regexp.MustCompile("`(klaxon_[a-z_]+)`").FindAllStringSubmatch(string(data), -1) {
		if !have[m[1]] {
			t.Errorf("docs/operations.md names %s, which does not exist", m[1])
		}
	}
}

// TestLinksInDocs follows every link from one document to another, headings included.
func TestLinksInDocs(t *testing.T) {
	heading, other := regexp.MustCompile(`(?m)^#+ (.*)$`), regexp.MustCompile(`[^a-z0-9 _-]`)
	anchors := func(text string) map[string]bool {
		found := map[string]bool{}
		for _, h := range heading.FindAllStringSubmatch(text, -1) {
			found[strings.ReplaceAll(other.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
		}
		return found
	}
	links := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(string(data), -1) {
				if strings.Contains(m[1], ":") {
					continue // on the web
				}
				links++
				path, anchor, _ := strings.Cut(m[1], "#")
				to := file
				if path != "" {
					to = filepath.Join(filepath.Dir(file), path)
				}
				if _, err := os.Stat(to); err != nil {
					t.Errorf("%s: the link %s leads nowhere", file, m[1])
				} else if text, err := os.ReadFile(to); anchor != "" && (err != nil || !anchors(string(text))[anchor]) {
					t.Errorf("%s: there is no heading for the link %s", file, m[1])
				}
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}
