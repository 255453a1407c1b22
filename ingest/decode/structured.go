package decode

import (
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// AppendStructured appends the structured data of a syslog header, as Syslog.Structured holds it, as a JSON object of objects: element,
// parameter, value. What stands there twice is appended twice. Elements that are not written as RFC 5424 says, section 6.3, are left out.
func AppendStructured(dst []byte, s string) []byte {
	dst = append(dst, '{')
	empty := true
	for strings.HasPrefix(s, "[") {
		before := len(dst)
		if !empty {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, s, ok = appendElement(dst, s[1:]); !ok {
			dst = dst[:before]
			break
		}
		empty = false
	}
	return append(dst, '}')
}

// appendElement reads an element from behind its bracket and returns what follows it.
func appendElement(dst []byte, s string) (out []byte, rest string, ok bool) {
	n := strings.IndexAny(s, " ]")
	if n <= 0 {
		return dst, s, false
	}
	dst = append(event.AppendString(dst, s[:n]), ':', '{')
	s = strings.TrimLeft(s[n:], " ")
	for i := 0; ; i++ {
		if strings.HasPrefix(s, "]") {
			return append(dst, '}'), s[1:], true
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		name, value, found := strings.Cut(s, `="`)
		end := parameterEnd(value)
		if !found || name == "" || end < 0 || strings.ContainsAny(name, `"] `) {
			return dst, s, false
		}
		dst = append(event.AppendString(dst, name), ':')
		dst = appendParameter(dst, value[:end])
		s = strings.TrimLeft(value[end+1:], " ")
	}
}

// parameterEnd is the index of the quote that ends a value, or -1.
func parameterEnd(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// appendParameter appends a value without the backslashes that stand before `"`, `\` and `]`.
func appendParameter(dst []byte, s string) []byte {
	if strings.IndexByte(s, '\\') < 0 {
		return event.AppendString(dst, s)
	}
	var plain strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\' || s[i+1] == ']') {
			i++
		}
		plain.WriteByte(s[i])
	}
	return event.AppendString(dst, plain.String())
}
