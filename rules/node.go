package rules

import "strings"

// nodeOp is how a node of a condition's tree combines what is below it.
type nodeOp uint8

const (
	nodeAtom nodeOp = iota
	nodeConst
	nodeAnd
	nodeOr
	nodeNot
	nodeIf // then, where the first holds, the second and else the third: only expr's machine runs it
)

// node is a condition's tree, immutable once built.
type node struct {
	op   nodeOp
	at   int // byte offset in the source
	kids []*node
	atom *atom
	is   bool // nodeConst
}

// eval runs the tree natively. A tree with a nodeIf runs on expr's machine instead.
func (n *node) eval(x *env) bool {
	switch n.op {
	case nodeAtom:
		return n.atom.eval(x)
	case nodeConst:
		return n.is
	case nodeAnd:
		for _, k := range n.kids {
			if !k.eval(x) {
				return false
			}
		}
		return true
	case nodeOr:
		for _, k := range n.kids {
			if k.eval(x) {
				return true
			}
		}
		return false
	case nodeNot:
		return !n.kids[0].eval(x)
	}
	return false
}

// native says whether eval can run the tree.
func (n *node) native() bool {
	if n.op == nodeIf {
		return false
	}
	for _, k := range n.kids {
		if !k.native() {
			return false
		}
	}
	return true
}

func negate(n *node) *node {
	switch n.op {
	case nodeNot:
		return n.kids[0]
	case nodeConst:
		return &node{op: nodeConst, at: n.at, is: !n.is}
	}
	return &node{op: nodeNot, at: n.at, kids: []*node{n}}
}

// join combines nodes with and or or, flattening those that are of the same kind.
func join(op nodeOp, at int, kids []*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	n := &node{op: op, at: at}
	for _, k := range kids {
		if k.op == op {
			n.kids = append(n.kids, k.kids...)
		} else {
			n.kids = append(n.kids, k)
		}
	}
	return n
}

// each visits every atom, those within any and all included, with whether it stands under an odd number of negations.
func (n *node) each(negated bool, visit func(a *atom, negated bool)) {
	switch n.op {
	case nodeAtom:
		visit(n.atom, negated)
		if n.atom.elems != nil {
			n.atom.elems.pred.each(negated, visit)
		}
	case nodeNot:
		n.kids[0].each(!negated, visit)
	default:
		for _, k := range n.kids {
			k.each(negated, visit)
		}
	}
}

// String is the tree in the language, in one normal form whatever the source's blanks, quotes and brackets were.
func (n *node) String() string {
	var b strings.Builder
	n.print(&b, nodeIf)
	return b.String()
}

func (n *node) print(b *strings.Builder, within nodeOp) {
	switch n.op {
	case nodeAtom:
		b.WriteString(n.atom.String())
	case nodeConst:
		if n.is {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	case nodeNot:
		if k := n.kids[0]; k.op == nodeAtom {
			b.WriteString(k.atom.negated())
			return
		}
		b.WriteString("not ")
		n.kids[0].print(b, nodeNot)
	case nodeAnd, nodeOr:
		word := " and "
		if n.op == nodeOr {
			word = " or "
		}
		if within != nodeIf {
			b.WriteByte('(')
		}
		for i, k := range n.kids {
			if i > 0 {
				b.WriteString(word)
			}
			k.print(b, n.op)
		}
		if within != nodeIf {
			b.WriteByte(')')
		}
	case nodeIf:
		b.WriteByte('(')
		n.kids[0].print(b, nodeAnd)
		b.WriteString(" ? ")
		n.kids[1].print(b, nodeAnd)
		b.WriteString(" : ")
		n.kids[2].print(b, nodeAnd)
		b.WriteByte(')')
	}
}
