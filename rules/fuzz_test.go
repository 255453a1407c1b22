package rules

import (
	"sync"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"pgregory.net/rapid"
)

// FuzzCondition compiles anything and evaluates what compiles, on both machines and in its normal form: all must agree.
func FuzzCondition(f *testing.F) {
	for _, src := range []string{
		`event.action == "ssh_login" and not (user.name in ["a", "b"]) or source.ip in cidr("10.0.0.0/8")`,
		`any(json.items, .cidr == "0.0.0.0/0" and .port == 22) and all(tags, # icontains "a")`,
		`source.port in 20..30 ? json.n > 4.5 : hour(timestamp, "UTC") < 5`,
		`user.name imatches "^r.*t$" and len(user.name) >= 3 and subnet(source.ip, 8, 32) == "10.0.0.0/8"`,
		`field("json.any name") == 1.5 and json["x-y"] != nil and -1 < json.n <= 5`,
		"user.name == `x` // comment\n and /* c */ domain(url.original) iequals \"A\"",
		`not a == b`, `now() > 1`, `@timestamp`, `a[].b`, `a[1:2]`, `let x = 1; x`, `{"a": 1}`, `b"x" == b'y'`, `#`, `"\u{1F600}" in user.roles`, `0x7fffffffffffffff < json.n`, `1e999 == json.n`,
	} {
		f.Add(src)
	}
	s, l := testSchema(f), testLists(f)
	events := []*event.Event{decode(f, s, login), decode(f, s, `{}`)}
	f.Fuzz(func(t *testing.T, src string) {
		names, bad := ConditionFields(src)
		c, d := CompileCondition(src, s, ConditionOptions{Lists: l, Count: true})
		if c == nil {
			if !d.HasErrors() {
				t.Fatal("no condition and no error")
			}
			return
		}
		if bad.HasErrors() {
			t.Fatalf("compiles, but has no fields: %v", bad)
		}
		_ = names
		again, d := CompileCondition(c.String(), s, ConditionOptions{Lists: l, Count: true})
		if again == nil || again.String() != c.String() {
			t.Fatalf("normal form %s of it %v: %v", c, again, d)
		}
		for _, e := range events {
			got := c.Eval(e)
			if c.root.native() {
				got = evalBoth(t, c, e)
			}
			if again.Eval(e) != got {
				t.Fatalf("%s: %v, its normal form differs", c, got)
			}
		}
	})
}

// condText draws a condition as a person might write it.
func condText(t *rapid.T, depth int) string {
	atoms := []string{`event.action == "ssh_login"`, `user.name != "Root"`, `has(rule.name)`, `rule.name != "x"`, `source.port > 21`, `user.roles in ["ops", "x"]`,
		`source.ip in cidr("10.0.0.0/8")`, `any(json.items, .port == 22 and .cidr endsWith "/0")`, `json.n == 5`, `user.name not icontains "OO"`, `true`, `process.interactive`}
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0, 1:
		if depth > 0 {
			return "(" + condText(t, depth-1) + " and " + condText(t, depth-1) + ")"
		}
	case 2, 3:
		if depth > 0 {
			return condText(t, depth-1) + " or (" + condText(t, depth-1) + ")"
		}
	case 4:
		return "not (" + condText(t, max(depth-1, 0)) + ")"
	}
	return rapid.SampledFrom(atoms).Draw(t, "atom")
}

func TestNativeEqualsMachine(t *testing.T) {
	s, l := testSchema(t), testLists(t)
	events := []*event.Event{decode(t, s, login), decode(t, s, `{}`), decode(t, s, `{"event":{"action":"ssh_login"},"rule":{"name":"x"},"user":{"name":"bob"}}`)}
	rapid.Check(t, func(r *rapid.T) {
		src := condText(r, 4)
		c, d := CompileCondition(src, s, ConditionOptions{Lists: l})
		if c == nil {
			r.Fatalf("%s: %v", src, d)
		}
		n, d := CompileCondition("not ("+src+")", s, ConditionOptions{Lists: l})
		if n == nil {
			r.Fatalf("not (%s): %v", src, d)
		}
		for _, e := range events {
			if evalBoth(t, c, e) == evalBoth(t, n, e) {
				r.Fatalf("%s and its negation are both %v", src, c.Eval(e))
			}
		}
	})
}

func TestEvalAllocatesNothing(t *testing.T) {
	s := testSchema(t)
	e := decode(t, s, login)
	for _, src := range []string{
		`event.action == "ssh_login" and user.name icontains "oo" and user.roles in ["a","b","c","d","e","f","g"] or source.ip in list("scanners")`,
		`any(json.items, .cidr == "10.0.0.0/8" and .port == 80)`, `user.name matches "R(o+)t$"`, `json.t > "2026-01-01" and json.n > 4 and json.ip in cidr("10.0.0.0/8")`,
		`event.action == "x" ? true : source.port == 22`, `domain(url.original) == "example.com" and hour(timestamp, "Europe/Berlin") == 0 and subnet(source.ip, 8) == "10.0.0.0/8"`,
		`message in cidr("10.0.0.0/8") or url.original in list("scanners") or json.t == 5 or json["x-y"] == 7 or hour(json["x-y"]) == 1`,
	} {
		c, d := CompileCondition(src, s, ConditionOptions{Lists: testLists(t)})
		if c == nil {
			t.Fatalf("%s: %v", src, d)
		}
		c.Eval(e)
		if n := testing.AllocsPerRun(200, func() { c.Eval(e) }); n > poolAllocations {
			t.Errorf("%s: %v allocations", src, n)
		}
		prog, err := assemble(c.root)
		if err != nil {
			t.Fatal(err)
		}
		m := &machine{}
		m.run(prog, e, 1)
		if n := testing.AllocsPerRun(200, func() { m.run(prog, e, 1) }); n > poolAllocations {
			t.Errorf("%s: %v allocations on expr's machine", src, n)
		}
	}
}

func BenchmarkCondition(b *testing.B) {
	s := testSchema(b)
	e := decode(b, s, login)
	for name, src := range map[string]string{
		"equal":   `event.action == "ssh_login" and event.outcome == "failure"`,
		"fold":    `user.name icontains "oo" and not (user.name iequals "x")`,
		"element": `any(json.items, .cidr == "10.0.0.0/8" and .port == 80)`,
		"choice":  `event.action == "x" ? true : source.port == 22`,
	} {
		c, d := CompileCondition(src, s, ConditionOptions{})
		if c == nil {
			b.Fatal(d)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Eval(e)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	s := testSchema(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, d := CompileCondition(`event.action == "ssh_login" and event.outcome == "failure" and not (user.name in ["a", "b"])`, s, ConditionOptions{}); len(d) > 0 {
			b.Fatal(d)
		}
	}
}

// TestConditionsAreShared runs one condition on several workers, each with an event of its own.
func TestConditionsAreShared(t *testing.T) {
	s := testSchema(t)
	c, d := CompileCondition(`any(json.items, .cidr == "10.0.0.0/8" and .port == 80) ? user.name iequals "ROOT" : false`, s, ConditionOptions{})
	if c == nil {
		t.Fatal(d)
	}
	var wg sync.WaitGroup
	for range 4 {
		yes, no := decode(t, s, login), decode(t, s, `{"json":{"items":[{"cidr":"10.0.0.0/8","port":22},{"port":80}]},"user":{"name":"root"}}`)
		wg.Go(func() {
			for range 500 {
				if !c.Eval(yes) || c.Eval(no) {
					t.Error("workers disturb each other")
					return
				}
			}
		})
	}
	wg.Wait()
}
