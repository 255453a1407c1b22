package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/mmdbtest"
)

const root = "../.."

// TestExampleConfiguration reads the annotated configuration as it ships, and once more with every commented setting on.
func TestExampleConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "klaxon.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := wholeExample(t)
	for name, text := range map[string]string{filepath.Join(t.TempDir(), "as-it-ships.yaml"): string(data), all: ""} {
		var list diag.List
		if text == "" {
			_, list = loadConfig(all, noEnv)
		} else {
			parseConfig(name, []byte(text), noEnv, &list)
		}
		if err := list.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// wholeExample writes the annotated configuration with every commented setting on, and files with certificates and secrets for it.
// It answers with the file's name and the secrets.
func wholeExample(t *testing.T) (file string, secrets []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "klaxon.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^( *)# ( *(?:- )?[a-z_]+:( |$).*)$`).ReplaceAllString(string(data), "$1$2")
	if text == string(data) {
		t.Fatal("no commented setting was found")
	}
	text = strings.Replace(text, "  path: data/klaxon.db\n", "", 1) // a store is in a file or in a database
	dir := t.TempDir()
	writeCertificates(t, dir)
	text = regexp.MustCompile(`/run/secrets/[a-z-]+`).ReplaceAllStringFunc(text, func(name string) string {
		own, secret := filepath.Join(dir, filepath.Base(name)), "s3cret-of-"+filepath.Base(name)
		secrets = append(secrets, secret)
		if err := os.WriteFile(own, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return own
	})
	mmdbtest.Write(t, dir)
	text = regexp.MustCompile(`(city|country|asn|anonymous): \S+\.mmdb`).ReplaceAllString(text, "$1: $1.mmdb")
	file = filepath.Join(dir, "klaxon.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, secrets
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
				parseElsewhere(t, file, block[1])
			}
		}
	}
	if found == 0 {
		t.Error("no configuration was found in the documents")
	}
}

// parseElsewhere reads a configuration of another machine, whose files are not here.
func parseElsewhere(t *testing.T, name, text string) {
	t.Helper()
	values := map[string]string{"CREDENTIALS_DIRECTORY": "/run/credentials", "KLAXON_ROLE": "detect", "KLAXON_OTHER_ROLE": "deliver"}
	env := func(name string) (string, bool) {
		if v := values[name]; v != "" {
			return v, true
		}
		return "x:1", true
	}
	var list diag.List
	parseConfig(filepath.Join(t.TempDir(), "klaxon.yaml"), []byte(text), env, &list)
	for _, d := range list {
		if !strings.Contains(d.Message, "cannot read ") && !strings.Contains(d.Message, "cannot be read") && !strings.Contains(d.Message, "password is missing") && !strings.Contains(d.Message, "secret is missing") {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestStartedAsDeployed: klaxon takes the command lines that the unit, the image and the manifests start it with. With a configuration
// that is not there it says so, and would say first what is wrong with the flags.
func TestStartedAsDeployed(t *testing.T) {
	for file, pattern := range map[string]string{
		"deploy/systemd/klaxon.service": `(?m)^ExecStart=/usr/local/bin/klaxon (.*)$`,
		"deploy/kubernetes/read.yaml":   `(?m)^ +args: \[(.*)\]$`,
		"deploy/kubernetes/decide.yaml": `(?m)^ +args: \[(.*)\]$`,
		"Dockerfile":                    `(?m)^CMD \[(.*)\]$`,
	} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		line := regexp.MustCompile(pattern).FindStringSubmatch(string(data))
		if line == nil {
			t.Errorf("%s starts nothing", file)
			continue
		}
		args := strings.Fields(strings.NewReplacer(",", " ", `"`, "").Replace(line[1]))
		args[len(args)-1] = "nowhere.yaml"
		var out bytes.Buffer
		if code := run(args, streams{out: &out, err: &out}); code != exitError || !strings.Contains(out.String(), "nowhere.yaml: open") {
			t.Errorf("%s: klaxon %v ends with %d: %s", file, args, code, out.String())
		}
	}
}

// TestKubernetesConfiguration reads the configuration inside the manifests, and looks whether each process has the memory that its
// roles need. test/deploy has the rest.
func TestKubernetesConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "deploy/kubernetes/configmap.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)^  klaxon\.yaml: \|\n((?:    .*\n|\n)+)`).FindStringSubmatch(string(data))
	if block == nil {
		t.Fatal("there is no klaxon.yaml")
	}
	text := regexp.MustCompile(`(?m)^    `).ReplaceAllString(block[1], "")
	parseElsewhere(t, "configmap.yaml", text)
	for file, roles := range map[string][]string{"read.yaml": {"archive", "match"}, "decide.yaml": {"detect", "deliver"}} {
		manifest, err := os.ReadFile(filepath.Join(root, "deploy/kubernetes", file))
		if err != nil {
			t.Fatal(err)
		}
		limit := regexp.MustCompile(`limits: \{memory: (\d+[MG]i)\}`).FindStringSubmatch(string(manifest))
		if limit == nil {
			t.Fatalf("%s has no limit of memory", file)
		}
		bytes, _ := parseSize(limit[1] + "B")
		cfg := defaultConfig()
		cfg.Roles, cfg.Archive.Elasticsearch = roles, &ElasticsearchConfig{}
		if need := cfg.memoryNeed(); float64(bytes)*memoryShare < float64(need) {
			t.Errorf("%s: %s are less than the %s that %v need", file, limit[1], byteText(need), roles)
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
