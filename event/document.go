package event

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// AppendDocument appends the event as one ECS document: a JSON object on one line, nested by the dots of the field names, in the
// order of the names. Several values are an array; one value is, where ECS wants an array. Scratch fields (`$…`) are left out, and so are the fields below a field that has a value itself: the JSON of an
// Object field holds them. Bytes that are not UTF-8 become U+FFFD.
func (e *Event) AppendDocument(dst []byte) []byte {
	e.ranks = e.ranks[:0]
	for i := range e.vals {
		f := e.vals[i].field
		if int(e.first[f]) == i+1 && e.schema.fields[f].Name[0] != '$' && e.schema.fields[f].Type != Elements {
			e.ranks = append(e.ranks, uint32(e.schema.rank[f])<<16|uint32(f))
		}
	}
	slices.Sort(e.ranks)
	dst = append(dst, '{')
	path, covered := "", ""
	for _, r := range e.ranks {
		f := FieldID(r)
		name := e.schema.fields[f].Name
		if below(name, covered) {
			continue
		}
		dst = appendPath(dst, path, name, e.schema.keys[f])
		dst = e.appendValues(dst, f)
		path, covered = name, name
	}
	for range strings.Count(path, ".") {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func below(name, parent string) bool {
	return parent != "" && len(name) > len(parent) && name[len(parent)] == '.' && name[:len(parent)] == parent
}

// appendPath closes the objects that last stood in and name does not, opens those that name stands in, and writes its key. keys is
// name's keys as JSON; see Schema.
func appendPath(dst []byte, last, name, keys string) []byte {
	shared, depth := 0, 0
	for i := 0; i < len(last) && i < len(name) && last[i] == name[i]; i++ {
		if last[i] == '.' {
			shared, depth = i+1, depth+1
		}
	}
	if last != "" {
		for range strings.Count(last[shared:], ".") {
			dst = append(dst, '}')
		}
		dst = append(dst, ',')
	}
	if keys != "" {
		return append(dst, keys[shared+keyMarks*depth:]...)
	}
	for rest := name[shared:]; ; {
		segment, below, more := strings.Cut(rest, ".")
		dst = append(AppendString(dst, segment), ':')
		if !more {
			return dst
		}
		dst = append(dst, '{')
		rest = below
	}
}

// keyMarks is how many bytes more a segment has in jsonKeys than in the name, its dot included: `"a":{` for `a.`.
const keyMarks = 3

// jsonKeys is a name's keys as they stand in a document, `"a":{"b":` for a.b; or "" for a name that JSON writes otherwise.
func jsonKeys(name string) string {
	if asciiEnd(name, 0) < len(name) {
		return ""
	}
	return `"` + strings.ReplaceAll(name, ".", `":{"`) + `":`
}

func (e *Event) appendValues(dst []byte, f FieldID) []byte {
	v := e.First(f)
	if v.next == 0 && !e.schema.array[f] {
		return appendValue(dst, v)
	}
	dst = append(dst, '[')
	for ; v != nil; v = e.Next(v) {
		dst = append(appendValue(dst, v), ',')
	}
	dst[len(dst)-1] = ']'
	return dst
}

func appendValue(dst []byte, v *Value) []byte {
	switch v.kind {
	case Int:
		return appendNumber(dst, v)
	case Float:
		return appendNumber(dst, v)
	case Bool:
		return append(dst, v.text...)
	case Time:
		dst = append(dst, '"')
		return append(AppendTime(dst, v.num), '"')
	case Addr:
		dst = append(dst, '"')
		return append(v.addr.AppendTo(dst), '"')
	case Raw:
		return appendRaw(dst, v.text)
	}
	return AppendString(dst, v.text)
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; ; {
		if i = asciiEnd(s, i); i == len(s) {
			break
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// asciiEnd is the index of the first byte from i on that a JSON string does not hold as it is, or that is not ASCII.
func asciiEnd(s string, i int) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if m := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w | w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= 0x20 && s[i] < utf8.RuneSelf; i++ {
	}
	return i
}

// appendRaw appends valid JSON on one line: line ends outside strings go (inside, JSON has none), and what is not UTF-8 becomes
// U+FFFD.
func appendRaw(dst []byte, s string) []byte {
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 && utf8.ValidString(s) {
		return append(dst, s...)
	}
	for _, r := range s { // an invalid byte ranges as U+FFFD
		if r != '\n' && r != '\r' {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendNumber writes a number as it was written where that is JSON, and else in its usual form: text such as +5 or 007 is no
// JSON number.
func appendNumber(dst []byte, v *Value) []byte {
	if isJSONNumber(v.text) {
		return append(dst, v.text...)
	}
	if v.kind == Int {
		return strconv.AppendInt(dst, v.num, 10)
	}
	x, _ := v.Number()
	return strconv.AppendFloat(dst, x, 'g', -1, 64)
}

func isJSONNumber(s string) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i >= len(s) || s[i] < '0' || s[i] > '9' || s[i] == '0' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' {
		return false
	}
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
	}
	return i == len(s) // a fraction or an exponent is rare: the usual form serves
}
