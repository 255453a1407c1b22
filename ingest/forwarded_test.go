package ingest

import (
	"net/netip"
	"testing"

	"github.com/klaxonhq/klaxon/event"
)

// TestWhoAsked: source is the peer, client who a trusted proxy says it asks for.
func TestWhoAsked(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	for name, c := range map[string]struct{ source, forwarded, client, chain string }{
		"a text":                       {"10.0.0.7", `"1.1.1.1, 198.51.100.7:4711, 203.0.113.8"`, "198.51.100.7", "1.1.1.1 198.51.100.7 203.0.113.8"},
		"a list, an address each":      {"10.0.0.7", `["1.1.1.1","198.51.100.7","203.0.113.8"]`, "198.51.100.7", "1.1.1.1 198.51.100.7 203.0.113.8"},
		"a list, as headers came":      {"203.0.113.9", `["1.1.1.1, 198.51.100.7","for=\"[2001:db8::1]:80\", for=10.0.0.2"]`, "2001:db8::1", "1.1.1.1 198.51.100.7 2001:db8::1 10.0.0.2"},
		"a stranger's":                 {"192.0.2.1", `"1.1.1.1"`, "192.0.2.1", "1.1.1.1"},
		"not an address":               {"10.0.0.7", `"unknown"`, "", ""},
		"somebody unknown at the end":  {"10.0.0.7", `"1.1.1.1, unknown"`, "", "1.1.1.1"},
		"somebody unknown before that": {"10.0.0.7", `"unknown, 198.51.100.7"`, "198.51.100.7", "198.51.100.7"},
		"no peer":                      {"", `"1.1.1.1, 198.51.100.7"`, "198.51.100.7", "1.1.1.1 198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			source := `"forwarded_for":` + c.forwarded
			if c.source != "" {
				source += `,"ip":"` + c.source + `"`
			}
			line := `{"time":"2026-11-24T09:00:00Z","action":"login","outcome":"success","actor":{"name":"alice"},"source":{` + source + `}}`
			err := n.NormalizeAs("app.audit", record(line), event.New(n.schema), func(e *event.Event) {
				chain := ""
				for v := e.First(n.f.forwarded); v != nil; v = e.Next(v) {
					chain += " " + v.Text()
				}
				if client := e.Text(n.f.clientIP); client != c.client || c.chain != "" && chain != " "+c.chain || c.chain == "" && chain != "" || e.Text(n.f.sourceIP) != c.source {
					t.Errorf("client %q of%s, want %q of %s", client, chain, c.client, c.chain)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
