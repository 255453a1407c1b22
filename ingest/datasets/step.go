package datasets

import (
	"maps"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// stepSpec is one step of parse: patterns over a text, or a choice of patterns by a field's value.
type stepSpec struct {
	node     diag.Node
	from     nameAt // "": the text itself
	patterns []patternSpec
	by       nameAt
	cases    map[string][]patternSpec
	other    []assignSpec
	tolerant bool // else is there
}

type patternSpec struct {
	node diag.Node
	p    *decode.Pattern
	set  []assignSpec
}

func readStep(n diag.Node) stepSpec {
	s := stepSpec{node: n}
	m, ok := n.Map()
	if !ok {
		return s
	}
	s.from = nameOf(m.Get("from"))
	s.by = nameOf(m.Get("by"))
	single, many, cases := m.Get("pattern"), m.Get("patterns"), m.Get("cases")
	switch {
	case single.Exists() && !many.Exists() && !cases.Exists():
		s.patterns = []patternSpec{{node: single, p: compilePattern(single), set: readAssigns(m.Get("set"))}}
	case many.Exists() && !single.Exists() && !cases.Exists():
		s.patterns = readPatterns(many)
	case cases.Exists() && s.by.name != "" && !single.Exists() && !many.Exists():
		s.cases = map[string][]patternSpec{}
		if c, ok := cases.Map(); ok {
			for _, p := range c.Pairs() {
				c.Get(p.Key)
				list := readPatterns(p.Value)
				for _, key := range strings.Split(p.Key, "|") {
					key = strings.TrimSpace(key)
					if _, twice := s.cases[key]; twice {
						p.KeyAt.Errorf("the case %q is there twice", key)
					}
					s.cases[key] = list
				}
			}
		}
	default:
		n.Errorf("must have a pattern, patterns, or by with cases")
	}
	if s.by.name != "" && s.cases == nil {
		s.by.node.Errorf("needs cases")
	}
	other := m.Get("else")
	s.tolerant, s.other = m.Has("else"), readAssigns(other)
	m.Done()
	return s
}

func readPatterns(n diag.Node) []patternSpec {
	var out []patternSpec
	for _, e := range n.OneOrMany() {
		if e.IsScalar() {
			out = append(out, patternSpec{node: e, p: compilePattern(e)})
			continue
		}
		m, ok := e.Map()
		if !ok {
			continue
		}
		p := m.Need("pattern")
		out = append(out, patternSpec{node: p, p: compilePattern(p), set: readAssigns(m.Get("set"))})
		m.Done()
	}
	return out
}

// captured calls f for every field that the step's patterns capture.
func (s *stepSpec) captured(f func(nameAt, decode.Type)) {
	s.each(func(p *patternSpec) {
		if p.p == nil {
			return
		}
		for _, c := range p.p.Captures() {
			if c.Name != "" {
				f(nameAt{c.Name, p.node, c.Offset + 1}, c.Type)
			}
		}
	})
}

func (s *stepSpec) each(f func(*patternSpec)) {
	for i := range s.patterns {
		f(&s.patterns[i])
	}
	for _, key := range slices.Sorted(maps.Keys(s.cases)) {
		list := s.cases[key]
		for i := range list {
			f(&list[i])
		}
	}
}

// anyCase is the key of the case for every value that no other case names.
const anyCase = "*"

// step is a compiled step.
type step struct {
	from     event.FieldID // 0: the text itself
	by       event.FieldID
	cases    map[string]*family
	patterns *family
	other    []assign
	tolerant bool
}

// family is patterns of which the first that fits is taken, found by the first byte of the text.
type family struct {
	patterns []pattern
	first    [256][]uint16 // by first byte: the patterns that can fit, in their order
	empty    []uint16      // those that can fit the empty text
}

type pattern struct {
	p      *decode.Pattern
	prefix string
	to     []event.FieldID // by capture; 0: skipped
	set    []assign
}

func (c *compiler) step(s stepSpec) step {
	out := step{tolerant: s.tolerant, other: c.assigns(s.other, false)}
	if s.from.name != "" {
		out.from = c.source(s.from)
	}
	if s.by.name != "" {
		out.by = c.source(s.by)
		out.cases = map[string]*family{}
		compiled := map[*patternSpec]*family{} // cases with several keys share their patterns
		for _, key := range slices.Sorted(maps.Keys(s.cases)) {
			list := s.cases[key]
			if len(list) == 0 {
				continue
			}
			if compiled[&list[0]] == nil {
				compiled[&list[0]] = c.family(list)
			}
			out.cases[key] = compiled[&list[0]]
		}
		return out
	}
	out.patterns = c.family(s.patterns)
	return out
}

func (c *compiler) family(specs []patternSpec) *family {
	f := &family{}
	for _, s := range specs {
		if s.p == nil {
			continue
		}
		p := pattern{p: s.p, prefix: s.p.Prefix(), set: c.assigns(s.set, false)}
		for _, capture := range s.p.Captures() {
			id := event.FieldID(0)
			if capture.Name != "" {
				id = c.target(nameAt{capture.Name, s.node, capture.Offset + 1})
				c.checkCapture(capture, id, s.node)
			}
			p.to = append(p.to, id)
		}
		f.add(p)
	}
	return f
}

func (c *compiler) checkCapture(capture decode.Capture, id event.FieldID, at diag.Node) {
	if id == 0 {
		return
	}
	want, ok := event.Untyped, true
	switch t := c.opts.Schema.Type(id); t {
	case event.Date:
		want, ok = t, capture.Type.IsTime()
	case event.Object, event.Elements:
		want, ok = t, false
	}
	if !ok {
		at.ErrorfAt(capture.Offset+1, "%s is of type %s, and a capture of type %s cannot fill it", capture.Name, want, capture.Type).
			Hint("for a time: httpdate, rfc3339, slashdate or epoch")
	}
}

func (f *family) add(p pattern) {
	n := uint16(len(f.patterns))
	f.patterns = append(f.patterns, p)
	if p.prefix != "" {
		f.first[p.prefix[0]] = append(f.first[p.prefix[0]], n)
		return
	}
	for i := range f.first {
		f.first[i] = append(f.first[i], n)
	}
	f.empty = append(f.empty, n)
}

// run parses; it answers whether the text fits.
func (s *step) run(r *Reader, e *event.Event, text string) bool {
	if s.from != 0 {
		if !e.Has(s.from) {
			return true // nothing to parse
		}
		text = e.Text(s.from)
	}
	f := s.patterns
	if s.by != 0 {
		if f = s.cases[e.Text(s.by)]; f == nil {
			f = s.cases[anyCase]
		}
	}
	if f != nil && f.run(r, e, text) {
		return true
	}
	for i := range s.other {
		s.other[i].apply(e)
	}
	return s.tolerant
}

func (f *family) run(r *Reader, e *event.Event, text string) bool {
	candidates := f.empty
	if text != "" {
		candidates = f.first[text[0]]
	}
	for _, i := range candidates {
		p := &f.patterns[i]
		if !strings.HasPrefix(text, p.prefix) || !r.match.Run(p.p, text) {
			continue
		}
		p.fill(r, e)
		for j := range p.set {
			p.set[j].apply(e)
		}
		return true
	}
	return false
}

// fill puts the captures into their fields.
func (p *pattern) fill(r *Reader, e *event.Event) {
	for i, to := range p.to {
		if to == 0 {
			continue
		}
		text, ok := r.match.Text(i)
		if !ok {
			continue
		}
		e.Clear(to)
		switch t := p.p.Captures()[i].Type; {
		case t.IsTime() && e.Schema().Type(to) == event.Date:
			e.AddTime(to, r.match.Millis(i))
		case t == decode.IP && e.Schema().Type(to) == event.IP:
			e.AddAddr(to, r.match.Addr(i))
		default:
			e.Add(to, text)
		}
	}
}
