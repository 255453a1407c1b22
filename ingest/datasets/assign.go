package datasets

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// assignSpec is one `field: value` of set, default or else.
type assignSpec struct {
	to    nameAt
	value valueSpec
}

// valueSpec is one of: constants, a copy of the first present field or of a last value, a look-up, or cases.
type valueSpec struct {
	node   diag.Node
	consts []string
	copies []nameAt
	last   bool // of the one field that is copied, only the last value
	lookup *lookupSpec
	cases  []caseSpec
}

type caseSpec struct {
	when conditionSpec
	is   valueSpec
}

func readAssigns(n diag.Node) []assignSpec {
	if !n.Exists() {
		return nil
	}
	m, ok := n.Map()
	if !ok {
		return nil
	}
	var out []assignSpec
	for _, p := range m.Pairs() {
		m.Get(p.Key)
		out = append(out, assignSpec{nameAt{p.Key, p.KeyAt, 0}, readValue(p.Value, true)})
	}
	return out
}

func readValue(n diag.Node, cases bool) valueSpec {
	v := valueSpec{node: n}
	if !n.IsMap() {
		if v.consts = n.Texts(); len(v.consts) == 0 {
			n.Errorf("sets nothing").Hint("write a value, a list, or one of copy, last, lookup, case")
		}
		return v
	}
	m, _ := n.Map()
	switch {
	case m.Has("copy"):
		for _, c := range m.Get("copy").OneOrMany() {
			v.copies = append(v.copies, nameOf(c))
		}
	case m.Has("last"):
		v.copies, v.last = []nameAt{nameOf(m.Get("last"))}, true
	case m.Has("lookup"):
		v.lookup = readLookup(m.Get("lookup"))
	case m.Has("case") && cases:
		for _, c := range m.Get("case").Seq() {
			k, ok := c.Map()
			if !ok {
				continue
			}
			v.cases = append(v.cases, caseSpec{conditionOf(k.Get("when")), readValue(k.Need("is"), false)})
			k.Done()
		}
		for i, c := range v.cases {
			if c.when.src == "" && i < len(v.cases)-1 {
				c.is.node.Errorf("stands before the last case and has no when, so that nothing behind it is ever reached")
			}
		}
	default:
		n.Errorf("must be a value, a list, or one of copy, last, lookup, case")
	}
	m.Done()
	return v
}

// names calls f for every field that the value reads.
func (v *valueSpec) names(f func(nameAt)) {
	for _, c := range v.copies {
		f(c)
	}
	if v.lookup != nil {
		f(v.lookup.key)
	}
	for i := range v.cases {
		v.cases[i].is.names(f)
	}
}

// assign is a compiled assignment.
type assign struct {
	field   event.FieldID
	value   value
	missing bool // only where the field is absent
}

type value struct {
	consts []string
	copies []event.FieldID
	last   bool // of the field's values only the last is copied
	lookup *lookup
	cases  []choice
}

type choice struct {
	when Condition // nil: always
	is   value
}

func (c *compiler) assigns(specs []assignSpec, missing bool) []assign {
	var out []assign
	for _, s := range specs {
		id := c.target(s.to)
		if id == 0 {
			continue
		}
		out = append(out, assign{id, c.value(id, s.value), missing})
	}
	return out
}

func (c *compiler) value(to event.FieldID, s valueSpec) value {
	v := value{consts: s.consts, last: s.last}
	for i, text := range s.consts {
		node := s.node
		if node.IsSeq() {
			node = node.Seq()[i]
		}
		c.constant(to, text, node)
	}
	for _, n := range s.copies {
		if id := c.source(n); id != 0 {
			v.copies = append(v.copies, id)
		}
	}
	if s.lookup != nil {
		v.lookup = c.lookup(to, s.lookup)
	}
	for _, k := range s.cases {
		v.cases = append(v.cases, choice{c.condition(k.when), c.value(to, k.is)})
	}
	return v
}

// constant reports a constant that the field's type, or ECS, does not allow.
func (c *compiler) constant(to event.FieldID, text string, at diag.Node) {
	name := c.opts.Schema.Name(to)
	if allowed := ecs.Allowed(name); allowed != nil && !slices.Contains(allowed, text) {
		hint := diag.DidYouMean(text, allowed)
		if hint == "" {
			hint = "one of " + strings.Join(allowed, ", ")
		}
		at.Errorf("%q is not allowed in %s by ECS", text, name).Hint("%s", hint)
		return
	}
	e := event.New(c.opts.Schema)
	if !e.Add(to, text) {
		at.Errorf("%q is no %s, which %s is", text, c.opts.Schema.Type(to), name)
	}
}

// apply sets the field. A value whose input is absent, or does not convert to the field's type, sets nothing.
func (a *assign) apply(e *event.Event) {
	if a.missing && e.Has(a.field) {
		return
	}
	a.value.apply(e, a.field)
}

func (v *value) apply(e *event.Event, to event.FieldID) {
	switch {
	case len(v.consts) > 0:
		if to != event.Tags {
			e.Clear(to)
		}
		for _, text := range v.consts {
			if to == event.Tags {
				e.Tag(text)
			} else {
				e.Add(to, text)
			}
		}
	case v.last:
		v.copyLast(e, to)
	case len(v.copies) > 0:
		v.copyFirst(e, to)
	case v.lookup != nil:
		if k := e.First(v.lookup.key); k != nil {
			if text := v.lookup.find(k); text != "" {
				e.Set(to, text)
			}
		}
	default:
		for i := range v.cases {
			if c := &v.cases[i]; c.when == nil || c.when.Eval(e) {
				c.is.apply(e, to)
				return
			}
		}
	}
}

func (v *value) copyFirst(e *event.Event, to event.FieldID) {
	for _, from := range v.copies {
		if !e.Has(from) {
			continue
		}
		if from == to {
			return
		}
		if e.Schema().Type(to) == event.IP {
			if copyAddrs(e, to, from) {
				return
			}
			continue
		}
		if convertible(e, to, e.First(from)) {
			e.Clear(to)
			for x := e.First(from); x != nil; x = e.Next(x) {
				if convertible(e, to, x) {
					e.AddCopy(to, x)
				}
			}
			return
		}
	}
}

// copyLast copies the last value of a field, if it converts.
func (v *value) copyLast(e *event.Event, to event.FieldID) {
	x := e.First(v.copies[0])
	if x == nil {
		return
	}
	for next := e.Next(x); next != nil; next = e.Next(x) {
		x = next
	}
	last := *x
	switch {
	case e.Schema().Type(to) == event.IP:
		if a, ok := addrOf(&last); ok {
			e.Clear(to)
			e.AddAddr(to, a)
		}
	case convertible(e, to, &last):
		e.Clear(to)
		e.AddCopy(to, &last)
	}
}

func addrOf(v *event.Value) (netip.Addr, bool) {
	if v.Kind() == event.Addr {
		return v.Addr(), true
	}
	return event.ParseAddr(v.Text())
}

// copyAddrs is copyFirst for addresses; it answers whether there was any.
func copyAddrs(e *event.Event, to, from event.FieldID) (copied bool) {
	for v := e.First(from); v != nil; v = e.Next(v) {
		a, ok := addrOf(v)
		if !ok {
			continue
		}
		if !copied {
			e.Clear(to)
		}
		copied = true
		e.AddAddr(to, a)
	}
	return copied
}

// convertible says whether a copy would succeed, so that a guess that fails leaves no trace.
func convertible(e *event.Event, to event.FieldID, v *event.Value) bool {
	switch e.Schema().Type(to) {
	case event.Long, event.Double:
		_, ok := v.Number()
		return ok || v.Kind() == event.String && isNumber(v.Text())
	case event.Date:
		_, ok := event.ParseTime(v.Text())
		return ok || v.Kind() == event.Time
	case event.Boolean:
		return v.Kind() == event.Bool || v.Text() == "true" || v.Text() == "false"
	case event.Object, event.Elements:
		return v.Kind() == event.Raw
	case event.Keyword, event.Text:
		return v.Kind() != event.Raw
	}
	return true
}

func isNumber(s string) bool {
	if s == "" || len(s) > 18 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if (s[i] < '0' || s[i] > '9') && !(i == 0 && s[i] == '-' && len(s) > 1) {
			return false
		}
	}
	return true
}
