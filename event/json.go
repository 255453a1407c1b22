package event

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of a document.
const maxJSONDepth = 128

// JSONError says where a document stops being JSON.
type JSONError struct {
	Offset int // bytes from the document's start
	Reason string
}

// Error is the reason with its offset.
func (e *JSONError) Error() string { return fmt.Sprintf("not JSON at byte %d: %s", e.Offset, e.Reason) }

type jsonState struct {
	data     []byte
	plan     *Plan
	bare     Plan   // maps nothing
	rest     []span // root members that no mapping leads into, key included
	seen     keyFilter
	objects  uint64 // how many were begun
	suspects int    // places that archives may not take
	editor   editor
}

type span struct{ from, to int }

// DecodeJSON reads one JSON object and adds what the plan maps to the event. Texts alias data. The document is checked whole:
// an error means that nothing of it may be trusted, and the caller resets the event. The error is a *JSONError.
func (e *Event) DecodeJSON(p *Plan, data []byte) error {
	e.own = 0
	err := e.document(p, data)
	e.own = ownValues
	return err
}

func (e *Event) document(p *Plan, data []byte) error {
	j := &e.json
	j.begin(p, data)
	i := skipBlank(data, 0)
	if i >= len(data) || data[i] != '{' {
		return j.fail(i, "an object was expected")
	}
	end, err := e.object(0, i+1, 1)
	if err != nil {
		return err
	}
	if at := skipBlank(data, end); at != len(data) {
		return j.fail(at, "something follows the object")
	}
	if p.whole != 0 {
		e.AddRaw(p.whole, e.clean(i, end, 0))
	}
	if p.rest != 0 && len(j.rest) > 0 {
		e.addRest(i)
	}
	return nil
}

// manyRest is for how many members of the rest room is kept from document to document.
const manyRest = 4096

// begin gets ready for a document.
func (j *jsonState) begin(p *Plan, data []byte) {
	if cap(j.rest) > manyRest {
		j.rest = nil
	}
	j.data, j.plan, j.rest, j.suspects = data, p, j.rest[:0], 0
	j.seen.reset()
}

// addRest joins the members that nothing mapped into one object; from is where the document's own begins.
func (e *Event) addRest(from int) {
	j := &e.json
	n := 2
	for _, s := range j.rest {
		n += s.to - s.from + 1
	}
	var edits []edit
	if j.suspects > 0 {
		edits = e.review(from)
	}
	start := len(e.arena)
	b := append(e.room(n), '{')
	for _, s := range j.rest {
		before := len(b)
		if before > start+1 {
			b = append(b, ',')
		}
		comma := len(b)
		if b, edits = appendEdited(b, j.data, s, edits); len(b) == comma {
			b = b[:before] // it comes again
		}
	}
	e.arena = append(b, '}')
	if len(b) > start+1 {
		e.AddRaw(j.plan.rest, e.arena[start:])
	}
}

func (j *jsonState) fail(at int, reason string) error {
	if at >= len(j.data) {
		return &JSONError{len(j.data), "it ends too early"}
	}
	return &JSONError{at, reason}
}

func skipBlank(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// object reads members from behind the brace; node is -1 where the plan maps nothing below.
func (e *Event) object(node int32, i, depth int) (int, error) {
	j, b := &e.json, e.json.data
	if depth > maxJSONDepth {
		return i, j.fail(i, fmt.Sprintf("nested deeper than %d levels", maxJSONDepth))
	}
	i = skipBlank(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	j.objects++
	object := j.objects
	for {
		if i >= len(b) || b[i] != '"' {
			return i, j.fail(i, "a key in quotes was expected")
		}
		begin := i
		key, end, err := e.str(i+1, node >= 0)
		if err != nil {
			return end, err
		}
		child := int32(-1)
		hash, ascii := hashText(key)
		if i = end; node >= 0 {
			child = j.plan.find(node, key, hash)
		}
		if len(key) != end-begin-2 || len(key) > longKey || !j.seen.first(object, hash) || !ascii && !utf8.ValidString(key) {
			j.suspects++
		}
		if i = skipBlank(b, i); i >= len(b) || b[i] != ':' {
			return i, j.fail(i, "a colon was expected")
		}
		at := skipBlank(b, i+1)
		if i, err = e.value(child, at, depth); err != nil {
			return i, err
		}
		if depth == 1 && j.plan.rest != 0 && j.plan.unplaced(child, b[at]) {
			j.rest = append(j.rest, span{begin, i})
		}
		i = skipBlank(b, i)
		if i >= len(b) {
			return i, j.fail(i, "")
		}
		switch b[i] {
		case ',':
			i = skipBlank(b, i+1)
		case '}':
			return i + 1, nil
		default:
			return i, j.fail(i, "a comma or a closing brace was expected")
		}
	}
}

// value reads a value and gives it to the fields that want it.
func (e *Event) value(node int32, i, depth int) (int, error) {
	if node < 0 || len(e.json.plan.nodes[node].raw) == 0 {
		return e.plain(node, i, depth)
	}
	mark := e.json.suspects
	end, err := e.plain(node, i, depth)
	if err == nil {
		e.addRaw(e.json.plan.nodes[node].raw, i, end, mark)
	}
	return end, err
}

// plain is value without the fields that take its JSON: the elements of an array, which these take as a whole, are read so.
func (e *Event) plain(node int32, i, depth int) (int, error) {
	j, b := &e.json, e.json.data
	if i >= len(b) {
		return i, j.fail(i, "")
	}
	switch c := b[i]; {
	case c == '"':
		text, end, err := e.str(i+1, e.wanted(node))
		if err == nil && node >= 0 {
			for _, f := range j.plan.nodes[node].targets {
				e.Add(f, text)
			}
		}
		return end, err
	case c == '{':
		return e.object(node, i+1, depth+1)
	case c == '[':
		return e.array(node, i+1, depth+1)
	case c == '-' || c >= '0' && c <= '9':
		return e.number(node, i)
	}
	return e.word(node, i)
}

func (e *Event) wanted(node int32) bool {
	return node >= 0 && len(e.json.plan.nodes[node].targets) > 0
}

func (e *Event) array(node int32, i, depth int) (int, error) {
	j, b := &e.json, e.json.data
	if depth > maxJSONDepth {
		return i, j.fail(i, fmt.Sprintf("nested deeper than %d levels", maxJSONDepth))
	}
	i = skipBlank(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		var err error
		if i, err = e.plain(node, i, depth); err != nil {
			return i, err
		}
		i = skipBlank(b, i)
		if i >= len(b) {
			return i, j.fail(i, "")
		}
		switch b[i] {
		case ',':
			i = skipBlank(b, i+1)
		case ']':
			return i + 1, nil
		default:
			return i, j.fail(i, "a comma or a closing bracket was expected")
		}
	}
}

// number reads a number by JSON's own grammar.
func (e *Event) number(node int32, i int) (int, error) {
	j, b := &e.json, e.json.data
	start, whole := i, true
	if b[i] == '-' {
		i++
	}
	n := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == n || b[n] == '0' && i > n+1 {
		return n, j.fail(n, "a number was expected")
	}
	if i < len(b) && b[i] == '.' {
		whole = false
		n = i + 1
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		}
		if i == n {
			return i, j.fail(i, "a digit was expected")
		}
	}
	exponent := -1
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		whole = false
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent = i
		for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		}
		if i == exponent {
			return i, j.fail(i, "a digit was expected")
		}
	}
	if (exponent >= 0 || i-start > longestNumber) && !keepNumber(b[start:i]) {
		j.suspects++
	}
	if node >= 0 {
		for _, f := range j.plan.nodes[node].targets {
			e.addNumber(f, view(b[start:i]), whole)
		}
	}
	return i, nil
}

func (e *Event) word(node int32, i int) (int, error) {
	j, b := &e.json, e.json.data
	switch {
	case i+4 <= len(b) && string(b[i:i+4]) == "true":
		e.addWord(node, true)
		return i + 4, nil
	case i+5 <= len(b) && string(b[i:i+5]) == "false":
		e.addWord(node, false)
		return i + 5, nil
	case i+4 <= len(b) && string(b[i:i+4]) == "null":
		return i + 4, nil
	}
	return i, j.fail(i, "a value was expected")
}

func (e *Event) addWord(node int32, v bool) {
	if node >= 0 {
		for _, f := range e.json.plan.nodes[node].targets {
			e.AddBool(f, v)
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plainEnd is the index of the first quote, backslash or control character from i on.
func plainEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^(ones*'"'), w^(ones*'\\')
		if m := ((q-ones)&^q | (s-ones)&^s | (w-ones*0x20)&^w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for ; i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= 0x20; i++ {
	}
	return i
}

// str reads a string from behind its opening quote. Where the text is not wanted it is only checked.
func (e *Event) str(i int, wanted bool) (text string, next int, err error) {
	j, b := &e.json, e.json.data
	end := plainEnd(b, i)
	if end < len(b) && b[end] == '"' {
		return view(b[i:end]), end + 1, nil
	}
	if end >= len(b) || b[end] != '\\' {
		return "", end, j.fail(end, "a control character in a string")
	}
	if !wanted {
		return e.skipString(end)
	}
	start := len(e.arena)
	out := append(e.room(len(b)-i), b[i:end]...)
	for i = end; ; {
		var ok bool
		if out, i, ok = unescape(out, b, i); !ok {
			return "", i, j.fail(i, "not an escape sequence")
		}
		end = plainEnd(b, i)
		out = append(out, b[i:end]...)
		switch i = end; {
		case i < len(b) && b[i] == '"':
			e.arena = out
			return view(out[start:]), i + 1, nil
		case i >= len(b) || b[i] != '\\':
			return "", i, j.fail(i, "a control character in a string")
		}
	}
}

func (e *Event) skipString(i int) (string, int, error) {
	j, b := &e.json, e.json.data
	var scratch [8]byte
	for {
		var ok bool
		if _, i, ok = unescape(scratch[:0], b, i); !ok {
			return "", i, j.fail(i, "not an escape sequence")
		}
		i = plainEnd(b, i)
		switch {
		case i < len(b) && b[i] == '"':
			return "", i + 1, nil
		case i >= len(b) || b[i] != '\\':
			return "", i, j.fail(i, "a control character in a string")
		}
	}
}

// unescape appends what the escape sequence at b[i] stands for. Its longest form is six bytes a half, its output shorter, so
// that out never outgrows the input.
func unescape(out, b []byte, i int) ([]byte, int, bool) {
	if i+1 >= len(b) {
		return out, i + 1, false
	}
	switch c := b[i+1]; c {
	case '"', '\\', '/':
		return append(out, c), i + 2, true
	case 'n':
		return append(out, '\n'), i + 2, true
	case 't':
		return append(out, '\t'), i + 2, true
	case 'r':
		return append(out, '\r'), i + 2, true
	case 'b':
		return append(out, '\b'), i + 2, true
	case 'f':
		return append(out, '\f'), i + 2, true
	case 'u':
		r, ok := hex4(b, i+2)
		if !ok {
			return out, i, false
		}
		i += 6
		if r >= 0xD800 && r < 0xDC00 && i+1 < len(b) && b[i] == '\\' && b[i+1] == 'u' {
			if low, ok := hex4(b, i+2); ok && low >= 0xDC00 && low < 0xE000 {
				return utf8.AppendRune(out, 0x10000+(r-0xD800)<<10+(low-0xDC00)), i + 6, true
			}
		}
		return utf8.AppendRune(out, r), i, true // a lone surrogate becomes U+FFFD
	}
	return out, i, false
}

func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
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
