package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/mmdbtest"
	"github.com/klaxonhq/klaxon/pipeline"
)

// geoConfig is a configuration in a folder with databases of every kind.
func geoConfig(t *testing.T, dir, geoip string) (Config, diag.List) {
	t.Helper()
	var list diag.List
	c := parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(smallConfig+"enrich:\n  geoip: {"+geoip+"}\n"), noEnv, &list)
	return c, list
}

const everyDatabase = "city: city.mmdb, country: country.mmdb, asn: asn.mmdb, anonymous: anonymous.mmdb"

func TestDatabasesOfAddresses(t *testing.T) {
	dir := t.TempDir()
	mmdbtest.Write(t, dir)
	c, list := geoConfig(t, dir, everyDatabase)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if got := c.Enrich.Files(); !slices.Equal(got, []string{filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "country.mmdb"), filepath.Join(dir, "asn.mmdb"), filepath.Join(dir, "anonymous.mmdb")}) {
		t.Errorf("files %q", got)
	}
	s := c.sources()
	g, list := load(s)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if got := g.databases.Versions(); len(got) != 4 || got[0].String() != "GeoLite2-City 2026-11-20" || got[3].Kind != enrich.Anonymity {
		t.Errorf("%v", got)
	}
	rec := &event.Record{Source: event.Source{Topic: "x"}, Value: []byte(`{"source":{"ip":"198.51.100.7"}}`)}
	var doc string
	if err := g.NewNormalizer().Normalize(rec, event.New(g.Schema), func(e *event.Event) { doc = string(e.AppendDocument(nil)) }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"region_iso_code":"FR-IDF"`, `"number":64501`, `"network":["anonymous","tor_exit_node"]`, `"location":{"lat":48.8566,"lon":2.3522}`} {
		if !strings.Contains(doc, want) {
			t.Errorf("no %s in %s", want, doc)
		}
	}
	s.opened = g.databases
	again, list := load(s)
	if list.HasErrors() || again.databases.Get(enrich.City) != g.databases.Get(enrich.City) {
		t.Errorf("a file that has not changed was read anew: %v", list)
	}
}

// TestDatabasesThatCannotBeUsed: what is wrong with a file is said at the place that names it, and what to do about it.
func TestDatabasesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	mmdbtest.Write(t, dir)
	city, err := os.ReadFile(filepath.Join(dir, "city.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	domain, err := mmdbtest.Build("GeoIP2-Domain", map[string]mmdbtest.Record{"203.0.113.0/24": {"domain": "example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"cut.mmdb": city[:len(city)-100], "text.mmdb": []byte("404 not found\n"), "domain.mmdb": domain} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ geoip, want string }{
		"missing":          {"city: nowhere.mmdb", "klaxon.yaml:5:17: enrich.geoip.city: cannot be read"},
		"no name":          {`city: ""`, "enrich.geoip.city: names no file"},
		"another key":      {"citys: city.mmdb", `unknown key "citys" (did you mean city?)`},
		"cut off":          {"city: cut.mmdb", "klaxon.yaml:5:17: enrich.geoip.city: " + filepath.Join(dir, "cut.mmdb") + " cannot be used: it is no MaxMind database, or was cut off"},
		"no database":      {"asn: text.mmdb", "klaxon.yaml:5:16: enrich.geoip.asn: "},
		"cities for asn":   {"asn: city.mmdb", `klaxon.yaml:5:16: enrich.geoip.asn: ` + filepath.Join(dir, "city.mmdb") + ` cannot be used: it is a database "GeoLite2-City", which says nothing of autonomous systems (name it under city or country)`},
		"asn for cities":   {"city: asn.mmdb", "which says nothing of cities, regions or locations (name it under asn)"},
		"domains":          {"country: domain.mmdb", `"GeoIP2-Domain", which says nothing of countries (docs/enrichment.md`},
		"a folder":         {"city: .", "it is no file"},
		"two, one of them": {"city: city.mmdb, asn: text.mmdb", "klaxon.yaml:5:33: enrich.geoip.asn: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, list := geoConfig(t, dir, c.geoip)
			if !list.HasErrors() {
				var g *loaded
				if g, list = load(cfg.sources()); g != nil {
					t.Error("it was loaded all the same")
				}
			}
			if !strings.Contains(list.String(), c.want) {
				t.Errorf("%q is not reported in\n%s", c.want, list)
			}
			for _, d := range list {
				if d.Hint == "" || d.Line == 0 || d.Column == 0 {
					t.Errorf("no place or no hint: %s", d)
				}
			}
		})
	}
}

func TestParseWithDatabases(t *testing.T) {
	dir := t.TempDir()
	mmdbtest.Write(t, dir)
	for _, c := range []struct {
		flag string
		code int
		want string
	}{
		{"city=" + filepath.Join(dir, "city.mmdb"), 0, `"region_iso_code":"UA-43"`},
		{"city=" + filepath.Join(dir, "asn.mmdb"), exitError, "says nothing of cities"},
		{"town=x", exitError, "--geoip takes [city country asn anonymous], each with =FILE"},
	} {
		var out, problems strings.Builder
		in := strings.NewReader(`203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8"` + "\n")
		if code := run([]string{"parse", "--geoip", c.flag, "--input", "-"}, streams{in, &out, &problems}); code != c.code {
			t.Errorf("%s: exit code %d: %s", c.flag, code, problems.String())
		}
		if !strings.Contains(out.String()+problems.String(), c.want) {
			t.Errorf("%s: no %q in %s%s", c.flag, c.want, out.String(), problems.String())
		}
	}
}

// TestEmbargoKnowsRegionsWithADatabase: the shipped rules find Crimea where a database knows regions, and with the built-in table only countries.
func TestEmbargoKnowsRegionsWithADatabase(t *testing.T) {
	dir := t.TempDir()
	mmdbtest.Write(t, dir)
	for name, c := range map[string]struct {
		geoip string
		want  string
	}{"built in": {"asn: asn.mmdb", "2.144.20.30"}, "countries": {"country: country.mmdb", "192.0.2.200"}, "cities": {"city: city.mmdb", "192.0.2.200 203.0.113.9"}} {
		cfg, _ := geoConfig(t, dir, c.geoip)
		g, list := load(cfg.sources())
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		b := &event.Batch{Source: event.Source{Topic: "logs.app.audit"}, Partitions: 1}
		for _, addr := range []string{"203.0.113.9", "192.0.2.7", "192.0.2.200", "2.144.20.30", "198.51.100.7"} { // Crimea, Kyiv, and Tehran twice, Paris
			line := `{"time":"2026-10-10T13:55:36Z","action":"user.sign_in","outcome":"success","actor":{"name":"alice"},"source":{"ip":"` + addr + `"}}`
			b.Records = append(b.Records, event.Record{Source: b.Source, Offset: int64(len(b.Records)), Value: []byte(line)})
		}
		b.Next = int64(len(b.Records))
		var found []string
		pipeline.NewWorker(&g.Generation).Batch(b, func(_ int32, f *hit.Frame) {
			for _, h := range f.Hits {
				if h.Rule == "app-embargoed-sign-in" {
					_, addr, _ := strings.Cut(string(h.Sample), `"related":{"ip":["`)
					addr, _, _ = strings.Cut(addr, `"`)
					found = append(found, addr)
					evidence := slices.ContainsFunc(h.Fields, func(f hit.Field) bool { return f.Name == datasets.FieldDatabases && len(f.Values) > 0 })
					if evidence != (name != "built in") {
						t.Errorf("%s: the hit carries %v", name, h.Fields)
					}
				}
			}
		})
		slices.Sort(found)
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
