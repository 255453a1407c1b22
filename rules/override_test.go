package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const tunable = `id: x
title: x
owner: a
runbook: look
source: {dataset: a}
where: event.action == "login"
except:
  - {where: 'user.name == "probe"', why: probe}
count: {by: [source.ip], within: 1m, at_least: 20}
severity: normal
---
id: y
title: y
mode: disabled
source: {dataset: a}
severity: low
alert: {incident_by: [source.ip]}
`

func TestOverrideSetsEverything(t *testing.T) {
	s := mustLoad(t, tunable+`---
override: x
set: {count.within: 2m, alert.quiet: 1h, owner: b}
why: everywhere
---
override: x
tenant: acme
set:
  mode: signal
  owner: c
  runbook: ask acme
  count.at_least: 30
  severity: [{when: count > 50, is: high}, {is: low}]
  except:
    - {where: 'user.name == "crawler"', until: 2026-12-10, why: until they fix it}
    - {where: 'user.name == "backup"', why: nightly}
why: SEC-1
until: 2026-12-31
---
override: x
tenant: acme
set: {except: [{where: 'user.name == "monitor"', why: third}]}
why: SEC-2
`)
	at := day("2026-12-01T00:00:00Z").UnixMilli()
	r := s.Resolve("x", "acme", at)
	if r.Mode != Signal || r.Owner != "c" || r.Runbook != "ask acme" || r.Count.AtLeast != 30 || r.Count.Within != 2*time.Minute || r.Quiet != time.Hour || len(r.Except) != 4 {
		t.Errorf("acme: %+v %+v", r, r.Count)
	}
	if got := r.SeverityOf(51, nil); got != High {
		t.Error(got)
	}
	other := s.Resolve("x", "globex", at)
	if other.Mode != Live || other.Owner != "b" || other.Runbook != "look" || other.Count.AtLeast != 20 || other.Count.Within != 2*time.Minute || len(other.Except) != 1 {
		t.Errorf("globex: %+v", other)
	}
	later := s.Resolve("x", "acme", day("2027-01-01T00:00:00Z").UnixMilli())
	if later.Mode != Live || later.Count.AtLeast != 20 || len(later.Except) != 2 {
		t.Errorf("afterwards: %+v", later)
	}
	if plain := mustLoad(t, tunable).Rules()[0]; r.Basis != other.Basis || r.Version == other.Version || plain.Basis == r.Basis {
		t.Error("what is remembered is one for all tenants, and another than before")
	}
	m := s.NewMatcher()
	for _, c := range []struct {
		tenant, user string
		at           string
		matches      int
	}{
		{"acme", "probe", "2026-12-01T00:00:00Z", 0}, {"globex", "probe", "2026-12-01T00:00:00Z", 0}, {"acme", "crawler", "2026-12-10T23:59:59Z", 0},
		{"acme", "crawler", "2026-12-11T00:00:00Z", 1}, {"globex", "crawler", "2026-12-01T00:00:00Z", 1}, {"acme", "backup", "2026-12-31T23:59:59Z", 0},
		{"acme", "backup", "2027-01-01T00:00:00Z", 1}, {"acme", "monitor", "2028-01-01T00:00:00Z", 0}, {"acme", "monitor", "2026-12-01T00:00:00Z", 0},
	} {
		e := newEvent(t, s, "a", c.tenant, day(c.at), "event.action", "login", "user.name", c.user, "source.ip", "::1")
		if got := len(m.Match(e)); got != c.matches {
			t.Errorf("%s of %s at %s: %d matches", c.user, c.tenant, c.at, got)
		}
	}
	if st := m.Stats()[0]; st.Excepted != 6 || fmt.Sprint(st.ByException) != "[2 1 1 2]" {
		t.Errorf("%+v", st)
	}
}

func TestOverrideRefused(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"unknown rule":  {"override: z\nset: {mode: live}\nwhy: w\n", "there is no rule z to override"},
		"near rule":     {"override: xx\nset: {mode: live}\nwhy: w\n", "there is no rule xx to override (did you mean x?)"},
		"clash":         {"override: x\nset: {mode: live}\nwhy: w\n---\noverride: x\nset: {owner: b, mode: shadow}\nwhy: w\nuntil: 2027-01-01\n", "r.yaml:24:17: set.mode: mode of the rule x is set for every tenant by another override too, in r.yaml:20"},
		"tenant clash":  {"override: x\ntenant: t\nset: {count.at_least: 3}\nwhy: w\n---\noverride: x\ntenant: t\nset: {count.at_least: 3}\nwhy: w\n", "is set for the tenant t by another override too"},
		"within apart":  {"override: x\ntenant: t\nset: {count.within: 3m}\nwhy: w\n", "is the same for all tenants and times"},
		"quiet for now": {"override: x\nset: {alert.quiet: 1h}\nwhy: w\nuntil: 2027-01-01\n", "is the same for all tenants and times"},
		"quiet":         {"override: x\nset: {count.within: 2h, alert.quiet: 1h}\nwhy: w\n", "is shorter than within, 2h0m0s"},
		"no count":      {"override: y\nset: {alert.quiet: 1h}\nwhy: w\n", "the rule y has no count to set"},
		"empty tenant":  {"override: x\ntenant: ''\nset: {mode: live}\nwhy: w\n", "leave it out to tune the rule for every tenant"},
		"empty value":   {"override: x\nset: {owner: }\nwhy: w\n", "leave it out to keep what the rule says"},
		"empty text":    {"override: x\nset: {owner: ' '}\nwhy: w\n", "leave it out to keep what the rule says"},
		"empty list":    {"override: x\nset: {except: []}\nwhy: w\n", "leave it out to keep what the rule says"},
		"nested":        {"override: x\nset: {count: {at_least: 5}}\nwhy: w\n", `unknown key "count"`},
		"where":         {"override: x\nset: {where: a}\nwhy: w\n", `unknown key "where"`},
		"no why":        {"override: x\nset: {except: [{where: 'user.name == \"x\"'}]}\nwhy: w\n", "the key why is missing"},
		"negation":      {"override: x\nset: {except: [{where: 'user.name != \"x\"', why: x}]}\nwhy: w\n", "also holds where user.name is absent"},
		"field":         {"override: x\nset: {severity: [{when: 'usr.name == \"x\"', is: low}, {is: high}]}\nwhy: w\n", "did you mean user.name?"},
		"day":           {"override: x\nset: {mode: live}\nwhy: w\nuntil: friday\n", "must be a day"},
		"mode":          {"override: x\nset: {mode: off}\nwhy: w\n", "must be one of live, signal, shadow, disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := load(t, tunable+"---\n"+c.doc, Options{})
			if !d.HasErrors() || !strings.Contains(d.String(), c.want) {
				t.Errorf("got %q, want %q", d, c.want)
			}
		})
	}
}

func TestTestsSeeRulesAsWritten(t *testing.T) {
	const doc = tunable + "---\noverride: x\nset: {count.at_least: 50, mode: disabled, count.within: 1h}\nwhy: w\n---\noverride: y\nset: {mode: live}\nwhy: w\n"
	s, d := load(t, doc, Options{AsWritten: true})
	if d.HasErrors() {
		t.Fatal(d)
	}
	if x := s.Resolve("x", "acme", 0); x.Count.AtLeast != 20 || x.Count.Within != time.Minute || x.Mode != Live || len(x.Overrides()) != 0 {
		t.Errorf("%+v", x)
	}
	if y := s.Resolve("y", "acme", 0); y.Mode == Disabled {
		t.Error("a rule that is switched off cannot be tested")
	}
	if _, d := load(t, tunable+"---\noverride: x\nset: {mode: live}\nwhy: w\n---\noverride: x\nset: {mode: live}\nwhy: w\n", Options{AsWritten: true}); !d.HasErrors() {
		t.Error("mistakes in overrides are not seen")
	}
}

func TestLintNamesWhatEnds(t *testing.T) {
	set := mustLoad(t, bruteforce+`---
override: ssh-bruteforce
tenant: acme
set: {count.at_least: 50}
why: SEC-1
until: 2026-11-30
---
override: ssh-bruteforce
tenant: globex
set:
  mode: shadow
  except:
    - {where: 'source.ip == "::1"', why: no end of its own}
    - {where: 'source.ip == "::2"', until: 2026-11-01, why: SEC-2}
why: SEC-3
until: 2026-12-14
---
override: ssh-bruteforce
tenant: initech
set: {mode: shadow, except: [{where: 'source.ip == "::3"', why: for ever}]}
why: SEC-4
`)
	got := Lint(set, lintTime, 14*24*time.Hour)
	for _, want := range []string{
		"r.yaml:32:1: warning: override: the override of ssh-bruteforce for the tenant acme (SEC-1) has ended, with 2026-11-30 (remove it, or give it another day)",
		"r.yaml:38:1: warning: override: the override of ssh-bruteforce for the tenant globex (SEC-3) ends soon, with 2026-12-14",
		"r.yaml:38:1: warning: set.except[1]: the exception (SEC-2) has ended, with 2026-11-01",
		"r.yaml:48:1: warning: set.except[0]: the exception never ends",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d warnings: %s", len(got), got)
	}
	end := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC) // the exception in the rule itself
	plain := mustLoad(t, bruteforce)
	if got := Lint(plain, end.Add(-time.Millisecond), 0); len(got) > 0 {
		t.Error(got)
	}
	if got := Lint(plain, end, 0).String(); !strings.Contains(got, "except[0]: the exception (load test, SEC-812) has ended, with 2027-01-31") {
		t.Error(got)
	}
}

// TestHoldingsAreWhatIsResolved compares the table that people see with what events meet.
func TestHoldingsAreWhatIsResolved(t *testing.T) {
	start := day("2027-01-01T00:00:00Z")
	rapid.Check(t, func(rt *rapid.T) {
		var doc strings.Builder
		doc.WriteString(tunable)
		free := map[string][]string{} // keys that are not set yet, by tenant
		for range rapid.IntRange(0, 6).Draw(rt, "overrides") {
			tenant := rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "tenant")
			if free[tenant] == nil {
				free[tenant] = []string{"mode: shadow", "severity: high", "count.at_least: 7", "owner: z"}
			}
			if len(free[tenant]) == 0 {
				continue
			}
			fmt.Fprintf(&doc, "---\noverride: x\nwhy: w\nset: {%s}\n", free[tenant][0])
			free[tenant] = free[tenant][1:]
			if tenant != "" {
				fmt.Fprintf(&doc, "tenant: %s\n", tenant)
			}
			if d := rapid.IntRange(0, 3).Draw(rt, "day"); d > 0 {
				fmt.Fprintf(&doc, "until: 2027-01-0%d\n", d)
			}
		}
		set := mustLoad(t, doc.String())
		x, _ := set.Rule("x")
		tenant := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "of")
		at := start.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "hour")) * time.Hour).UnixMilli()
		var own, all *Rule
		for _, h := range x.Holdings() {
			switch {
			case h.Until != 0 && h.Until <= at:
			case h.Tenant == tenant && own == nil:
				own = h.Rule
			case h.Tenant == "" && all == nil:
				all = h.Rule
			}
		}
		if own == nil {
			own = all
		}
		if want := set.Resolve("x", tenant, at); own != want {
			rt.Fatalf("%s: the table says %+v, an event meets %+v", doc.String(), own, want)
		}
	})
}
