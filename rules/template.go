package rules

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a template makes. An alert's title is read by people, and its values are chosen by attackers.
const (
	maxTemplateBytes = 4096
	maxValueRunes    = 200
	maxTitleRunes    = 1000
	shownValues      = 3
)

// Template is a text with `{{field}}` in it. It is immutable.
type Template struct {
	parts []templatePart
}

type templatePart struct {
	text string // as it stands
	name string // or a field
	at   int    // byte offset in the source
}

// parseTemplate reads a template's syntax; that its names are fields is checked elsewhere.
func parseTemplate(src string) (*Template, []problem) {
	if len(src) > maxTemplateBytes {
		return nil, []problem{{message: "the text is longer than " + strconv.Itoa(maxTemplateBytes) + " bytes"}}
	}
	t := &Template{}
	var bad []problem
	for at := 0; at < len(src); {
		open := strings.Index(src[at:], "{{")
		if open < 0 {
			if end := strings.Index(src[at:], "}}"); end >= 0 {
				bad = append(bad, problem{at: at + end, message: "}} without {{ before it", hint: "write {{field}}"})
			}
			t.parts = append(t.parts, templatePart{text: clean(src[at:])})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, templatePart{text: clean(src[at : at+open])})
		}
		begin := at + open + 2
		end := strings.Index(src[begin:], "}}")
		if end < 0 {
			bad = append(bad, problem{at: begin - 2, message: "{{ without }} behind it", hint: "write {{field}}"})
			break
		}
		name := strings.TrimSpace(src[begin : begin+end])
		if name == "" {
			bad = append(bad, problem{at: begin - 2, message: "{{}} names no field", hint: "write {{field}}"})
		}
		t.parts = append(t.parts, templatePart{name: name, at: begin})
		at = begin + end + 2
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return t, nil
}

// Names is the fields that the template shows, in the order of their first place; count may be among them.
func (t *Template) Names() []string {
	var out []string
	seen := map[string]bool{}
	for _, p := range t.parts {
		if p.name != "" && !seen[p.name] {
			seen[p.name] = true
			out = append(out, p.name)
		}
	}
	return out
}

// String is the template as it is written.
func (t *Template) String() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.name != "" {
			b.WriteString("{{" + p.name + "}}")
		}
	}
	return b.String()
}

// Render fills the template. Get answers a field's values: up to three of them are shown, and then how many more there are; none
// makes `(no user.name)`. Control characters are left out and lengths bounded; escaping is for whoever sends the text on.
func (t *Template) Render(get func(field string) []string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		values := get(p.name)
		if len(values) == 0 {
			b.WriteString("(no " + p.name + ")")
			continue
		}
		for i, v := range values[:min(shownValues, len(values))] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(shorten(clean(v), maxValueRunes))
		}
		if more := len(values) - shownValues; more > 0 {
			b.WriteString(" and " + strconv.Itoa(more) + " more")
		}
	}
	return shorten(b.String(), maxTitleRunes)
}

// clean replaces what would move the cursor, hide text or turn its direction, and bytes that are no text.
func clean(s string) string {
	bad := func(r rune) bool {
		return unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x200E || r == 0x200F || r == 0x2028 || r == 0x2029 || r == utf8.RuneError || r == 0xFEFF
	}
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == 0x2028 || r == 0x2029:
			return ' '
		case bad(r):
			return -1
		}
		return r
	}, s)
}

func shorten(s string, runes int) string {
	if len(s) <= runes {
		return s
	}
	n := 0
	for i := range s {
		if n == runes-1 && utf8.RuneCountInString(s[i:]) > 1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
