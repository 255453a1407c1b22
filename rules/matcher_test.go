package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// newEvent makes an event of a set's schema from fields and values; several values are separated by |.
func newEvent(t testing.TB, s *Set, dataset, tenant string, at time.Time, fields ...string) *event.Event {
	t.Helper()
	e := event.New(s.Schema())
	for i := 0; i < len(fields); i += 2 {
		for v := range strings.SplitSeq(fields[i+1], "|") {
			if !e.Add(s.Schema().ID(fields[i]), v) {
				t.Fatalf("%s: %s", fields[i], v)
			}
		}
	}
	e.Dataset, e.Tenant = dataset, tenant
	e.SetTime(at.UnixMilli())
	return e
}

func day(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// keys is what matched, as text.
func keys(matches []Match) string {
	var out []string
	for _, m := range matches {
		out = append(out, m.Rule.ID+"/"+m.Tenant+"/"+strings.Join(m.Key, ","))
	}
	return strings.Join(out, " ")
}

func TestMatch(t *testing.T) {
	s := mustLoad(t, `
id: count
title: count
source: {dataset: [system.*]}
where: event.outcome == "failure"
except: [{where: user.name == "probe", why: x, until: 2026-11-30}, {where: user.name == "tester", why: y}]
count: {by: [source.ip, user.name], within: 1m, at_least: 5}
severity: high
---
id: net
title: net
source: {dataset: system.auth}
tenants: together
count: {by: ["subnet(source.ip, 24, 64)"], within: 1m, at_least: 5}
severity: high
---
id: plain
title: plain
source: {dataset: "*"}
where: user.name == "root"
severity: low
alert: {incident_by: [user.name, rule.name]}
---
id: off
title: off
mode: disabled
source: {dataset: "*"}
severity: low
`)
	before, after := day("2026-11-30T23:59:59Z"), day("2026-12-01T00:00:00Z")
	m := s.NewMatcher()
	for _, c := range []struct {
		name    string
		dataset string
		at      time.Time
		fields  []string
		want    string
	}{
		{"all", "system.auth", before, []string{"event.outcome", "failure", "source.ip", "203.0.113.9", "user.name", "root"}, "count/acme/203.0.113.9,root net//203.0.113.0/24 plain/acme/root,"},
		{"another dataset", "nginx.access", before, []string{"event.outcome", "failure", "source.ip", "203.0.113.9", "user.name", "root"}, "plain/acme/root,"},
		{"one form of an address", "system.x", before, []string{"event.outcome", "failure", "source.ip", "::ffff:203.0.113.9", "user.name", "bob"}, "count/acme/203.0.113.9,bob"},
		{"IPv6", "system.auth", before, []string{"event.outcome", "failure", "source.ip", "2001:DB8:0:0::1", "user.name", "bob"}, "count/acme/2001:db8::1,bob net//2001:db8::/64"},
		{"a key field is missing", "system.x", before, []string{"event.outcome", "failure", "source.ip", "203.0.113.9"}, ""},
		{"excepted", "system.x", before, []string{"event.outcome", "failure", "source.ip", "203.0.113.9", "user.name", "probe"}, ""},
		{"the exception has ended", "system.x", after, []string{"event.outcome", "failure", "source.ip", "203.0.113.9", "user.name", "probe"}, "count/acme/203.0.113.9,probe"},
		{"the other has not", "system.x", after, []string{"event.outcome", "failure", "source.ip", "203.0.113.9", "user.name", "tester"}, ""},
		{"several keys", "system.x", before, []string{"event.outcome", "failure", "source.ip", "203.0.113.9|203.0.113.8|203.0.113.9", "user.name", "a|b"},
			"count/acme/203.0.113.9,a count/acme/203.0.113.9,b count/acme/203.0.113.8,a count/acme/203.0.113.8,b"},
		{"nothing", "", before, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := keys(m.Match(newEvent(t, s, c.dataset, "acme", c.at, c.fields...))); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	stats := m.Stats()
	st := stats[0]
	if st.Rule.ID != "count" || st.Evaluated != 8 || st.Matched != 6 || st.Excepted != 2 || !slices.Equal(st.ByException, []int64{1, 1}) || st.MissingKey != 1 || st.CutKeys != 0 {
		t.Errorf("%+v", st)
	}
	if off := stats[2]; off.Rule.ID != "off" || off.Evaluated != 0 {
		t.Errorf("%+v", off)
	}
}

func TestKeysAreBounded(t *testing.T) {
	s := mustLoad(t, "id: x\ntitle: x\nsource: {dataset: a}\ncount: {by: [user.name, user.roles], within: 1m, at_least: 2}\nseverity: low\n")
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprint("u", i))
	}
	m := s.NewMatcher()
	got := m.Match(newEvent(t, s, "a", "", day("2026-11-30T00:00:00Z"), "user.name", strings.Join(many, "|"), "user.roles", "a|b"))
	if len(got) != maxKeyValues || m.Stats()[0].CutKeys != 2 {
		t.Errorf("%d keys, %d cut", len(got), m.Stats()[0].CutKeys)
	}
}

func TestCarried(t *testing.T) {
	s := mustLoad(t, `
id: x
title: x
source: {dataset: a}
severity: low
alert: {title: "{{user.roles}} from {{ source.ip }} at {{timestamp}}", incident_by: ["subnet(source.ip, 24)"]}
`)
	r := s.Rules()[0]
	m := s.NewMatcher()
	m.Match(newEvent(t, s, "a", "", day("2026-11-30T00:00:00Z"), "user.roles", "a|b|a", "source.ip", "203.0.113.9"))
	got := map[string]string{}
	for i, name := range r.Carry {
		got[name] = strings.Join(m.Carried(r, i), ",")
	}
	want := map[string]string{"user.roles": "a,b", "source.ip": "203.0.113.9", "@timestamp": "2026-11-30T00:00:00.000Z", "subnet(source.ip, 24, 64)": "203.0.113.0/24"}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s: %q, want %q", name, got[name], v)
		}
	}
	title := r.TitleTemplate.Render(func(f string) []string {
		if got[f] == "" {
			return nil
		}
		return strings.Split(got[f], ",")
	})
	if title != "a, b from 203.0.113.9 at 2026-11-30T00:00:00.000Z" {
		t.Error(title)
	}
}

func TestOverrides(t *testing.T) {
	s := mustLoad(t, `
id: x
title: x
source: {dataset: a}
count: {by: [source.ip], within: 1m, at_least: 20}
severity: normal
---
override: x
set: {severity: high}
why: all
---
override: x
tenant: acme
set: {count.at_least: 50, severity: [{when: user.name == "root", is: urgent}, {is: low}]}
why: SEC-812
until: 2027-03-31
---
override: x
tenant: quiet
set: {mode: disabled}
why: noise
`)
	base, _ := s.Rule("x")
	during, after := day("2027-03-31T23:59:59Z").UnixMilli(), day("2027-04-01T00:00:00Z").UnixMilli()
	none := func(string) []string { return nil }
	for _, c := range []struct {
		tenant   string
		at       int64
		atLeast  int64
		severity Severity
		mode     Mode
		why      string
	}{
		{"", during, 20, High, Live, "all"}, {"other", after, 20, High, Live, "all"}, {"acme", during, 50, Low, Live, "all,SEC-812"}, {"acme", after, 20, High, Live, "all"},
		{"quiet", during, 20, High, Disabled, "all,noise"},
	} {
		r := s.Resolve("x", c.tenant, c.at)
		if r.Count.AtLeast != c.atLeast || r.SeverityOf(1, none) != c.severity || r.Mode != c.mode || strings.Join(r.Overridden(), ",") != c.why {
			t.Errorf("%s: at_least %d, %s, %s, %q", c.tenant, r.Count.AtLeast, r.SeverityOf(1, none), r.Mode, r.Overridden())
		}
		if (r.Version != base.Version) != (c.atLeast != 20) || r.Basis != base.Basis {
			t.Errorf("%s: versions", c.tenant)
		}
	}
	if base.Count.AtLeast != 20 || base.Overridden() != nil || s.Resolve("y", "", 0) != nil || !slices.Equal(base.Carry, []string{"user.name"}) {
		t.Errorf("the rule itself changed: %+v", base)
	}
	m := s.NewMatcher()
	at := day("2027-01-01T00:00:00Z")
	if got := m.Match(newEvent(t, s, "a", "quiet", at, "source.ip", "::1")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	got := m.Match(newEvent(t, s, "a", "acme", at, "source.ip", "::1"))
	if len(got) != 1 || got[0].Rule.Count.AtLeast != 50 || got[0].Rule.ID != "x" {
		t.Errorf("%+v", got)
	}
	_, d := load(t, "id: x\ntitle: x\nsource: {dataset: a}\nseverity: low\ntenants: together\n---\noverride: x\ntenant: acme\nset: {mode: live}\nwhy: x\n", Options{})
	if !strings.Contains(d.String(), "cannot be tuned for one") {
		t.Error(d)
	}
}

func TestAnOverrideCanSwitchOnForOneTenant(t *testing.T) {
	s := mustLoad(t, "id: x\ntitle: x\nmode: disabled\nsource: {dataset: a}\nseverity: low\n---\noverride: x\ntenant: acme\nset: {mode: live}\nwhy: x\n")
	m := s.NewMatcher()
	at := day("2027-01-01T00:00:00Z")
	if a, b := m.Match(newEvent(t, s, "a", "acme", at)), m.Match(newEvent(t, s, "a", "b", at)); len(a) != 1 || len(b) != 0 {
		// a is no longer valid, but its length is
		t.Errorf("%d and %d", len(a), len(b))
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	s := mustLoad(t, bruteforce+"---\nid: y\ntitle: y\nsource: {dataset: '*'}\nseverity: low\nwhere: any(json.items, .port == 22)\nalert: {incident_by: [source.ip, '@timestamp']}\n")
	e := newEvent(t, s, "system.auth", "acme", day("2026-11-30T00:00:00Z"), "event.action", "ssh_login", "event.outcome", "failure", "source.ip", "203.0.113.9|2001:db8::1", "user.name", "root")
	e.AddRaw(s.Schema().ID("json.items[]"), []byte(`[{"port":22}]`))
	m := s.NewMatcher()
	run := func() int {
		n := len(m.Match(e))
		r, _ := s.Rule("ssh-bruteforce")
		return n + len(m.Carried(r, 0))
	}
	if n := run(); n != 4 {
		t.Fatalf("%d matches", n)
	}
	if n := testing.AllocsPerRun(200, func() { run() }); n > poolAllocations {
		t.Errorf("%v allocations", n)
	}
}

func TestRoutesAreBounded(t *testing.T) {
	s := mustLoad(t, "id: x\ntitle: x\nsource: {dataset: 'a*z'}\nseverity: low\n")
	m := s.NewMatcher()
	e := event.New(s.Schema())
	for i := range maxRoutes + 100 {
		e.Dataset = fmt.Sprintf("a%dz", i)
		if len(m.Match(e)) != 1 {
			t.Fatal(e.Dataset)
		}
	}
	if len(m.routes) != maxRoutes {
		t.Errorf("%d routes", len(m.routes))
	}
}

func TestTemplate(t *testing.T) {
	values := map[string][]string{"a": {"x"}, "m": {"a", "b", "c", "d", "e", "f", "g", "h"}, "three": {"a", "b", "c"}, "bad": {"a\x1b[31mb\n\u202ec\x00"}, "count": {"20"}, "long": {strings.Repeat("ü", 500)}}
	get := func(f string) []string { return values[f] }
	for src, want := range map[string]string{
		"":                       "",
		"plain {} } {":           "plain {} } {",
		"{{a}}: {{count}} times": "x: 20 times",
		"{{ m }}":                "a, b, c and 5 more",
		"{{three}}":              "a, b, c",
		"{{user.name}}!":         "(no user.name)!",
		"{{bad}}":                "a[31mb c",
		"line\nbreak":            "line break",
		"{{long}}":               strings.Repeat("ü", maxValueRunes-1) + "…",
	} {
		tmpl, bad := parseTemplate(src)
		if len(bad) > 0 {
			t.Errorf("%q: %v", src, bad)
			continue
		}
		if got := tmpl.Render(get); got != want {
			t.Errorf("%q: %q, want %q", src, got, want)
		}
	}
	for _, src := range []string{"{{", "a }} b", "{{}}", "{{ }}", "{{a", strings.Repeat("x", maxTemplateBytes+1)} {
		if tmpl, bad := parseTemplate(src); len(bad) == 0 {
			t.Errorf("%.20q was read: %v", src, tmpl)
		}
	}
	tmpl, _ := parseTemplate("{{a}} b {{c}} {{a}}")
	if !slices.Equal(tmpl.Names(), []string{"a", "c"}) || tmpl.String() != "{{a}} b {{c}} {{a}}" {
		t.Errorf("%q", tmpl)
	}
	if got := shorten(strings.Repeat("x", maxTitleRunes+5), maxTitleRunes); len([]rune(got)) != maxTitleRunes {
		t.Errorf("%d runes", len([]rune(got)))
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(bruteforce)
	f.Add("id: x\ntitle: '{{user.name}} {{count}}'\nsource: {dataset: ['*']}\nwhere: |\n  any(json.items, .port == 22)\n  or user.name in list(\"embargoed\")\ncount: {by: ['subnet(source.ip, 24, 64)'], within: 1d, at_least: 2}\nseverity: high\n---\noverride: x\ntenant: t\nset: {count.at_least: 5, mode: shadow, severity: [{when: count > 5, is: low}, {is: high}]}\nwhy: y\nuntil: 2027-01-01\n")
	f.Add("id: x\ntitle: x\nsource: {dataset: a}\nseverity: low\ntests:\n- {name: a, start: 2027-01-01T00:00:00Z, given: {json.items: [{a: [1, x]}, {b: {c: d}}], source: {ip: '::1'}}, events: [{repeat: 3, every: 1s, after: 0s}, {line: 'x {{n}}'}], alerts: [{at: 0s}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		set, d := load(t, text, Options{})
		_ = d.String()
		Lint(set, lintTime, time.Hour)
		m := set.NewMatcher()
		e := event.New(set.Schema())
		for _, r := range set.Rules() {
			for _, test := range r.Tests {
				for step := range test.Steps() {
					e.Reset(set.Schema())
					_ = step.Apply(e) // what does not convert is an error, not a crash
					m.Match(e)
					if step.Offset > time.Hour {
						break
					}
				}
			}
			for i := range r.Carry {
				m.Carried(r, i)
			}
			none := func(string) []string { return []string{"1"} }
			r.TitleTemplate.Render(none)
			r.SeverityOf(5, none)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	s := mustLoad(b, bruteforce)
	e := newEvent(b, s, "system.auth", "acme", day("2026-11-30T00:00:00Z"), "event.action", "ssh_login", "event.outcome", "failure", "source.ip", "203.0.113.9", "user.name", "root")
	m := s.NewMatcher()
	b.ReportAllocs()
	for b.Loop() {
		if len(m.Match(e)) != 1 {
			b.Fatal("no match")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustLoad(b, bruteforce)
	}
}
