package glob

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"*", "", true}, {"*", "x.y", true}, {"a.*", "a.b.c", true}, {"a.*", "a", false}, {"*.b", "a.b", true}, {"a*c*e", "abcde", true},
		{"a*c*e", "abcd", false}, {"?", "x", true}, {"?", "", false}, {"a**", "a", true}, {"*aab", "aaaab", true}, {"", "", true}, {"", "x", false}, {"a*", "ba", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"a*b*c", "axxcyyb", false},
	} {
		if Match(c.pattern, c.name) != c.want {
			t.Errorf("%q of %q: %v", c.pattern, c.name, !c.want)
		}
		if c.want && !Meet(c.pattern, c.name) {
			t.Errorf("%q and %q meet", c.pattern, c.name)
		}
	}
}

func TestMeet(t *testing.T) {
	if Meet("a*b", "a*c") || !Meet("a*", "*b") || !Meet("a?", "?b") {
		t.Error("patterns that meet")
	}
}

func TestIs(t *testing.T) {
	for s, want := range map[string]bool{"": false, "logs.app": false, "logs.*": true, "a?": true} {
		if Is(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// TestMatchIsThatOfARegularExpression compares with a matcher that nobody doubts.
func TestMatchIsThatOfARegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := rapid.StringMatching(`[ab.*?]{0,8}`).Draw(t, "pattern"), rapid.StringMatching(`[ab.]{0,8}`).Draw(t, "name")
		same := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile("^" + same + "$").MatchString(name)
		if Match(pattern, name) != want {
			t.Fatalf("%q of %q: %v", pattern, name, !want)
		}
		if want && !Meet(pattern, name) {
			t.Fatalf("%q and %q meet", pattern, name)
		}
	})
}
