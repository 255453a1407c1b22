package rules

import (
	"fmt"
	"maps"
	"slices"

	"github.com/klaxonhq/klaxon/event"
)

// negation is a negated test that holds where its field is absent, which is seldom what its author thought of.
type negation struct {
	at   int
	text string
	name string
}

func (u negation) problem(warning bool) problem {
	return problem{at: u.at, warning: warning, message: fmt.Sprintf("%s also holds where %s is absent", u.text, u.name),
		hint: fmt.Sprintf("write: has(%s) and %s", u.name, u.text)}
}

// unguarded finds the negations that no test of presence stands beside.
func unguarded(n *node) []negation {
	var g guards
	g.walk(n, false, nil)
	return g.found
}

type guards struct{ found []negation }

// walk goes down with the fields that must be present for n to decide anything.
func (g *guards) walk(n *node, negated bool, present map[string]bool) {
	switch n.op {
	case nodeAtom:
		g.atom(n, negated, present)
	case nodeNot:
		g.walk(n.kids[0], !negated, present)
	case nodeAnd, nodeOr:
		if (n.op == nodeAnd) != negated {
			present = with(present, implied(n, negated))
		} else {
			present = with(present, excused(n.kids, negated))
		}
		for _, k := range n.kids {
			g.walk(k, negated, present)
		}
	case nodeIf:
		g.walk(n.kids[1], negated, with(present, implied(n.kids[0], false)))
		g.walk(n.kids[2], negated, with(present, implied(n.kids[0], true)))
	}
}

// excused is the fields whose absence an alternative names: `not has(f) or f != "x"`.
func excused(kids []*node, negated bool) []string {
	var out []string
	for _, k := range kids {
		absent := negated
		if k.op == nodeNot {
			k, absent = k.kids[0], !absent
		}
		if absent && k.op == nodeAtom && k.atom.op == opHas {
			out = append(out, k.atom.left.key())
		}
	}
	return out
}

func with(present map[string]bool, more []string) map[string]bool {
	out := maps.Clone(present)
	if out == nil {
		out = map[string]bool{}
	}
	for _, f := range more {
		out[f] = true
	}
	return out
}

func (g *guards) atom(n *node, negated bool, present map[string]bool) {
	a := n.atom
	if a.elems != nil && !a.elems.plain {
		g.walk(a.elems.pred, false, nil) // an element lacks the member, whatever the negation of the whole says
	}
	if !negated || a.op == opHas {
		return
	}
	for _, o := range []*operand{&a.left, a.right} {
		if o == nil || o.count || o.current || alwaysPresent(o) || present[o.key()] {
			continue
		}
		name := o.name
		if o.fn != noFunction && !o.element {
			name = writtenName(o.field)
		}
		g.found = append(g.found, negation{n.at, a.negated(), name})
		return
	}
}

// key tells fields from members of elements.
func (o *operand) key() string {
	if o.element {
		return "." + o.field
	}
	return o.field
}

func alwaysPresent(o *operand) bool {
	return !o.element && slices.Contains([]event.FieldID{event.Timestamp, event.Original, event.Dataset, event.EventKind, event.Tenant, event.EventID}, o.id)
}

// implied is the fields that must be present where a tree holds.
func implied(n *node, negated bool) []string {
	switch n.op {
	case nodeAtom:
		if negated {
			return nil
		}
		out := []string{n.atom.left.key()}
		if n.atom.right != nil {
			out = append(out, n.atom.right.key())
		}
		return out
	case nodeNot:
		return implied(n.kids[0], !negated)
	case nodeAnd, nodeOr:
		if (n.op == nodeAnd) != negated {
			var out []string
			for _, k := range n.kids {
				out = append(out, implied(k, negated)...)
			}
			return out
		}
		return impliedByAll(n.kids, negated)
	}
	return nil
}

func impliedByAll(kids []*node, negated bool) []string {
	out := implied(kids[0], negated)
	for _, k := range kids[1:] {
		other := implied(k, negated)
		out = slices.DeleteFunc(out, func(f string) bool { return !slices.Contains(other, f) })
	}
	return out
}
