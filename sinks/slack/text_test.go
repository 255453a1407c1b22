package slack

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 10, "plain"},
		{"<!channel> & <@U1>", 100, "&lt;!channel&gt; &amp; &lt;@U1&gt;"},
		{"&amp;", 100, "&amp;amp;"},
		{"two\nlines\tand  blanks", 100, "two lines and blanks"},
		{"\x1b[31m\u202eright to left", 100, "\uFFFD[31m\uFFFDright to left"},
		{"bytes \xff", 100, "bytes \uFFFD"},
		{"", 100, "–"}, {" \n", 100, "–"},
		{"abcdef", 6, "abcde…"}, {"a<bc", 6, "a&lt;…"}, {"ab<c", 6, "ab…"}, // no entity is cut
		{"😀😀", 4, "😀…"}, // two characters each, as Slack counts
	} {
		if got := escape(c.in, c.limit); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("<!channel> & \x00", 20)
	f.Add(strings.Repeat("&😀", 50), 7)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		limit = max(limit%4000, 10)
		got := escape(in, limit)
		if !utf8.ValidString(got) || got == "" || length(got) > limit || strings.ContainsAny(got, "<>\n\x00") {
			t.Errorf("%q", got)
		}
		if inner := code(in, limit); strings.Count(inner, "`") != 2 {
			t.Errorf("%q", inner)
		}
	})
}

func TestLink(t *testing.T) {
	for in, want := range map[string]string{
		"https://wiki.example/x?a=1&b=2": "<https://wiki.example/x?a=1&amp;b=2|go>",
		"http://wiki/x":                  "<http://wiki/x|go>",
		"wiki/x":                         "`wiki/x`",
		"javascript:alert(1)":            "`javascript:alert(1)`",
		"https://x/|<!channel>":          "`https://x/|&lt;!channel&gt;`",
		"https://x/a b":                  "`https://x/a b`",
	} {
		if got := link(in, "go"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := link("https://x/"+strings.Repeat("&", maxLink/2), "go"); strings.HasPrefix(got, "<") {
		t.Error("a link longer than its limit")
	}
}

// FuzzThread: other people's messages may hold anything, and what is klaxon's own is read as it was written.
func FuzzThread(f *testing.F) {
	f.Add([]byte(`{"messages":[{"ts":"1","blocks":[{"type":"header","text":{"type":"plain_text","text":"x"}}],"metadata":{"event_type":"klaxon_incident","event_payload":{"revision":1}}}]}`))
	f.Add([]byte(`{"messages":[{"ts":"1","blocks":[{"text":"y"}],"metadata":{"event_payload":[]}},{"metadata":7}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a answer
		if json.Unmarshal(data, &a) != nil {
			return
		}
		for i := range a.Messages {
			var th thread
			th.first(&a.Messages[i])
			if len(kept(th.blocks)) > len(th.blocks) || th.revision != a.Messages[i].postedFor().Payload.Revision {
				t.Errorf("%+v", th)
			}
		}
	})
}

func TestParseRef(t *testing.T) {
	if p, ok := parseRef("C1:1795485638.000001"); !ok || p != (place{"C1", "1795485638.000001"}) || p.String() != "C1:1795485638.000001" {
		t.Error(p, ok)
	}
	for _, bad := range []string{"", "C1", "C1:", ":1", ":"} {
		if _, ok := parseRef(bad); ok {
			t.Errorf("%q is read", bad)
		}
	}
}
