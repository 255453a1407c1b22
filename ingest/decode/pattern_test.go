package decode

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func compile(t testing.TB, src string) *Pattern {
	t.Helper()
	p, errs := ParsePattern(src)
	if len(errs) > 0 {
		t.Fatalf("%s: %v", src, errs)
	}
	return p
}

// captured runs a pattern and writes its captures as name=text, absent ones left out; "no fit" where it does not fit.
func captured(t testing.TB, src, text string) string {
	t.Helper()
	p := compile(t, src)
	var m Match
	if !m.Run(p, text) {
		return "no fit"
	}
	var out []string
	for i, c := range p.Captures() {
		if s, ok := m.Text(i); ok && c.Name != "" {
			out = append(out, c.Name+"="+s)
		}
	}
	return strings.Join(out, " ")
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{"<a> <b:rest>", "x y z", "a=x b=y z"},
		{"<a>: <b:rest>", ": y", "b=y"},
		{"<a:word> <b:rest>", " y", "no fit"},
		{"<a:word>[<b:int>]: <c:rest>", "sshd[42]: hello", "a=sshd b=42 c=hello"},
		{"<a:word>, <b:word>", "x,y, z", "a=x,y b=z"},
		{"<a:int>", "-5", "a=-5"},
		{"<a:int>", "-", ""},
		{"<a:int!>", "-", "no fit"},
		{"<a:int>", "5x", "no fit"},
		{"<a:ip> x", "2001:db8::1 x", "a=2001:db8::1"},
		{"<a:ip>: x", "10.0.0.1: x", "a=10.0.0.1"},
		{"[<a:ip>]:<b:int>", "[::1]:80", "a=::1 b=80"},
		{"<a:ip>:<b:int>", "[::1]:80", "a=[::1] b=80"},
		{"<a:ip>", "10.0.0.300", "no fit"},
		{"<a:ip!>", "-", "no fit"},
		{`"<a:quoted>" <b:rest>`, `"x \" y" z`, `a=x \" y b=z`},
		{`"<a:quoted>"`, `"x\"`, "no fit"},
		{`"<a:quoted>"`, `"x\\"`, `a=x\\`},
		{"<a:path><??<q:rest>?>", "/x/y?z=1", "a=/x/y q=z=1"},
		{"<a:path><??<q:rest>?>", "/x/y", "a=/x/y"},
		{"http://<h:word>:<p:int><a:path>", "http://x.y:80/z", "h=x.y p=80 a=/z"},
		{"for <u:last> from <a:ip!> port <p:int>", "for root from 1.2.3.4 port 22 from 203.0.113.9 port 5", "u=root from 1.2.3.4 port 22 a=203.0.113.9 p=5"},
		{"for <u:last> from <a:ip!> port <p:int>", "for root from 1.2.3.4 port 22 from nowhere", "no fit"},
		{"for <u:last> from <a:ip!>", "for  from 1.2.3.4", "a=1.2.3.4"},
		{"<u:last> from <r:last>", "a from b from c", "u=a from b r=c"},
		{"x<? (<a:int>)?> y", "x (5) y", "a=5"},
		{"x<? (<a:int>)?> y", "x y", ""},
		{"x<? (<a:int>)?> y", "x (z) y", "no fit"},
		{"<a><? [<b:int>]?> end", "v [5] end", "a=v b=5"},
		{"<a><? [<b:int>]?> end", "v end", "a=v"},
		{"<a><? x=<b:word><? y=<c:word>?>?>", "v x=1 y=2", "a=v b=1 c=2"},
		{"<a><? x=<b:word><? y=<c:word>?>?>", "v x=1", "a=v b=1"},
		{"<a:last><? x=<b:word>?>", "v x=1 x=2", "a=v x=1 b=2"},
		{"<<38><a:rest>", "<38>x", "a=x"},
		{"<@timestamp:slashdate> x", "2026/10/10 13:55:36 x", "@timestamp=2026/10/10 13:55:36"},
		{"<t:epoch> x", "1791554136.25 x", "t=1791554136.25"},
		{"<t:rfc3339>: x", "2026-10-10T13:55:36+02:00: x", "t=2026-10-10T13:55:36+02:00"},
		{"<t:rfc3339>-x", "2026-10-10 13:55:36,123-x", "t=2026-10-10 13:55:36,123"},
		{"[<t:httpdate>]", "[10/Oct/2026:13:55:36 +0000]", "t=10/Oct/2026:13:55:36 +0000"},
		{"[<t:httpdate>]", "[10/Okt/2026:13:55:36 +0000]", "no fit"},
		{"[<t:httpdate>]", "[-]", ""},
		{"lit", "lit", ""},
		{"lit", "litt", "no fit"},
		{"<a:rest>", "", ""},
		{"<:word> <a:word>", "x y", "a=y"},
	} {
		if got := captured(t, c.pattern, c.text); got != c.want {
			t.Errorf("%s on %q: got %q, want %q", c.pattern, c.text, got, c.want)
		}
	}
}

func TestMatchReadsInstantsAndAddresses(t *testing.T) {
	p := compile(t, "<a:ip> <t:httpdate>")
	var m Match
	if !m.Run(p, "::ffff:203.0.113.9 10/Oct/2026:13:55:36 -0130") {
		t.Fatal("no fit")
	}
	if got := m.Addr(0).String(); got != "203.0.113.9" {
		t.Error(got)
	}
	if got, want := m.Millis(1), time.Date(2026, 10, 10, 15, 25, 36, 0, time.UTC).UnixMilli(); got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

func TestPatternMistakes(t *testing.T) {
	for src, want := range map[string]string{
		"":                    "0: the pattern is empty",
		"<a":                  "0: the capture is never closed",
		"x <a:wrd> y":         `5: "wrd" is no type of capture`,
		"<a><b>":              "0: a capture of type plain cannot stand right before another capture",
		"<a:word><b:int>":     "0: a word cannot stand right before another capture",
		"<a:rest> x":          "0: nothing can follow a capture of type rest",
		"<a:quoted> x":        "0: a capture of type quoted must stand between quotes",
		"x<? y":               "1: the optional part is never closed",
		"x<??>":               "1: the optional part is empty",
		"<a b>":               `0: "<a b>" is no capture`,
		"<>":                  `0: "<>" is no capture`,
		"<a> <a>":             "4: a is captured twice",
		"<a:last><? <b>?><c>": "0: a capture of type last cannot stand right before another capture",
	} {
		_, errs := ParsePattern(src)
		if len(errs) == 0 || fmt.Sprintf("%d: %s", errs[0].Offset, errs[0].Message) != want {
			t.Errorf("%q: %v, want %s", src, errs, want)
		}
	}
	if _, errs := ParsePattern("<a:x> <b:y>"); len(errs) != 2 {
		t.Errorf("all mistakes at once: %v", errs)
	}
}

// Whatever name a client gives, it is the name, and the address is the daemon's.
func TestNoNameMovesTheAddress(t *testing.T) {
	p := compile(t, "Failed password for <u:last> from <a:ip!> port <p:int><? ssh2?>")
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{" from ", "1.2.3.4", " port ", "22", " ssh2", "x", " ", "root", "Failed password for "}), 0, 30).Draw(t, "parts")
		name := strings.Join(parts, "")
		var m Match
		if !m.Run(p, "Failed password for "+name+" from 203.0.113.9 port 53122 ssh2") {
			t.Fatal("no fit")
		}
		if got, _ := m.Text(0); got != name {
			t.Fatalf("the name is %q, not %q", got, name)
		}
		if got := m.Addr(1).String(); got != "203.0.113.9" {
			t.Fatalf("the address is %s", got)
		}
	})
}

// No text makes a match slow: twice the text, at most about twice the work.
func TestMatchIsLinear(t *testing.T) {
	for _, c := range []struct{ pattern, unit string }{
		{`<a:last> "<b:quoted>" <c:last> "<d:quoted>" end`, ` "x" `},
		{"<a:last> from <b:last> from <c:last> from <d:ip!> end", " from 1.2.3.4"},
		{"<a:last> <b:last> <c:last> <d:last> x", " "},
		{"<a><? x<b><? y<c><? z<d>?>?>?>!", " x y z"},
		{`<a:last> "<b:quoted>"`, ` "`},
	} {
		p := compile(t, c.pattern)
		for _, n := range []int{1000, 100000} {
			text := strings.Repeat(c.unit, n)
			var m Match
			m.Run(p, text)
			if spent := maxPasses*len(text) + slack - m.work; spent > maxPasses*len(text)+2*slack+len(text) {
				t.Errorf("%s: %d bytes of work for %d bytes", c.pattern, spent, len(text))
			}
			begin := time.Now()
			m.Run(p, text)
			if d := time.Since(begin); d > 5*time.Second {
				t.Errorf("%s: %v for %d bytes", c.pattern, d, len(text))
			}
		}
	}
}

func TestScanQuoted(t *testing.T) {
	slow := func(s string, quote byte) int {
		for i := 0; i < len(s); i++ {
			switch s[i] {
			case quote:
				return i
			case '\\':
				i++
			}
		}
		return -1
	}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{`"`, `\`, "x", "yz"})).Draw(t, "s"), "")
		if got, want := scanQuoted(s, '"'), slow(s, '"'); got != want {
			t.Fatalf("%s: %d, want %d", s, got, want)
		}
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("<source.ip:ip> - <user.name:last> [<@timestamp:httpdate>] \"<$r:quoted>\"<? <x:rest>?>", `1.2.3.4 - a [10/Oct/2026:13:55:36 +0000] "GET /" x`)
	f.Add("for <u:last> from <a:ip!> port <p:int><? ssh2?>", "for a from b from 1.2.3.4 port 5 ssh2")
	f.Add("<a><? x=<b:word><? y=<c:word>?>?>", "v x=1 y=2")
	f.Add("<<<a:path><??<b:rest>?>", "</x?y")
	f.Fuzz(func(t *testing.T, src, text string) {
		p, errs := ParsePattern(src)
		if (p == nil) != (len(errs) > 0) {
			t.Fatal("neither a pattern nor a mistake")
		}
		for _, e := range errs {
			if e.Offset < 0 || e.Offset > len(src) || e.Message == "" {
				t.Fatalf("%q: %+v", src, e)
			}
		}
		if p == nil {
			return
		}
		var m, again Match
		fits := m.Run(p, text)
		if fits != again.Run(p, text) {
			t.Fatal("two answers")
		}
		if fits && !strings.HasPrefix(text, p.Prefix()) {
			t.Fatalf("%q fits without the prefix %q", text, p.Prefix())
		}
		for i := range p.Captures() {
			if s, ok := m.Text(i); fits && ok && !strings.Contains(text, s) {
				t.Fatalf("%q is not of %q", s, text)
			}
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	p := compile(t, `<a:ip> - <u:last> [<t:httpdate>] "<r:quoted>" <s:int><? "<f:quoted>"?>`)
	var m Match
	run := func() {
		if !m.Run(p, `203.0.113.9 - x y [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200`) {
			t.Fatal("no fit")
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
