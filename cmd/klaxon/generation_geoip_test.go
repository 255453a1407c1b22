package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/mmdbtest"
	"go.uber.org/zap"
)

// TestReplacedDatabaseComesIntoForce replaces a database that is in use, first by one that is cut off and then by a good one. A worker of the
// generation before goes on with the database that it has.
func TestReplacedDatabaseComesIntoForce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "country.mmdb")
	write := func(country string, cut int) {
		t.Helper()
		data, err := mmdbtest.Build("GeoLite2-Country", map[string]mmdbtest.Record{"203.0.113.0/24": {"country": mmdbtest.Record{"iso_code": country}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data[:len(data)-cut], 0o600); err != nil { // in place, as some updaters do
			t.Fatal(err)
		}
	}
	write("NZ", 0)
	c := defaultConfig()
	c.Enrich.GeoIP = []DatabaseFile{{Kind: enrich.Country, Path: file}}
	g, err := newGenerations(c.sources, zap.NewNop(), newStats())
	if err != nil {
		t.Fatal(err)
	}
	old := countries(t, g.get())
	if got := old(); got != "NZ" {
		t.Fatalf("the country is %q", got)
	}
	write("FJ", 100)
	if g.look(t.Context(), false) || countries(t, g.get())() != "NZ" || g.trouble() == "" {
		t.Errorf("a database that is cut off: in force %q, said %q", countries(t, g.get())(), g.trouble())
	}
	write("FJ", 0)
	if !g.look(t.Context(), false) || countries(t, g.get())() != "FJ" || g.trouble() != "" {
		t.Errorf("in force %q, said %q", countries(t, g.get())(), g.trouble())
	}
	if got := old(); got != "NZ" {
		t.Errorf("the worker of the generation before says %q", got)
	}
}

// countries answers with the country of an address, by a worker of a generation.
func countries(t *testing.T, g *loaded) func() string {
	t.Helper()
	n, e := g.NewNormalizer(), event.New(g.Schema)
	return func() (country string) {
		r := event.Record{Source: event.Source{Topic: "logs.nginx.access"}, Value: []byte(`203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`)}
		if err := n.Normalize(&r, e, func(e *event.Event) { country = e.Text(g.Schema.ID("source.geo.country_iso_code")) }); err != nil {
			t.Fatal(err)
		}
		return country
	}
}
