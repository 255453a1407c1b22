package rooms

import (
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestCheckFinds plants one offence a case: a check that never fails holds nothing.
func TestCheckFinds(t *testing.T) {
	const module = "example.org/house"
	for _, c := range []struct {
		name, path, source string
		want               string // part of the one finding; "" for none
	}{
		{"an arrow that is drawn", "detectors", `package p; import _ "example.org/house/rules/sigma"`, ""},
		{"a room's own folders", "ingest/decode", `package p; import _ "example.org/house/ingest/datasets"`, ""},
		{"a helper", "event", `package p; import _ "example.org/house/internal/diag"`, ""},
		{"wiring", "cmd/klaxon", `package p; import _ "example.org/house/sinks/slack"`, ""},
		{"files and time as a value", "rules", `package p; import ("os"; "time"); var _ = os.ReadFile; var _ time.Time`, ""},
		{"a variable that is called time", "rules", `package p; func f(time struct{ Now int }) int { return time.Now }`, ""},

		{"the wrong way", "rules", `package p; import _ "example.org/house/detectors"`, "rules -> detectors"},
		{"datasets and the rule engine", "ingest/datasets", `package p; import _ "example.org/house/rules"`, "ingest/datasets -> rules"},
		{"the pipeline and incidents", "pipeline", `package p; import _ "example.org/house/incidents"`, "pipeline -> incidents"},
		{"a helper that knows a room", "internal/lists", `package p; import _ "example.org/house/event"`, "internal/lists -> event"},
		{"a sink and its neighbour", "sinks/slack", `package p; import _ "example.org/house/sinks/webhook"`, "sinks/slack -> sinks/webhook"},
		{"a sink that does both", "sinks/blob", `package p; import (_ "example.org/house/archive"; _ "example.org/house/incidents")`, "archive and incidents"},
		{"nobody's folder", "utils", `package p`, "utils belongs to no room"},
		{"a name that only begins alike", "eventful", `package p`, "eventful belongs to no room"},
		{"a second Elasticsearch client", "archive", `package p; import _ "github.com/elastic/go-elasticsearch/v8"`, "only sinks/elasticsearch"},
		{"metrics in a pure room", "rules", `package p; import _ "github.com/prometheus/client_golang/prometheus"`, "client_golang"},
		{"the network", "event", `package p; import _ "net/http"`, "event -> net/http"},
		{"addresses are no network", "event", `package p; import _ "net/netip"`, ""},
		{"a goroutine", "hit", `package p; func f() { go f() }`, "a goroutine"},
		{"a clock", "alert", `package p; import "time"; var _ = time.Now()`, "time.Now"},
		{"a clock by another name", "alert", `package p; import t "time"; var now = t.Now`, "time.Now"},
		{"waiting", "detectors", `package p; import "time"; func f() { time.Sleep(1) }`, "time.Sleep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pkg{path: c.path, fset: token.NewFileSet()}
			p.addSource(t, c.path+"/p.go", []byte(c.source))
			got := check(module, []pkg{p})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("finds %q where all is well", got)
			case c.want != "" && !slices.ContainsFunc(got, func(one string) bool { return strings.Contains(one, c.want) }):
				t.Errorf("finds %q, want %q", got, c.want)
			}
		})
	}
}

// TestTable: a table with a hole would let arrows through.
func TestTable(t *testing.T) {
	known := []string{everything}
	for _, r := range table() {
		if r.why == "" {
			t.Errorf("%s: say what the room is there for", r.path)
		}
		if slices.Contains(known, r.path) {
			t.Errorf("%s stands in the table twice", r.path)
		}
		known = append(known, r.path)
	}
	for _, r := range table() {
		for _, path := range r.may {
			if !slices.Contains(known, path) {
				t.Errorf("%s may import %s, which is no room", r.path, path)
			}
			if to := roomOf(path); r.pure && path != everything && !to.pure {
				t.Errorf("%s is pure and may import %s, which is not", r.path, path)
			}
		}
	}
}
