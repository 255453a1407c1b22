package diag

import (
	"strings"
	"testing"
	"time"
)

func TestDocumentsReportsEveryMistakeWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"unknown key": {"a: 1\nwhre: x\n", `f:2:1: whre: unknown key "whre" (did you mean where?)`},
		"duplicate":   {"a: 1\na: 2\n", `f:2:1: the key "a" is already there, at line 1`},
		"tag":         {"where: !x\n", `f:1:8: where: has the YAML tag !x`},
		"alias":       {"a: &b 1\nwhere: *b\n", `f:1:4: a: uses a YAML anchor`},
		"cut short":   {"where: any(args, # == \"x\")\n", `f:1:8: where: the condition is cut short by the YAML comment`},
		"empty":       {"where: ''\n", `f:1:8: where: is an empty condition`},
		"not yaml":    {"a: [\n", `is not YAML`},
		"a pattern":   {"a: [*.audit]\n", `put a value that begins with * into quotes`},
		"duration":    {"within: soon\n", `f:1:9: within: must be a duration`},
		"int":         {"a: many\n", `f:1:4: a: must be a whole number, not "many"`},
	} {
		t.Run(name, func(t *testing.T) {
			var l List
			for _, d := range Documents("f", []byte(c.in), &l) {
				m, _ := d.Map()
				m.Get("where").Condition()
				m.Get("within").Duration()
				m.Get("a").Int(0, 10)
				m.Done()
			}
			if l.Err() == nil || !strings.Contains(l.String(), c.want) {
				t.Errorf("got %q, want %q in it", l.String(), c.want)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"7d": 168 * time.Hour, "1w": 168 * time.Hour, "1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "d", "5", "99999999999999999999d"} {
		if _, err := ParseDuration(in); err == nil {
			t.Errorf("%q was read", in)
		}
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte("a: 1\n---\nb: [x, {c: d}]\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l List
		for _, d := range Documents("f", data, &l) {
			walk(d)
		}
	})
}

func walk(n Node) {
	n.Duration()
	n.Condition()
	if n.IsMap() {
		m, _ := n.Map()
		for _, p := range m.Pairs() {
			walk(p.Value)
		}
		m.Done()
	} else if n.IsSeq() {
		for _, e := range n.Seq() {
			walk(e)
		}
	}
}
