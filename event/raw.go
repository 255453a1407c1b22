package event

import "unsafe"

// addRaw gives a value to the fields that take JSON as it came: those of conditions all of it, those of the document what archives take.
func (e *Event) addRaw(targets []rawTarget, from, to, mark int) {
	b := e.json.data[from:to]
	for _, t := range targets {
		switch {
		case b[0] == 'n': // null is absent
		case t.elements:
			if b[0] == '[' || b[0] == '{' {
				e.AddRaw(t.to, b)
			}
		case t.any || objectsOnly(b):
			e.AddRaw(t.to, e.clean(from, to, mark))
		default:
			e.MarkBad(t.to)
		}
	}
}

// addJSON adds text that is said to be JSON to a field that holds JSON; it answers false where the text is none, or not what the field takes.
func (e *Event) addJSON(f FieldID, text string) bool {
	j := &e.json
	j.begin(&j.bare, unsafe.Slice(unsafe.StringData(text), len(text)))
	from := skipBlank(j.data, 0)
	to, err := e.value(-1, from, 0)
	if err != nil || skipBlank(j.data, to) != len(text) {
		return false
	}
	b := j.data[from:to]
	switch t := rawTo(e.schema, f); {
	case t.elements:
		return (b[0] == '[' || b[0] == '{') && e.AddRaw(f, b)
	case t.any || objectsOnly(b):
		return e.AddRaw(f, e.clean(from, to, 0))
	}
	return false
}

// objectsOnly says whether JSON is an object or an array of nothing else.
func objectsOnly(b []byte) bool {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{':
			i = objectEnd(b, i) - 1
		case 'n':
			i += len("ull")
		case '[', ']', ',', ' ', '\t', '\n', '\r':
		default:
			return false
		}
	}
	return b[0] == '{' || b[0] == '['
}

// objectEnd is the index behind the object that begins at i, in what is known to be JSON.
func objectEnd(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return i
}

// stringEnd is the index behind the string that begins at i, in what is known to be JSON.
func stringEnd(b []byte, i int) int {
	for i = plainEnd(b, i+1); i < len(b) && b[i] != '"'; {
		i = plainEnd(b, i+2)
	}
	return i + 1
}
