package ingest

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

// realLines calls f with every line of a file of real logs, which KLAXON_DATA says the folder of.
func realLines(t *testing.T, name string, f func(i int, line []byte)) {
	t.Helper()
	dir := os.Getenv("KLAXON_DATA")
	if dir == "" {
		t.Skip("KLAXON_DATA is not set: it names the folder of real logs")
	}
	file, err := os.Open(filepath.Join(dir, "logs", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(z)
	in.Buffer(nil, 16<<20)
	i := 0
	for ; in.Scan(); i++ {
		f(i, in.Bytes())
	}
	if err := in.Err(); err != nil || i == 0 {
		t.Fatalf("%d lines: %v", i, err)
	}
}

// asOf is the record time of real lines, which are younger than 2026.
var asOf = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

func TestRealApacheLines(t *testing.T) {
	set := shipped(t)
	n := NewNormalizer(Options{Datasets: set, Country: enrich.Embedded{}})
	e := event.New(set.Schema())
	f := func(name string) event.FieldID { return set.Schema().ID(name) }
	need := []event.FieldID{f("source.ip"), f("http.response.status_code"), f("url.original"), f("http.request.method"), f("event.outcome"), f("@timestamp")}
	lines := 0
	realLines(t, "apache-access.log.gz", func(i int, line []byte) {
		lines++
		err := n.Normalize(&event.Record{Value: line, Time: asOf}, e, func(e *event.Event) {
			if e.Dataset != "apache.access" || e.Text(event.EventKind) != "event" || e.Has(event.BadFields) || e.Time >= asOf {
				t.Errorf("line %d: %s", i, e.AppendDocument(nil))
			}
			for _, id := range need {
				if !e.Has(id) && !strings.Contains(string(line), `"-" 408`) {
					t.Errorf("line %d: no %s in %s", i, set.Schema().Name(id), line)
				}
			}
		})
		if err != nil {
			t.Errorf("line %d: %v", i, err)
		}
	})
	if lines != 5000 {
		t.Errorf("%d lines", lines)
	}
}

type hubCase struct {
	Name, Type string
	Lines      []string
	Parsed     []struct {
		Line   int
		Parsed bool
		Fields struct {
			Parsed, Meta map[string]string
		}
	} `json:"expected_parsed"`
}

// hubFields is where the fields of the sample's own assertions stand in ECS.
func hubFields() map[string]string {
	return map[string]string{
		"source_ip": "source.ip", "http_path": "url.original", "http_status": "http.response.status_code", "http_verb": "http.request.method",
		"http_user_agent": "user_agent.original", "target_user": "user.name", "machine": "host.hostname", "timestamp": "@timestamp",
	}
}

func TestRealNginxAndSSHLines(t *testing.T) {
	set := shipped(t)
	n := NewNormalizer(Options{Datasets: set})
	e := event.New(set.Schema())
	lines, asserted, agreed := 0, 0, 0
	realLines(t, "crowdsec-hub.jsonl.gz", func(_ int, row []byte) {
		var c hubCase
		if err := json.Unmarshal(row, &c); err != nil {
			t.Fatal(err)
		}
		as := ""
		switch {
		case strings.Contains(c.Name+c.Type, "nginx"):
			as = "nginx.access"
		case strings.Contains(c.Name, "ssh") && c.Type == "syslog" && !strings.Contains(c.Name, "endlessh"):
			as = "system.auth"
		case c.Type == "apache2":
			as = "apache.access"
		default:
			return
		}
		for i, line := range c.Lines {
			lines++
			if err := n.NormalizeAs(as, &event.Record{Value: []byte(line), Time: asOf}, e, func(*event.Event) {}); err != nil {
				t.Errorf("%s: %v: %s", c.Name, err, line)
				continue
			}
			for _, p := range c.Parsed {
				if p.Line != i {
					continue
				}
				if !p.Parsed {
					if e.Text(set.Schema().ID("event.category")) == "authentication" && e.Text(set.Schema().ID("event.outcome")) == "failure" {
						t.Errorf("%s: an authentication failure, which it is not: %s", c.Name, line)
					}
					continue
				}
				for name, field := range hubFields() {
					want := p.Fields.Meta[name]
					if want == "" || want == "-" {
						continue
					}
					asserted++
					if agrees(e, set.Schema().ID(field), name, want) {
						agreed++
						continue
					}
					t.Errorf("%s: %s is %q, not %q: %s", c.Name, field, e.Text(set.Schema().ID(field)), want, line)
				}
			}
			if e.Text(event.EventKind) == "pipeline_error" {
				t.Logf("%s: no pattern fits %s", c.Name, line)
			}
		}
	})
	t.Logf("%d lines, %d of %d assertions hold", lines, agreed, asserted)
	if asserted < 50 {
		t.Errorf("only %d assertions", asserted)
	}
}

func agrees(e *event.Event, id event.FieldID, name, want string) bool {
	v := e.First(id)
	switch {
	case v == nil:
		return false
	case name == "timestamp":
		ms, ok := event.ParseTime(want)
		return ok && ms/1000 == v.Int()/1000
	case name == "source_ip":
		a, err := netip.ParseAddr(want)
		return err == nil && a.Unmap() == v.Addr()
	}
	return v.Text() == want
}

func TestRealCloudTrailEvents(t *testing.T) {
	set := shipped(t)
	n := NewNormalizer(Options{Datasets: set})
	e := event.New(set.Schema())
	f := func(name string) event.FieldID { return set.Schema().ID(name) }
	events := 0
	realLines(t, "stratus-cloudtrail.jsonl.gz", func(_ int, row []byte) {
		var c struct {
			Technique string
			Events    []json.RawMessage
		}
		if err := json.Unmarshal(row, &c); err != nil {
			t.Fatal(err)
		}
		all, _ := json.Marshal(map[string]any{"Records": c.Events})
		i := 0
		err := n.Normalize(&event.Record{Value: all, Time: asOf}, e, func(e *event.Event) {
			var raw struct {
				EventName, SourceIPAddress, ErrorCode, RecipientAccountID, AwsRegion string
			}
			if err := json.Unmarshal(c.Events[i], &raw); err != nil {
				t.Fatal(err)
			}
			i++
			events++
			if e.Dataset != "aws.cloudtrail" || !e.Has(f("user.name")) || e.Text(f("event.action")) != raw.EventName ||
				e.Text(f("source.address")) != raw.SourceIPAddress || (e.Text(f("event.outcome")) == "failure") != (raw.ErrorCode != "") ||
				e.Text(f("cloud.region")) != raw.AwsRegion || !e.Has(f("cloud.account.id")) || !e.Has(f("source.ip")) || e.Has(event.BadFields) {
				t.Errorf("%s: %s", c.Technique, e.AppendDocument(nil))
			}
		})
		if err != nil || i != len(c.Events) {
			t.Errorf("%s: %d of %d events: %v", c.Technique, i, len(c.Events), err)
		}
	})
	if events == 0 {
		t.Error("no events")
	}
}

func TestRealKubernetesLines(t *testing.T) {
	set := shipped(t)
	n := NewNormalizer(Options{Datasets: set})
	e := event.New(set.Schema())
	lines := 0
	realLines(t, "crowdsec-hub.jsonl.gz", func(_ int, row []byte) {
		var c hubCase
		if err := json.Unmarshal(row, &c); err != nil {
			t.Fatal(err)
		}
		if c.Type != "k8s-audit" {
			return
		}
		for _, line := range c.Lines {
			lines++
			err := n.Normalize(&event.Record{Value: []byte(line), Time: asOf}, e, func(e *event.Event) {
				for _, name := range []string{"user.name", "event.action", "source.ip", "orchestrator.resource.type", "http.response.status_code", "event.start"} {
					if !e.Has(set.Schema().ID(name)) {
						t.Errorf("%s: no %s", c.Name, name)
					}
				}
				if e.Dataset != "kubernetes.audit" || e.Has(event.BadFields) || e.Time >= asOf {
					t.Errorf("%s: %s", c.Name, e.AppendDocument(nil))
				}
			})
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	})
	if lines == 0 {
		t.Error("no lines")
	}
}
