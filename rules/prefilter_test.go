package rules

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPrefilterNeedles(t *testing.T) {
	for _, c := range []struct {
		re   string
		want string // needles with blanks between, "" for none
	}{
		{`(?i)(^|/)\.(env|git)($|[/?.])`, ".env .git"},
		{`(?i)(^|/)(wp-login\.php|wp-config\.php|id_rsa|backup\.(zip|sql))($|[?])`, "wp-login.php wp-config.php id_rsa backup.zip backup.sql"},
		{`(\.\.|%2e%2e)(/|\\).*(etc(/|%2f)passwd|win\.ini)`, "etc/passwd etc%2fpasswd win.ini"},
		{`"Action"\s*:\s*\[?\s*"\*(:\*)?"`, `"Action"`},
		{`abc+`, "ab"},
		{`(abc)+x?`, "abc"},
		{`(abc){2,3}`, "abc"},
		{`colou?r`, "colour color"},
		{`a.*bcd|efg`, "efg bcd"},
		{`a|bc`, ""},
		{`.*`, ""},
		{`(abc)?`, ""},
		{`(abc|)`, ""},
		{`(?i)straße`, ""},
		{`[0-9]+`, ""},
	} {
		tree, err := syntax.Parse(c.re, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		got, want := "", strings.Fields(c.want)
		if p := newPrefilter(tree); p != nil {
			slices.Sort(p.needles)
			got = strings.Join(p.needles, " ")
		}
		slices.Sort(want)
		if got != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", c.re, got, want)
		}
	}
}

// TestPrefilterExcludesNoMatch: of any expression and any text.
func TestPrefilterExcludesNoMatch(t *testing.T) {
	part := rapid.SampledFrom([]string{"ab", "K", "s", "(x|yz)", "[abc]", "(?:ab)?", "c+", ".*", "^", "$", `\.`, "(a|)", "(?i:kS)", "é", "b\ufffd", "(?:bc|b.c){2}", "[^a]", "(?:ks|sk)+", `\b`, "(?s:.)"})
	text := rapid.SampledFrom([]string{"a", "b", "c", "ab", "x", "yz", "K", "s", "ſ", "K", "k", "S", ".", "é", "\xff", " "})
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(part, 1, 6).Draw(t, "parts")
		src := strings.Join(parts, rapid.SampledFrom([]string{"", "", "|"}).Draw(t, "between"))
		if rapid.Bool().Draw(t, "fold") {
			src = "(?i)" + src
		}
		tree, err := syntax.Parse(src, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		p := newPrefilter(tree)
		if p == nil {
			return
		}
		s := strings.Join(rapid.SliceOfN(text, 0, 12).Draw(t, "text"), "")
		if regexp.MustCompile(src).MatchString(s) && p.excludes(s) {
			t.Fatalf("%s matches %q, and the needles are %q", src, s, p.needles)
		}
	})
}
