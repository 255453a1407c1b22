package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

const bruteforce = `id: ssh-bruteforce
title: SSH password guessing from one address
description: Many failures.
mode: live
owner: platform-security
runbook: https://wiki.example/ssh-bruteforce
references: [https://attack.mitre.org/techniques/T1110/001/]
false_positives: [A script with an old password]
tags: [attack.t1110.001]
controls: [real-time-detection]
source: {dataset: [system.auth]}
where: event.action == "ssh_login" and event.outcome == "failure"
except:
  - {where: 'source.ip in cidr("10.20.0.0/16")', until: 2027-01-31, why: "load test, SEC-812"}
count: {by: [source.ip], within: 1m, at_least: 20}
severity: [{when: count >= 200, is: urgent}, {when: 'user.name in ["root"]', is: high}, {is: normal}]
alert:
  title: "{{source.ip}}: {{count}} failed SSH logins as {{user.name}}"
  incident_by: [source.ip]
  quiet: 1h
respond: [{block: source.ip, for: 4h}]
tests:
  - name: twenty in a minute
    given: {event.dataset: system.auth, source.ip: 203.0.113.9, event.action: ssh_login, event.outcome: failure}
    events: [{repeat: 20, every: 2s, set: {user.name: "u{{n}}"}}, {after: 5s, line: '<86>Oct 10 sshd[{{n}}]: x'}]
    alerts: [{key: {source.ip: 203.0.113.9}, severity: normal, at: 38s, count: 20}]
  - name: nineteen are noise
    given: {source: {ip: 203.0.113.9}, event.action: ssh_login, event.outcome: failure}
    events: [{repeat: 19, every: 2s}]
    alerts: []
`

// files makes a tree of one file.
func oneFile(text string) []fs.FS {
	return []fs.FS{fstest.MapFS{"r.yaml": &fstest.MapFile{Data: []byte(text)}}}
}

// load compiles rule files with every ECS field that the tests use, and reports all mistakes of both passes.
func load(t testing.TB, text string, opts Options) (*Set, diag.List) {
	t.Helper()
	var list diag.List
	units := LoadFiles(oneFile(text), &list)
	var names []string
	for _, u := range units {
		names = append(names, u.FieldNames()...)
	}
	s, err := ExtendSchema(testSchema(t), names)
	if err != nil {
		t.Fatal(err)
	}
	opts.Schema = s
	if opts.Lists == nil {
		opts.Lists = testLists(t)
	}
	set, d := Compile(units, opts)
	return set, append(list, d...)
}

func mustLoad(t testing.TB, text string) *Set {
	t.Helper()
	set, d := load(t, text, Options{})
	if d.HasErrors() {
		t.Fatal(d)
	}
	return set
}

func TestLoadRule(t *testing.T) {
	set, d := load(t, bruteforce, Options{Controls: []string{"real-time-detection"}})
	if len(d) > 0 {
		t.Fatal(d)
	}
	r, ok := set.Rule("ssh-bruteforce")
	if !ok || len(set.Rules()) != 1 {
		t.Fatal("the rule is missing")
	}
	if r.Title != "SSH password guessing from one address" || r.Mode != Live || r.Owner != "platform-security" || r.Tags[0] != "attack.t1110.001" || r.FalsePositives[0] == "" || r.Line != 1 {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff(&Count{By: []string{"source.ip"}, Within: time.Minute, AtLeast: 20}, r.Count); d != "" {
		t.Error(d)
	}
	if r.Quiet != time.Hour || !slices.Equal(r.IncidentBy, []string{"source.ip"}) || !slices.Equal(r.Carry, []string{"user.name"}) || len(r.Except) != 1 {
		t.Errorf("quiet %s, incident_by %q, carry %q, %d exceptions", r.Quiet, r.IncidentBy, r.Carry, len(r.Except))
	}
	if want := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC).UnixMilli(); r.Except[0].Until != want {
		t.Errorf("the exception ends at %d, want %d", r.Except[0].Until, want)
	}
	if d := cmp.Diff([]Response{{"block", "source.ip", 4 * time.Hour}}, r.Respond); d != "" {
		t.Error(d)
	}
	get := func(name string) func(string) []string {
		return func(f string) []string {
			if f == "user.name" && name != "" {
				return []string{name}
			}
			return nil
		}
	}
	for _, c := range []struct {
		count int64
		name  string
		want  Severity
	}{{200, "root", Urgent}, {199, "root", High}, {20, "bob", Normal}, {20, "", Normal}} {
		if got := r.SeverityOf(c.count, get(c.name)); got != c.want {
			t.Errorf("%d of %q: %s, want %s", c.count, c.name, got, c.want)
		}
	}
}

func TestTestsExpand(t *testing.T) {
	set := mustLoad(t, bruteforce)
	r := set.Rules()[0]
	if len(r.Tests) != 2 {
		t.Fatalf("%d tests", len(r.Tests))
	}
	steps := slices.Collect(r.Tests[0].Steps())
	if len(steps) != 21 || steps[0].Offset != 0 || steps[19].Offset != 38*time.Second || steps[20].Offset != 43*time.Second {
		t.Fatalf("%d steps", len(steps))
	}
	if steps[20].Line != "<86>Oct 10 sshd[1]: x" || steps[20].Dataset != "system.auth" {
		t.Errorf("%+v", steps[20])
	}
	e := event.New(set.Schema())
	if err := steps[4].Apply(e); err != nil {
		t.Fatal(err)
	}
	e.SetTime(1)
	if got := string(e.AppendDocument(nil)); !strings.Contains(got, `"user":{"name":"u5"}`) || !strings.Contains(got, `"dataset":"system.auth"`) || e.Dataset != "system.auth" {
		t.Error(got)
	}
	if a := r.Tests[0].Alerts; len(a) != 1 || a[0].Key["source.ip"] != "203.0.113.9" || a[0].At != 38*time.Second || !a[0].HasAt || a[0].Severity != Normal || a[0].Count != 20 {
		t.Errorf("%+v", a)
	}
	if a := r.Tests[1].Alerts; len(a) != 0 {
		t.Errorf("%+v", a)
	}
	second := slices.Collect(r.Tests[1].Steps())
	e.Reset(set.Schema())
	if err := second[0].Apply(e); err != nil || e.Text(set.Schema().ID("source.ip")) != "203.0.113.9" || e.Dataset != "system.auth" {
		t.Error(err, e.Dataset)
	}
}

func TestTestsOfElements(t *testing.T) {
	set := mustLoad(t, `
id: open
title: open to the world
source: {dataset: "aws.*"}
where: any(json.rules, .cidr == "0.0.0.0/0" and .port == 22) and json.rules.cidr startsWith "0."
severity: high
tests:
  - name: open
    given: {event.dataset: aws.x, json.rules: [{cidr: 10.0.0.0/8, port: 80}, {cidr: 0.0.0.0/0, port: 22, tags: [a, b]}], json.flag: true, json.n: 5}
    events: [{}]
    alerts: [{at: 0s}]
`)
	r := set.Rules()[0]
	steps := slices.Collect(r.Tests[0].Steps())
	e := event.New(set.Schema())
	if err := steps[0].Apply(e); err != nil {
		t.Fatal(err)
	}
	if m := set.NewMatcher().Match(e); len(m) != 1 || len(m[0].Key) != 0 || m[0].Rule != r {
		t.Errorf("%+v", m)
	}
	if got := e.Text(set.Schema().ID("json.rules[]")); got != `[{"cidr":"10.0.0.0/8","port":80},{"cidr":"0.0.0.0/0","port":22,"tags":["a","b"]}]` {
		t.Error(got)
	}
}

func TestLoadRefuses(t *testing.T) {
	const head = "id: x\ntitle: x\nsource: {dataset: [a]}\nseverity: high\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":       {head + "wher: true\n", `r.yaml:5:1: wher: unknown key "wher" (did you mean where?)`},
		"no id":             {"title: x\nsource: {dataset: [a]}\nseverity: high\n", "the key id is missing"},
		"bad id":            {"id: X Y\ntitle: x\nsource: {dataset: [a]}\nseverity: high\n", "r.yaml:1:5: id: must be small letters"},
		"no source":         {"id: x\ntitle: x\nseverity: high\n", "the key source is missing"},
		"chain":             {"id: x\ntitle: x\nsource: {alerts: [y]}\nseverity: high\n", "r.yaml:3:18: source.alerts: rules over other rules' alerts are not run by this version"},
		"empty where":       {head + "where: ''\n", "r.yaml:5:8: where: is an empty condition"},
		"where":             {head + "where: 'event.action == 5'\n", `r.yaml:5:25: where: event.action is of type keyword, and 5 is not text`},
		"block where":       {head + "where: |\n  event.action == \"x\"\n  and usr.name == \"y\"\n", "unknown field usr.name (did you mean user.name?)"},
		"syntax":            {head + "where: event.action ==\n", "where: ends too early"},
		"two mistakes":      {head + "where: usr.name == \"x\"\nmode: alive\n", "did you mean live?"},
		"clause":            {head + "sequence: {steps: []}\n", "r.yaml:5:11: sequence: the clause sequence is not supported by this version"},
		"count":             {head + "count: {by: source.ip, within: 1m}\n", "the key at_least is missing"},
		"count type":        {head + "count: {by: [json], within: 1m, at_least: 2}\n", "count.by[0]: json is a whole object"},
		"count of nothing":  {head + "count: {by: [source.iq], within: 1m, at_least: 2}\n", "unknown field source.iq (did you mean source.ip?)"},
		"twice":             {head + "count: {by: [source.ip, source.ip], within: 1m, at_least: 2}\n", "source.ip is named twice"},
		"subnet cut":        {head + "count: {by: [subnet(source.ip, 24, 64)], within: 1m, at_least: 2}\n", "put it into quotes"},
		"subnet of text":    {head + "count: {by: ['subnet(source.port, 24, 64)'], within: 1m, at_least: 2}\n", "subnet takes an address"},
		"within":            {head + "count: {by: [source.ip], within: 1ms, at_least: 2}\n", "must be between 1s and 31d"},
		"at_least":          {head + "count: {by: [source.ip], within: 1m, at_least: 0}\n", "must be between 1 and"},
		"quiet":             {head + "count: {by: [source.ip], within: 1m, at_least: 2}\nalert: {quiet: 10s}\n", "is shorter than within, 1m0s"},
		"severity":          {"id: x\ntitle: x\nsource: {dataset: [a]}\nseverity: bad\n", "must be one of low, normal, high, urgent"},
		"severity last":     {"id: x\ntitle: x\nsource: {dataset: [a]}\nseverity: [{when: count > 1, is: high}]\n", "the last case needs no condition"},
		"severity order":    {"id: x\ntitle: x\nsource: {dataset: [a]}\nseverity: [{is: high}, {is: low}]\n", "is never reached"},
		"title":             {head + "alert: {title: 'a {{usr.name}} b'}\n", "r.yaml:5:21: alert.title: unknown field usr.name"},
		"title open":        {head + "alert: {title: 'a {{user.name'}\n", "{{ without }} behind it"},
		"respond":           {head + "respond: [{block: source.ipp, for: 4h}]\n", "unknown field source.ipp"},
		"respond for":       {head + "respond: [{block: source.ip}]\n", "the key for is missing"},
		"except why":        {head + "except: [{where: 'user.name == \"x\"'}]\n", "the key why is missing"},
		"except negation":   {head + "except: [{where: 'user.name != \"x\"', why: x}]\n", "also holds where user.name is absent"},
		"except until":      {head + "except: [{where: 'user.name == \"x\"', why: x, until: soon}]\n", "must be a day"},
		"test key":          {head + "tests: [{name: a, events: [{}], alerts: [{key: {user.name: x}}]}]\n", "user.name is not part of the rule's key"},
		"test field":        {head + "tests: [{name: a, given: {usr.name: x}, events: [{}], alerts: []}]\n", "tests[0].given.usr.name: unknown field usr.name"},
		"test type":         {head + "tests: [{name: a, given: {source.port: x}, events: [{}], alerts: []}]\n", `is of type long, and "x" is not`},
		"test time":         {head + "tests: [{name: a, given: {'@timestamp': 1}, events: [{}], alerts: []}]\n", "follows from start, after and every"},
		"test without":      {head + "tests: [{name: a, events: [{}]}]\n", "the key alerts is missing"},
		"test long":         {head + "tests: [{name: a, events: [{repeat: 200000, every: 1h}], alerts: []}]\n", "longer than 200000 events or 62 days"},
		"test line and set": {head + "tests: [{name: a, events: [{line: x, set: {user.name: x}}], alerts: []}]\n", "cannot stand beside line"},
		"duplicate":         {head + "---\n" + head, "r.yaml:6:5: id: there is already a rule x, in r.yaml:1"},
		"sigma":             {"title: x\nlogsource: {product: windows}\ndetection: {}\n", "looks like a Sigma rule"},
		"override unknown":  {head + "---\noverride: y\nset: {mode: live}\nwhy: z\n", "r.yaml:6:11: override: there is no rule y to override"},
		"override nothing":  {head + "---\noverride: x\nset: {}\nwhy: z\n", "sets nothing"},
		"override key":      {head + "---\noverride: x\nset: {where: a}\nwhy: z\n", `unknown key "where"`},
		"override count":    {head + "---\noverride: x\nset: {count.at_least: 5}\nwhy: z\n", "the rule x has no count to set"},
		"override why":      {head + "---\noverride: x\nset: {mode: live}\n", "the key why is missing"},
		"tag":               {head + "where: !x\n", "has the YAML tag"},
		"comment":           {head + "where: any(tags, # == \"x\")\n", "cut short by the YAML comment"},
		"not a map":         {"- a\n", "must be a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := load(t, c.text, Options{})
			if !d.HasErrors() || !strings.Contains(d.String(), c.want) {
				t.Errorf("got %q, want %q", d, c.want)
			}
		})
	}
	_, d := load(t, head+"controls: [b]\n", Options{Controls: []string{"a", "bb"}})
	if !strings.Contains(d.String(), "r.yaml:5:12: controls[0]: there is no control b (did you mean a?)") {
		t.Error(d)
	}
}

func TestABadRuleLeavesTheOthers(t *testing.T) {
	set, d := load(t, "id: a\ntitle: a\nsource: {dataset: x}\nseverity: low\nwhere: usr.name == \"x\"\n---\nid: b\ntitle: b\nsource: {dataset: x}\nseverity: low\n", Options{})
	if _, bad := set.Rule("a"); bad || !d.HasErrors() || len(set.Rules()) != 1 {
		t.Errorf("%d rules, %v", len(set.Rules()), d)
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	set, d := load(t, "id: x\ntitle: x\nsource: {dataset: a}\nseverty: high\nwhere: usr.name == \"x\" and source.port == \"y\"\nmode: alive\ncount: {by: [source.iq], within: 1m}\n---\noverride: x\nset: {mode: live}\nwhy: y\n", Options{})
	for _, want := range []string{"severity is missing", "did you mean severity?", "did you mean user.name?", "is not a number", "did you mean live?", "did you mean source.ip?", "at_least is missing"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("got %q, want %q", d, want)
		}
	}
	if len(d) != 7 || len(set.Rules()) != 0 {
		t.Errorf("%d mistakes, %d rules: %v", len(d), len(set.Rules()), d)
	}
}

func TestVersions(t *testing.T) {
	base := mustLoad(t, bruteforce).Rules()[0]
	for name, c := range map[string]struct {
		from, to       string
		version, basis bool // whether they change
	}{
		"nothing":       {"", "", false, false},
		"blanks":        {`event.action == "ssh_login" and event.outcome == "failure"`, `(event.action=='ssh_login')   and not (event.outcome != "failure")`, false, false},
		"flow to block": {"count: {by: [source.ip], within: 1m, at_least: 20}", "count:\n  at_least: 20\n  by: source.ip\n  within: 60s", false, false},
		"title":         {"title: SSH password", "title: Other password", false, false},
		"severity":      {"count >= 200", "count >= 300", false, false},
		"at_least":      {"at_least: 20", "at_least: 21", true, false},
		"except":        {"10.20.0.0/16", "10.21.0.0/16", true, false},
		"until":         {"2027-01-31", "2027-02-28", true, false},
		"within":        {"within: 1m", "within: 2m", true, true},
		"by":            {"by: [source.ip]", "by: [source.ip, event.outcome]", true, true},
		"where":         {`"failure"`, `"success"`, true, true},
		"source":        {"dataset: [system.auth]", "dataset: [system.auth, x]", true, true},
		"tenants":       {"mode: live", "tenants: together", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(bruteforce, c.from, c.to, 1)
			if name == "by" {
				text = strings.Replace(text, "key: {source.ip: 203.0.113.9}, ", "", 1)
			}
			r := mustLoad(t, text).Rules()[0]
			if (r.Version != base.Version) != c.version || (r.Basis != base.Basis) != c.basis {
				t.Errorf("version changed: %v, basis changed: %v", r.Version != base.Version, r.Basis != base.Basis)
			}
		})
	}
	if base.Version != 0x3795642dc43498e || base.Basis != 0x8b882528d0b4576a {
		t.Errorf("another process would make version %#x, basis %#x", base.Version, base.Basis)
	}
}

func TestLoadFilesNamesFilesAndReadsTrees(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"b.yaml": "id: b\n", "a.yml": "id: a\ntitle: a\nsource: {dataset: x}\nseverity: low\n", "note.txt": "x", ".hidden.yaml": "x: [", "c.yaml": "a: [\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var list diag.List
	units := LoadFiles([]fs.FS{diag.Dir(folder), fstest.MapFS{"deep/.git/x.yaml": {Data: []byte("x: [")}, "deep/y.yaml": {Data: []byte("id: y\ntitle: y\nsource: {dataset: x}\nseverity: low\nwhere: user.name == 'x'\n")}}, diag.Dir(filepath.Join(folder, "none"))}, &list)
	if len(units) != 3 || units[0].ID != "a" || units[1].ID != "b" || units[2].ID != "y" || units[2].File != "deep/y.yaml" || !slices.Equal(units[2].FieldNames(), []string{"user.name"}) {
		t.Errorf("%+v", units)
	}
	for _, want := range []string{filepath.Join(folder, "b.yaml") + ":1:1: the key title is missing", filepath.Join(folder, "c.yaml") + ":", filepath.Join(folder, "none") + ": cannot be read"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("got %q, want %q", list, want)
		}
	}
}
