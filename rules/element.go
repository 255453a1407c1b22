package rules

import (
	"sync"
	"unsafe"

	"github.com/klaxonhq/klaxon/event"
)

// elements tests the elements of an array one at a time: of objects, whose members are decoded into an event of their own, or of
// plain values.
type elements struct {
	id     event.FieldID // of `path[]`, or of the plain field
	plain  bool
	schema *event.Schema // of an element: a field for each name, with a dot before it
	plan   *event.Plan
	pred   *node
	pool   sync.Pool // of *event.Event: conditions are shared by workers, an element's event is not
}

func newElements(id event.FieldID, names []string) (*elements, error) {
	fields := make([]event.Field, len(names))
	for i, n := range names {
		fields[i] = event.Field{Name: "." + n, Type: event.Untyped}
	}
	s, err := event.NewSchema(fields...)
	if err != nil {
		return nil, err
	}
	mappings := make([]event.Mapping, len(names))
	for i, n := range names {
		mappings[i] = event.Mapping{Path: n, To: s.ID("." + n)}
	}
	el := &elements{id: id, schema: s, plan: event.NewPlan(s, 0, mappings...)}
	el.pool.New = func() any { return event.New(s) }
	return el, nil
}

func (el *elements) eval(x *env, all bool) bool {
	first := x.e.First(el.id)
	if first == nil {
		return false
	}
	if el.plain {
		return el.evalPlain(x, first, all)
	}
	e := el.pool.Get().(*event.Event)
	x.element = e // they are not nested, so that there is nothing to restore
	seen, result := false, all
	for v := first; v != nil && result == all; v = x.e.Next(v) {
		for text, rest := nextElement(v.Text()); text != ""; text, rest = nextElement(rest) {
			seen = true
			e.Reset(el.schema)
			if text[0] == '{' && e.DecodeJSON(el.plan, bytesOf(text)) != nil {
				e.Reset(el.schema) // cannot be, since the document was checked whole; then it has no members
			}
			if result = el.pred.eval(x); result != all {
				break
			}
		}
	}
	x.element = nil
	el.pool.Put(e)
	return seen && result
}

func (el *elements) evalPlain(x *env, first *event.Value, all bool) bool {
	for v := first; v != nil; v = x.e.Next(v) {
		x.current = v
		if el.pred.eval(x) != all {
			return !all
		}
	}
	return all
}

// nextElement cuts the next element off an array's JSON, given from its bracket, or from the comma behind the element before.
// What is no array is one element. "" means that there is none left. The JSON is valid: its document was checked.
func nextElement(s string) (element, rest string) {
	i := 0
	if s != "" && (s[0] == '[' || s[0] == ',') {
		i = 1
	}
	for i < len(s) && s[i] <= ' ' {
		i++
	}
	if i >= len(s) || s[i] == ']' {
		return "", ""
	}
	start, depth := i, 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return s[start:i], ""
			}
		case ',':
			if depth == 0 {
				return s[start:i], s[i:]
			}
		}
	}
	return s[start:min(i, len(s))], ""
}

// bytesOf is a text's bytes without a copy, for readers only.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
