package decode

import (
	"bytes"
	"unicode/utf8"
)

// Members walks the members of a JSON object, or the elements of an array, without checking what is inside them: it is for looking
// at a document before it is known what it is. What it returns aliases the document.
type Members struct {
	data []byte
	at   int
	open byte
}

// NewMembers begins to walk a document that is an object or an array.
func NewMembers(data []byte) Members {
	i := skipBlank(data, 0)
	if i < len(data) && (data[i] == '{' || data[i] == '[') {
		return Members{data: data, at: i + 1, open: data[i]}
	}
	return Members{}
}

// Next is the next member: its key as it stands between the quotes (nil in an array) and its value. ok is false at the end, and where
// the document stops being JSON.
func (m *Members) Next() (key, value []byte, ok bool) {
	b, i := m.data, skipBlank(m.data, m.at)
	if i < len(b) && b[i] == ',' {
		i = skipBlank(b, i+1)
	}
	if i >= len(b) || b[i] == '}' || b[i] == ']' {
		return nil, nil, false
	}
	if m.open == '{' {
		if b[i] != '"' {
			return nil, nil, false
		}
		end := skipString(b, i)
		if end < 0 {
			return nil, nil, false
		}
		key = b[i+1 : end-1]
		if i = skipBlank(b, end); i >= len(b) || b[i] != ':' {
			return nil, nil, false
		}
		i = skipBlank(b, i+1)
	}
	end := skipValue(b, i)
	if end <= i {
		return nil, nil, false
	}
	m.at = end
	return key, b[i:end], true
}

func skipBlank(b []byte, i int) int {
	for i < len(b) && isBlank(b[i]) {
		i++
	}
	return i
}

// skipString is the index behind the string that begins at i, or -1.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		// A backslash before the quote may escape it: count how many there are.
		end, slashes := i+n, 0
		for end-1-slashes >= i && b[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end + 1
		}
		i = end
	}
	return -1
}

// skipValue is the index behind the value that begins at i, or -1.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for ; i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && !isBlank(b[i]); i++ {
	}
	return i
}

func skipNested(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// LooksJSON says whether a text is meant as a JSON object: a brace, then a quote or the closing brace.
func LooksJSON(b []byte) bool {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	i = skipBlank(b, i+1)
	return i >= len(b) || b[i] == '"' || b[i] == '}'
}

// LooksJSONArray says whether a text is meant as a JSON array of objects.
func LooksJSONArray(b []byte) bool {
	i := skipBlank(b, 0)
	return i < len(b) && b[i] == '[' && LooksJSON(b[i+1:])
}

// Unquote appends what a JSON string means, given with its quotes; ok is false where it is none.
func Unquote(dst, quoted []byte) (out []byte, ok bool) {
	n := len(quoted)
	if n < 2 || quoted[0] != '"' || quoted[n-1] != '"' {
		return dst, false
	}
	for b := quoted[1 : n-1]; len(b) > 0; {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(dst, b...), true
		}
		dst = append(dst, b[:i]...)
		var size int
		if dst, size = unescape(dst, b[i:]); size == 0 {
			return dst, false
		}
		b = b[i+size:]
	}
	return dst, true
}

// unescape appends what the escape sequence at the start of b means; size is 0 where it is none.
func unescape(dst, b []byte) (out []byte, size int) {
	if len(b) < 2 {
		return dst, 0
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return append(dst, c), 2
	case 'n':
		return append(dst, '\n'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'u':
		high, ok := hex4(b[2:])
		if !ok {
			return dst, 0
		}
		if high >= 0xD800 && high < 0xDC00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if low, ok := hex4(b[8:]); ok && low >= 0xDC00 && low < 0xE000 {
				return utf8.AppendRune(dst, 0x10000+(high-0xD800)<<10+(low-0xDC00)), 12
			}
		}
		return utf8.AppendRune(dst, high), 6 // a lone surrogate becomes U+FFFD
	}
	return dst, 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
