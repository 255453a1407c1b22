package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// membership compiles `left in right`.
func (c *compiler) membership(x *ast.BinaryNode) *node {
	at := c.at(x.Location().From)
	failed := &node{op: nodeConst, at: at}
	l, ok := c.side(x.Left)
	if !ok {
		return failed
	}
	if l.op == nil { // "admin" in user.roles
		if _, _, isPath := path(x.Right); isPath && l.kind != nilLiteral {
			return c.compare(at, "==", false, x.Right, x.Left)
		}
		c.fail(l.at, "write: field in …", "the field stands left of in")
		return failed
	}
	if l.op.typ == event.Object && l.op.fn == noFunction {
		c.fail(l.at, "name a field within it, or use contains", "%s is a whole object, which cannot be compared", l.op.name)
		return failed
	}
	a := &atom{left: *l.op, subject: l.op.name, operator: "in"}
	if name, args, isCall := callOf(x.Right); isCall && name != "field" {
		switch {
		case name == "cidr" && c.networks(a, x.Right, args), name == "list" && c.listed(a, x.Right, args):
			return &node{at: at, atom: a}
		case name != "cidr" && name != "list":
			c.fail(c.pos(x.Right), `write: field in ["a", "b"], in list("name") or in cidr("10.0.0.0/8")`, "in %s(…) is not known", name)
		}
		return failed
	}
	switch r := x.Right.(type) {
	case *ast.ArrayNode:
		return c.oneOf(a, at, r)
	case *ast.BinaryNode:
		if r.Operator == ".." {
			return c.between(x, r)
		}
	}
	if _, _, isPath := path(x.Right); isPath {
		return c.compare(at, "==", false, x.Left, x.Right)
	}
	c.fail(c.pos(x.Right), `write: field in ["a", "b"], in list("name"), in cidr("10.0.0.0/8") or in 400..499`, "in takes a list")
	return failed
}

// between compiles `left in 400..499`, which is two comparisons of one value: a list of values must not meet it between them.
func (c *compiler) between(x *ast.BinaryNode, r *ast.BinaryNode) *node {
	at := c.at(x.Location().From)
	failed := &node{op: nodeConst, at: at}
	l, okL := c.side(x.Left)
	lo, okLo := c.side(r.Left)
	hi, okHi := c.side(r.Right)
	if !okL || !okLo || !okHi {
		return failed
	}
	if !lo.num.whole || !hi.num.whole || lo.num.i > hi.num.i {
		c.fail(lo.at, "write: field in 400..499", "a range goes from a whole number to a greater one")
		return failed
	}
	if l.op.cls != classNumber && l.op.cls != classAny {
		c.fail(l.at, "", "%s is %s, and the range is of numbers", l.op.name, l.op.describe())
		return failed
	}
	a := &atom{op: opBetween, cls: classNumber, left: *l.op, subject: l.op.name, operator: "in", object: lo.num.show() + ".." + hi.num.show()}
	a.lit, a.high = val{num: lo.num}, hi.num
	return &node{at: at, atom: a}
}

// oneOf compiles `left in [a, b]`: one atom for each class of literal, which only an untyped field can have several of.
func (c *compiler) oneOf(a *atom, at int, r *ast.ArrayNode) *node {
	failed := &node{op: nodeConst, at: at}
	if len(r.Nodes) == 0 {
		c.fail(c.pos(r), "", "the list is empty: nothing is in it")
		return failed
	}
	var classes [classNet + 1]*atom
	good := true
	for _, e := range r.Nodes {
		good = c.element(a, e, &classes) && good
	}
	if !good {
		return failed
	}
	var kids []*node
	for _, one := range classes {
		if one != nil {
			one.finish()
			kids = append(kids, &node{at: at, atom: one})
		}
	}
	return join(nodeOr, at, kids)
}

func (c *compiler) element(a *atom, e ast.Node, classes *[classNet + 1]*atom) bool {
	s, ok := c.side(e)
	switch {
	case !ok:
		return false
	case s.op != nil, s.kind == nilLiteral:
		c.fail(s.at, "write: a == b or a == c", "a list holds texts, numbers, true and false only")
		return false
	}
	cls := a.left.cls
	if cls == classAny {
		cls = literalClass(s.kind)
	}
	if classes[cls] == nil {
		one := *a
		one.op, one.cls, one.set = opOneOf, cls, &literals{}
		classes[cls] = &one
	}
	one := classes[cls]
	var v val
	var text string
	if !c.literal(cls, &a.left, &s, &v, &text) {
		return false
	}
	v.shown = text
	one.set.vals = append(one.set.vals, v)
	return true
}

// finish sorts the literals, drops the repeated ones, and makes a set of many texts. A list of one is an equality.
func (a *atom) finish() {
	s := a.set
	slices.SortFunc(s.vals, func(x, y val) int { return strings.Compare(x.shown, y.shown) })
	s.vals = slices.CompactFunc(s.vals, func(x, y val) bool { return x.shown == y.shown })
	if len(s.vals) == 1 {
		a.op, a.lit, a.set, a.operator, a.object = opEqual, s.vals[0], nil, "==", s.vals[0].shown
		return
	}
	shown := make([]string, len(s.vals))
	for i := range s.vals {
		shown[i] = s.vals[i].shown
	}
	a.object = "[" + strings.Join(shown, ", ") + "]"
	s.index(a.cls)
}

// networks compiles the right side of `in cidr("a", "b")`.
func (c *compiler) networks(a *atom, n ast.Node, args []ast.Node) bool {
	if a.left.fn != noFunction || a.left.cls != classAddr && a.left.cls != classAny && a.left.cls != classText {
		c.fail(a.left.at, "", "%s is %s, and cidr is about addresses", a.left.name, a.left.describe())
		return false
	}
	if len(args) == 0 {
		c.fail(c.pos(n), `write cidr("10.0.0.0/8")`, "cidr takes networks in quotes")
		return false
	}
	a.op, a.cls = opWithin, classAddr
	var shown []string
	for _, arg := range args {
		s, isText := arg.(*ast.StringNode)
		if !isText {
			c.fail(c.pos(arg), `write cidr("10.0.0.0/8")`, "cidr takes networks in quotes")
			return false
		}
		p, message := parseNetwork(s.Value)
		if message != "" {
			c.fail(c.pos(arg), "write address/length, such as 10.0.0.0/8 or 2001:db8::/32", "%s %s", strconv.Quote(s.Value), message)
			return false
		}
		a.nets = append(a.nets, p)
		shown = append(shown, strconv.Quote(p.String()))
	}
	slices.Sort(shown)
	a.object = "cidr(" + strings.Join(slices.Compact(shown), ", ") + ")"
	return true
}

// parseNetwork reads a network, or an address as a network of one.
func parseNetwork(s string) (netip.Prefix, string) {
	if a, ok := event.ParseAddr(s); ok {
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, "is not a network"
	case p.Addr().Is4In6():
		return p, "is an IPv4 network written as IPv6"
	case p != p.Masked():
		return p, "has bits behind its length: did you mean " + p.Masked().String() + "?"
	}
	return p, ""
}

// listed compiles the right side of `in list("name")`.
func (c *compiler) listed(a *atom, n ast.Node, args []ast.Node) bool {
	if len(args) != 1 {
		c.fail(c.pos(n), `write list("name")`, "list takes the name of a list in quotes")
		return false
	}
	s, isText := args[0].(*ast.StringNode)
	if !isText {
		c.fail(c.pos(n), `write list("name")`, "list takes the name of a list in quotes")
		return false
	}
	l, ok := c.opts.Lists.Get(s.Value)
	if !ok {
		hint := diag.DidYouMean(s.Value, c.opts.Lists.Names())
		if hint == "" {
			hint = fmt.Sprintf("a list is a file lists/%s.txt, one entry a line", s.Value)
		}
		c.fail(c.pos(args[0]), hint, "there is no list %s", strconv.Quote(s.Value))
		return false
	}
	a.op, a.cls, a.list, a.object = opListed, classText, l, "list("+strconv.Quote(s.Value)+")"
	switch a.left.cls {
	case classAddr:
		a.cls = classAddr
	case classNumber:
		if a.left.fn == noFunction && !a.left.count {
			break
		}
		fallthrough
	case classBool, classTime, classNet:
		c.fail(a.left.at, "", "%s is %s, and lists hold texts, addresses and networks", a.left.name, a.left.describe())
		return false
	}
	return true
}
