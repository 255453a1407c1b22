package detectors

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/rules"
)

const twoRules = `id: guessing
title: Password guessing
owner: team
runbook: look
tags: [attack.credential_access, attack.t1110.001]
controls: [passwords]
source: {dataset: [system.auth]}
where: event.outcome == "failure"
count: {by: [source.ip], within: 1m, at_least: 3}
severity: [{when: count >= 6, is: urgent}, {when: 'user.name == "root"', is: high}, {is: low}]
alert: {title: "{{source.ip}}: {{count}} failures as {{user.name}}", quiet: 1h}
---
id: logged-in
title: A login
source: {dataset: [system.auth]}
where: event.outcome == "success"
severity: [{is: normal}]
alert: {title: "{{user.name}} at {{host.name}}", incident_by: [user.name, source.ip]}
---
override: guessing
tenant: acme
set: {count.at_least: 5, mode: shadow}
why: they forget their passwords
`

func compiled(t testing.TB, text string, limits Limits) (*Program, *rules.Set, diag.List) {
	t.Helper()
	var list diag.List
	units := rules.LoadFiles([]fs.FS{fstest.MapFS{"r.yaml": &fstest.MapFile{Data: []byte(text)}}}, &list)
	s, err := event.NewSchema(event.Field{Name: "source.ip", Type: event.IP}, event.Field{Name: "user.name", Type: event.Keyword},
		event.Field{Name: "event.outcome", Type: event.Keyword}, event.Field{Name: "host.name", Type: event.Keyword})
	if err != nil {
		t.Fatal(err)
	}
	set, d := rules.Compile(units, rules.Options{Schema: s})
	if err := append(list, d...).Err(); err != nil {
		t.Fatal(err)
	}
	p, d := Compile(set, limits)
	return p, set, d
}

// feed makes frames of hits, one hit each, of one partition.
type feed struct {
	set    *rules.Set
	m      *Memory
	offset int64
	last   []alert.Alert
}

func (f *feed) hit(rule, tenant, key string, at int64, fields ...hit.Field) []alert.Alert {
	r, _ := f.set.Rule(rule)
	fr := hit.Frame{Kind: hit.Hits, Source: event1(), Partitions: 1, First: f.offset, Last: f.offset,
		Hits: []hit.Hit{{Rule: rule, Basis: r.Basis, Tenant: tenant, Key: key, Offset: f.offset, RecordTime: at, Time: at, Fields: fields}}}
	f.offset++
	f.last = f.m.Apply(&fr)
	return f.last
}

func (f *feed) tick(at int64) []alert.Alert {
	fr := hit.Frame{Kind: hit.Tick, Source: event1(), Partitions: 1, Marks: []hit.Mark{{Watermark: at}}}
	f.last = f.m.Apply(&fr)
	return f.last
}

func user(name string) hit.Field { return hit.Field{Name: "user.name", Values: []string{name}} }

const base = int64(1_796_000_400_000) // a full hour

func TestRulesMakeAlerts(t *testing.T) {
	p, set, d := compiled(t, twoRules, Limits{})
	if len(d) > 0 {
		t.Fatal(d)
	}
	f := &feed{set: set, m: NewMemory(p, 1)}
	f.hit("guessing", "", "192.0.2.1", base, user("bob"))
	f.hit("guessing", "", "192.0.2.1", base+1000, user("alice"))
	if len(f.last) > 0 {
		t.Fatalf("two of three: %+v", f.last)
	}
	steps := []struct {
		fields   []hit.Field
		revision int64
		severity alert.Severity
		title    string
	}{
		{nil, 1, alert.Low, "192.0.2.1: 3 failures as alice, bob"},
		{[]hit.Field{user("root")}, 2, alert.High, "192.0.2.1: 4 failures as alice, bob, root"},
		{[]hit.Field{user("eve")}, 0, 0, ""},
		{nil, 3, alert.Urgent, "192.0.2.1: 6 failures as alice, bob, eve and 1 more"},
	}
	for i, s := range steps {
		got := f.hit("guessing", "", "192.0.2.1", base+int64(2+i)*1000, s.fields...)
		if s.revision == 0 {
			if len(got) > 0 {
				t.Fatalf("step %d: %+v", i, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Revision != s.revision || got[0].Severity != s.severity || got[0].Title != s.title || got[0].Final {
			t.Fatalf("step %d: %+v", i, got)
		}
	}
	r := f.last[0].Rule
	if r.ID != "guessing" || r.Title != "Password guessing" || r.Owner != "team" || r.Mode != alert.Live || r.Version == "" || r.Tags[0] != "attack.credential_access" {
		t.Errorf("%+v", r)
	}
	if got := f.tick(base + 3_600_000 + 60_000 - 1); len(got) > 0 {
		t.Fatalf("before the end of the episode: %+v", got)
	}
	if got := f.tick(base + 3_600_000 + 60_000); len(got) != 1 || !got[0].Final || got[0].Revision != 4 || got[0].Count != 6 {
		t.Fatalf("at the end of the episode: %+v", got)
	}
	if s := f.m.Stats(); s["keys"] != 0 || s["bytes"] != 0 || s["hits"] != 6 || s["alerts"] != 4 {
		t.Errorf("%v", s)
	}
}

func TestOverridesHoldForTheirTenant(t *testing.T) {
	p, set, _ := compiled(t, twoRules, Limits{})
	f := &feed{set: set, m: NewMemory(p, 1)}
	for i := range int64(4) {
		if got := f.hit("guessing", "acme", "192.0.2.1", base+i); len(got) > 0 {
			t.Fatalf("hit %d: %+v", i, got)
		}
	}
	got := f.hit("guessing", "acme", "192.0.2.1", base+4)
	if len(got) != 1 || got[0].Rule.Mode != alert.Shadow || got[0].Tenant != "acme" || !strings.Contains(got[0].Explanation, "asks for 5") {
		t.Fatalf("%+v", got)
	}
	if got[0].Title != "192.0.2.1: 5 failures as (no user.name)" {
		t.Error(got[0].Title)
	}
}

func TestEachMatchIsAnAlertWithoutAClause(t *testing.T) {
	p, set, _ := compiled(t, twoRules, Limits{})
	f := &feed{set: set, m: NewMemory(p, 1)}
	f.tick(base + 1e9) // a time that is long closed is no matter
	a := f.hit("logged-in", "acme", hit.JoinKey([]string{"bob smith", ""}), base, hit.Field{Name: "host.name", Values: []string{"web1"}})
	first := a[0].ID
	b := f.hit("logged-in", "acme", hit.JoinKey([]string{"bob smith", ""}), base)
	if len(b) != 1 || b[0].ID == first {
		t.Fatal(first, b)
	}
	got := b[0]
	if !got.Final || got.Revision != 1 || got.Title != "bob smith at (no host.name)" || got.Incident != `logged-in user.name="bob smith" source.ip=""` {
		t.Fatalf("%+v", got)
	}
	if len(got.Key) != 1 || !strings.HasPrefix(got.Events[0].ID, "logs-0-1-") || got.Count != 1 || got.First != base {
		t.Fatalf("%+v", got)
	}
	if want := "One event of user.name bob smith met the rule at 01:00:00 UTC on 2026-11-30"; got.Explanation != want {
		t.Error(got.Explanation)
	}
}

func TestIncidentsNeedTheirFieldsInTheKey(t *testing.T) {
	text := strings.Replace(twoRules, "quiet: 1h", "quiet: 1h, incident_by: [user.name]", 1)
	p, _, d := compiled(t, text, Limits{})
	if len(d) != 1 || !d[0].Warning || !strings.Contains(d.String(), "cannot tell incidents apart") {
		t.Fatal(d)
	}
	if got := p.byID["guessing"].incident; len(got) != 1 || got[0] != "source.ip" {
		t.Error(got)
	}
}
