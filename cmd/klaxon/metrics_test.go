package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// fullRegistry is the metrics of a process that does everything and has met everything.
func fullRegistry(t *testing.T) *prometheus.Registry {
	t.Helper()
	s := newStats()
	s.archive["local"], s.deliver["webhook.x"] = pipeline.NewArchiveStats(), &pipeline.DeliverStats{}
	s.archive["local"].Lag.Store(map[string]int64{"logs": 1})
	s.match.Lag.Store(map[string]int64{"logs": 1})
	s.match.Rules.Add("x", pipeline.RuleCounts{Matched: 1})
	s.geoip["city"] = &pipeline.Gauge{}
	s.leases["webhook.x"] = &pipeline.Gauge{}
	s.kafkaErrors.add("match")
	s.storeErrors.add(storeApply)
	s.state.set("match", "")
	s.store.set(incidents.Tally{Outbox: []incidents.Backlog{{Destination: "webhook.x"}}})
	s.disks.all = []disk{{Folder: "archive"}}
	reg, err := s.registry()
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func families(t *testing.T, reg *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range all {
		out[f.GetName()] = f
	}
	return out
}

// ownFamilies is families without those that come with Go.
func ownFamilies(t *testing.T, reg *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	all := families(t, reg)
	maps.DeleteFunc(all, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, "klaxon_") })
	return all
}

// TestMetricsFollowTheConventions of Prometheus: names, units, help texts.
func TestMetricsFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(fullRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for name, f := range ownFamilies(t, fullRegistry(t)) {
		if help := f.GetHelp(); len(help) < 10 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: the help text %q is no sentence", name, help)
		}
	}
}

// metricsTable is the part of the documents that lists every metric.
func metricsTable(all map[string]*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f, labels := all[name], map[string]bool{}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels["`"+l.GetName()+"`"] = true
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(slices.Sorted(maps.Keys(labels)), ", "), f.GetHelp())
	}
	return b.String()
}

// TestMetricsAreDocumented holds the table in the documents to what is registered: names, types, labels and help texts. With -update
// it writes the table anew.
func TestMetricsAreDocumented(t *testing.T) {
	path := filepath.Join(root, "docs/operations.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := ownFamilies(t, fullRegistry(t))
	want, table := metricsTable(all), regexp.MustCompile(`(?m)^\| metric \| type \| labels \| meaning \|\n(\|.*\n)+`)
	if *update {
		if err := os.WriteFile(path, table.ReplaceAllLiteral(data, []byte(want)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got := table.FindString(string(data))
	have := map[string]bool{}
	for line := range strings.Lines(got) {
		have[line] = true
	}
	for line := range strings.Lines(want) {
		if !have[line] {
			t.Errorf("docs/operations.md lacks the line (go test ./cmd/klaxon -run %s -update writes it)\n%s", t.Name(), line)
		}
		delete(have, line)
	}
	for line := range have {
		t.Errorf("docs/operations.md has the line of no metric\n%s", line)
	}
}

// TestMetricsNamedInFilesExist reads what operators are given: documents, alerting rules, dashboards.
func TestMetricsNamedInFilesExist(t *testing.T) {
	all := families(t, fullRegistry(t))
	exists := func(name string) bool {
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && all[base] != nil && (suffix == "" || all[base].GetType() == dto.MetricType_HISTOGRAM) {
				return true
			}
		}
		return false
	}
	for _, pattern := range []string{"docs/operations.md", "docs/run.md", "deploy/*/*.json", "deploy/prometheus/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %d files", pattern, err, len(files))
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range regexp.MustCompile(`\b(?:klaxon|go|process)_[a-z_]+[a-z]\b`).FindAllString(string(text), -1) {
				if !exists(name) {
					t.Errorf("%s names %s, which does not exist", file, name)
				}
			}
		}
	}
}

// TestTopicsHaveFewSeries: who makes topics makes no metrics without end.
func TestTopicsHaveFewSeries(t *testing.T) {
	s := newStats()
	lag := map[string]int64{}
	for i := range 5000 {
		lag[fmt.Sprintf("logs.%04d", i)] = int64(i)
	}
	s.match.Lag.Store(maps.Clone(lag))
	reg, err := s.registry()
	if err != nil {
		t.Fatal(err)
	}
	f := families(t, reg)["klaxon_match_lag_records"]
	sum, names := 0.0, map[string]float64{}
	for _, m := range f.Metric {
		sum += m.Gauge.GetValue()
		names[m.Label[0].GetValue()] = m.Gauge.GetValue()
	}
	if len(f.Metric) != maxTopicSeries+1 || sum != 5000*4999/2 || names["logs.4999"] != 4999 || names[otherTopics] == 0 {
		t.Errorf("%d series, sum %.0f, %v", len(f.Metric), sum, names[otherTopics])
	}
}

func TestMetricsOfParts(t *testing.T) {
	s := newStats()
	s.state.set("match", "")
	s.state.set("detect", "no answer")
	at := time.UnixMilli(1_700_000_000_500)
	s.using = func() Generation { return Generation{Hash: "abc", Rules: 3} }
	s.store.set(incidents.Tally{Open: map[alert.Severity]int64{1: 2, 2: 3}, Outbox: []incidents.Backlog{{Destination: "x", Waiting: 4, Parked: 1, Oldest: at}}})
	s.match.OldestUncommitted.Store(at.UnixMilli())
	reg, err := s.registry()
	if err != nil {
		t.Fatal(err)
	}
	want := `
# HELP klaxon_ready Whether a part of the process is ready: 1 or 0.
# TYPE klaxon_ready gauge
klaxon_ready{part="detect"} 0
klaxon_ready{part="match"} 1
# HELP klaxon_generation_info Always 1; the label is a hash of the datasets, rules and lists that are in use.
# TYPE klaxon_generation_info gauge
klaxon_generation_info{hash="abc"} 1
# HELP klaxon_incidents_open Incidents that are open, as the process that delivers counts them.
# TYPE klaxon_incidents_open gauge
klaxon_incidents_open 5
# HELP klaxon_outbox_oldest_timestamp_seconds When the oldest message that waits for a destination was written, Unix time; 0 for none.
# TYPE klaxon_outbox_oldest_timestamp_seconds gauge
klaxon_outbox_oldest_timestamp_seconds{destination="x"} 1.7000000005e+09
# HELP klaxon_match_oldest_uncommitted_timestamp_seconds Time of the oldest record that the match loop has read and not committed, Unix time; 0 for none.
# TYPE klaxon_match_oldest_uncommitted_timestamp_seconds gauge
klaxon_match_oldest_uncommitted_timestamp_seconds 1.7000000005e+09
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "klaxon_ready", "klaxon_generation_info", "klaxon_incidents_open", "klaxon_outbox_oldest_timestamp_seconds", "klaxon_match_oldest_uncommitted_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}
