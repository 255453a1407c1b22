package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/mmdbtest"
	"pgregory.net/rapid"
)

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rendered is the configuration that flags and findings make, read back.
func rendered(t *testing.T, c *initCmd, s *survey) (string, Config) {
	t.Helper()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	text, err := c.render(s)
	if err != nil {
		t.Fatal(err)
	}
	var list diag.List
	cfg := parseConfig(c.Output, []byte(text), noEnv, &list)
	if list.HasErrors() {
		t.Fatalf("%v\n%s", list, text)
	}
	return text, cfg
}

func TestRenderedConfigurationSaysWhatTheFlagsSay(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir)
	t.Chdir(dir)
	writeFile(t, dir, "pass word", "s3cret\n")
	if err := os.Mkdir("sets", 0o700); err != nil {
		t.Fatal(err)
	}
	c := &initCmd{Brokers: []string{"kafka-1:9093", "kafka-2:9093"}, CAFile: "ca.pem", CertFile: "client.pem", KeyFile: "client.key", ServerName: "kafka.example", Username: `$klaxon "a"`, PasswordFile: "pass word",
		Sample: 1, Timeout: 1, Output: "klaxon.yaml", Elasticsearch: "https://elastic.example:9200", unitFlags: unitFlags{DatasetDir: []string{"sets"}, NoShipped: true}}
	text, cfg := rendered(t, c, &survey{TenantHeader: "on"})
	if strings.Contains(text, "s3cret") {
		t.Error("it holds the password")
	}
	if strings.Contains(text, dir) {
		t.Errorf("paths below the configuration's folder are absolute:\n%s", text)
	}
	k := cfg.Kafka
	if !slices.Equal(k.Brokers, c.Brokers) || k.TLS == nil || filepath.Base(k.TLS.KeyFile) != "client.key" || k.TLS.ServerName != "kafka.example" || k.SASL == nil || k.SASL.Username != c.Username || k.SASL.Password != "s3cret" || k.SASL.Mechanism != "SCRAM-SHA-512" {
		t.Errorf("kafka: %+v, %+v, %+v", k, k.TLS, k.SASL)
	}
	if cfg.Archive.Local != nil || cfg.Archive.Elasticsearch == nil || cfg.Rules.Shipped || !slices.Equal(cfg.Datasets.Dirs, []string{"sets"}) || cfg.Tenant.Header != "on" {
		t.Errorf("%+v", cfg)
	}
}

// TestRenderedConfigurationWithEverythingOn holds that whatever stands behind a # is a setting that can be switched on.
func TestRenderedConfigurationWithEverythingOn(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir)
	writeFile(t, dir, "secret", "x")
	mmdbtest.Write(t, dir)
	for name, c := range map[string]*initCmd{
		"local":         {Brokers: []string{"localhost:9092"}, Sample: 1, Timeout: 1, Output: filepath.Join(dir, "klaxon.yaml")},
		"elasticsearch": {Brokers: []string{"localhost:9092"}, Sample: 1, Timeout: 1, Output: filepath.Join(dir, "klaxon.yaml"), Elasticsearch: "http://localhost:9200"},
	} {
		text, _ := rendered(t, c, &survey{})
		all := regexp.MustCompile(`(?m)^( *)# ( *(?:- )?[a-z_]+:( |$).*)$`).ReplaceAllString(text, "$1$2")
		all = regexp.MustCompile(`/run/secrets/[a-z-]+`).ReplaceAllString(all, filepath.Join(dir, "secret"))
		all = regexp.MustCompile(`(city|asn|anonymous): \S+\.mmdb`).ReplaceAllString(all, "$1: $1.mmdb")
		if all == text {
			t.Fatal("no commented setting was found")
		}
		all = strings.Replace(all, "  path: data/klaxon.db\n", "", 1) // a store is in a file or in a database
		var list diag.List
		if parseConfig(c.Output, []byte(all), noEnv, &list); list.HasErrors() {
			t.Errorf("%s: %v\n%s", name, list, all)
		}
	}
}

// TestRenderedConfigurationIsSafe: nothing that a cluster chose can be more than it is.
func TestRenderedConfigurationIsSafe(t *testing.T) {
	c := &initCmd{Brokers: []string{"localhost:9092"}, Sample: 1, Timeout: 1, Output: filepath.Join(t.TempDir(), "klaxon.yaml")}
	bad := "x\nadmin: {listen: \"0.0.0.0:1\"}\r\u2028\x1b[2J${HOME}"
	f := &finding{Topic: "on", Dataset: "text", Tenants: []string{bad}}
	out := &finding{Topic: "1e3", Skip: skipFailed, Detail: bad}
	text, cfg := rendered(t, c, &survey{Topics: []*finding{f, out, {Topic: "007", Dataset: "text"}}, TenantHeader: bad})
	if cfg.Admin.Listen != "127.0.0.1:9464" || cfg.Tenant.Header != bad || !slices.Equal(cfg.Kafka.Topics, []string{"on", "007"}) {
		t.Errorf("admin %q, tenant %q, topics %q\n%s", cfg.Admin.Listen, cfg.Tenant.Header, cfg.Kafka.Topics, text)
	}
}

func TestYAMLTextIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"yes", "on", "1", "1.5", "0x1f", "null", "~", "a: b", "- a", "# a", "${A}", "$$", "a#b", "2026-10-10", "a.b-c_d/e", ""})).Draw(t, "text")
		var list diag.List
		docs := diag.Documents("f", []byte("a: ["+yamlText(want)+", z]"), &list)
		if list.HasErrors() || len(docs) != 1 {
			t.Fatalf("%s is no YAML: %v", yamlText(want), list)
		}
		docs[0].Substitute(func(s string) (string, error) { return expandEnv(s, noEnv) })
		m, ok := docs[0].Map()
		if !ok {
			t.Fatal("no map")
		}
		items := m.Get("a").Seq()
		if got := items[0].Text(); got != want && strings.ToValidUTF8(want, "\ufffd") != got || list.HasErrors() {
			t.Fatalf("%q became %q: %v", want, got, list)
		}
	})
}

func TestPatternHints(t *testing.T) {
	logs := func(names ...string) []*finding {
		var out []*finding
		for _, n := range names {
			out = append(out, &finding{Topic: n})
		}
		return out
	}
	if got := patternHints(&survey{Topics: logs("logs.a", "logs.b", "app.x", "alone")}); len(got) != 1 || !strings.HasPrefix(got[0], `"logs.*" is a pattern for 2 of them`) {
		t.Errorf("got %q", got)
	}
	left := append(logs("logs.a", "logs.b"), &finding{Topic: "logs.c", Skip: skipBinary})
	if got := patternHints(&survey{Topics: left}); len(got) != 0 {
		t.Errorf("a pattern that names what is left out: %q", got)
	}
}
