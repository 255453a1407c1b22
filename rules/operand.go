package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// describe is the operand's type in words, for messages.
func (o *operand) describe() string {
	switch {
	case o.count:
		return "a number"
	case o.fn != noFunction:
		return o.cls.String()
	case o.typ == event.Untyped:
		return "an untyped field"
	}
	return "of type " + o.typ.String()
}

// field compiles a path that must be a field.
func (c *compiler) field(n ast.Node) (operand, bool) {
	name, element, ok := path(n)
	at := c.pos(n)
	switch {
	case !ok:
		c.notCondition(n)
		return operand{}, false
	case element:
		return c.elementField(name, at)
	}
	if name == countName && c.opts.Count {
		return operand{at: at, name: countName, count: true, cls: classNumber, typ: event.Long}, true
	}
	return c.named(fieldName(name), at)
}

func (c *compiler) elementField(name string, at int) (operand, bool) {
	switch {
	case c.scope == ofObjects && name != "":
		return operand{at: at, name: writtenElement(name), field: name, id: c.elemSchema.ID("." + name), element: true}, true
	case c.scope == ofValues && name == "":
		o := c.elemCurrent
		o.at, o.name, o.current = at, "#", true
		return o, true
	case c.scope == outside:
		c.fail(at, "a name with a dot before it stands within any(path, …) or all(path, …)", "there is no element here")
	default:
		c.fail(at, "write .name for a member", "# stands for plain values, and these elements are objects")
	}
	return operand{}, false
}

// named looks a field up in the schema.
func (c *compiler) named(name string, at int) (operand, bool) {
	id, ok := c.schema.Lookup(name)
	if !ok {
		c.unknownField(name, at)
		return operand{}, false
	}
	t := c.schema.Type(id)
	if t == event.Elements {
		c.fail(at, "write any(path, .name == …)", "%s holds whole elements", name)
		return operand{}, false
	}
	return operand{at: at, name: writtenName(name), field: name, id: id, typ: t, cls: classOf(t)}, true
}

func (c *compiler) unknownField(name string, at int) {
	hint := diag.DidYouMean(name, c.schema.Names())
	switch name {
	case "null", "None", "none", "undefined":
		hint = "write not has(field) for an absent field"
	case countName:
		hint = "count is known in severities only"
	default:
		for _, f := range c.schema.Fields() {
			if strings.HasPrefix(f.Name, name) && len(f.Name) > len(name) && f.Name[len(name)] == '.' {
				c.fail(at, "it has "+f.Name+", for one", "%s is a group of fields, not a field", name)
				return
			}
		}
	}
	c.fail(at, hint, "unknown field %s", name)
}

// valueFunction is a function that makes a value of a field.
func valueFunction(name string) (function, bool) {
	switch name {
	case "lower":
		return fnLower, true
	case "domain":
		return fnDomain, true
	case "len":
		return fnLength, true
	case "hour":
		return fnHour, true
	case "weekday":
		return fnWeekday, true
	case "subnet":
		return fnSubnet, true
	}
	return noFunction, false
}

// callOf is the name and arguments of a call, whichever way expr parsed it.
func callOf(n ast.Node) (name string, args []ast.Node, ok bool) {
	switch x := n.(type) {
	case *ast.CallNode:
		callee, isName := x.Callee.(*ast.IdentifierNode)
		if !isName {
			return "", nil, false
		}
		return callee.Value, x.Arguments, true
	case *ast.BuiltinNode:
		return x.Name, x.Arguments, true
	}
	return "", nil, false
}

// apply compiles a function of a field.
func (c *compiler) apply(n ast.Node, name string, args []ast.Node) (operand, bool) {
	at := c.pos(n)
	fn, known := valueFunction(name)
	if !known {
		switch _, folded := foldedOperator(name); {
		case folded, name == "has", name == "any", name == "all":
			c.fail(at, "join conditions with and, or, not", "%s(…) is a condition, and cannot be compared", name)
		default:
			c.unknownFunction(at, name)
		}
		return operand{}, false
	}
	if len(args) == 0 {
		c.fail(at, fmt.Sprintf("write %s(field)", name), "%s takes a field", name)
		return operand{}, false
	}
	if _, _, isPath := path(args[0]); !isPath {
		c.fail(c.pos(args[0]), fmt.Sprintf("write %s(field)", name), "%s takes a field", name)
		return operand{}, false
	}
	o, ok := c.field(args[0])
	if !ok {
		return o, false
	}
	if o.count {
		c.fail(at, "", "%s takes a field", name)
		return o, false
	}
	inner := o
	o.at, o.fn = at, fn
	if !c.checkArgument(&o, &inner, name) || !c.parameters(&o, name, args[1:]) {
		return o, false
	}
	return o, true
}

// checkArgument sets what a function gives, and refuses a field that it cannot take.
func (c *compiler) checkArgument(o, inner *operand, name string) bool {
	takes := classText
	switch o.fn {
	case fnLower, fnDomain:
		o.cls = classText
	case fnLength:
		o.cls = classNumber
	case fnHour:
		takes, o.cls = classTime, classNumber
	case fnWeekday:
		takes, o.cls = classTime, classText
	case fnSubnet:
		takes, o.cls = classAddr, classNet
	}
	keywordAddress := takes == classAddr && inner.cls == classText
	if inner.cls != takes && inner.cls != classAny && !keywordAddress {
		c.fail(inner.at, "", "%s takes %s, and %s is %s", name, takes, inner.name, inner.describe())
		return false
	}
	return true
}

func (c *compiler) parameters(o *operand, name string, args []ast.Node) bool {
	inner := o.name
	switch o.fn {
	case fnSubnet:
		return c.subnetBits(o, args)
	case fnHour, fnWeekday:
		if len(args) == 1 {
			zone, isText := args[0].(*ast.StringNode)
			if !isText {
				c.fail(c.pos(args[0]), `write a time zone in quotes, such as "Europe/Berlin"`, "%s takes a field and a time zone", name)
				return false
			}
			loc, err := time.LoadLocation(zone.Value)
			if err != nil || zone.Value == "" || zone.Value == "Local" {
				c.fail(c.pos(args[0]), `write a name such as "Europe/Berlin"; without one it is UTC`, "%s is no time zone that is known here", strconv.Quote(zone.Value))
				return false
			}
			o.zone = loc
			o.name = fmt.Sprintf("%s(%s, %s)", name, inner, strconv.Quote(zone.Value))
			return true
		}
	}
	if len(args) > 0 {
		c.fail(c.pos(args[0]), "", "%s takes one field", name)
		return false
	}
	o.name = name + "(" + inner + ")"
	return true
}

func (c *compiler) subnetBits(o *operand, args []ast.Node) bool {
	o.bits4, o.bits6 = -1, 64
	for i, a := range args {
		n, isInt := a.(*ast.IntegerNode)
		limit := []int{32, 128}[min(i, 1)]
		if !isInt || i > 1 || n.Value < 0 || n.Value > limit {
			c.fail(c.pos(a), "write subnet(field, 24, 64): the length for IPv4, then for IPv6", "is no prefix length")
			return false
		}
		if i == 0 {
			o.bits4 = n.Value
		} else {
			o.bits6 = n.Value
		}
	}
	if o.bits4 < 0 {
		c.fail(o.at, "write subnet(field, 24, 64): the length for IPv4, then for IPv6", "subnet takes a prefix length")
		return false
	}
	o.name = fmt.Sprintf("subnet(%s, %d, %d)", o.name, o.bits4, o.bits6)
	return true
}

// side is one side of a comparison: an operand or a literal.
type side struct {
	at   int
	op   *operand
	kind literalKind
	text string
	num  number
	is   bool
}

type literalKind uint8

const (
	noLiteral literalKind = iota
	textLiteral
	numberLiteral
	boolLiteral
	nilLiteral
)

// show is a literal as the language writes it.
func (s *side) show() string {
	switch s.kind {
	case textLiteral:
		return strconv.Quote(s.text)
	case numberLiteral:
		return s.num.show()
	case boolLiteral:
		return strconv.FormatBool(s.is)
	}
	return "nil"
}

func (a number) show() string {
	if a.whole {
		return strconv.FormatInt(a.i, 10)
	}
	s := strconv.FormatFloat(a.f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// side compiles a node that is compared.
func (c *compiler) side(n ast.Node) (side, bool) {
	s := side{at: c.pos(n)}
	switch x := n.(type) {
	case *ast.StringNode:
		s.kind, s.text = textLiteral, x.Value
	case *ast.IntegerNode:
		s.kind, s.num = numberLiteral, wholeNumber(int64(x.Value))
	case *ast.FloatNode:
		s.kind, s.num = numberLiteral, number{f: x.Value}
	case *ast.BoolNode:
		s.kind, s.is = boolLiteral, x.Value
	case *ast.NilNode:
		s.kind = nilLiteral
	case *ast.UnaryNode:
		return c.signed(x)
	default:
		return c.operandSide(n)
	}
	return s, true
}

func (c *compiler) signed(x *ast.UnaryNode) (side, bool) {
	at := c.pos(x)
	if x.Operator == "-" || x.Operator == "+" {
		s, ok := c.side(x.Node)
		if !ok || s.kind == numberLiteral {
			if ok && x.Operator == "-" {
				s.num = number{f: -s.num.f, i: -s.num.i, whole: s.num.whole}
			}
			s.at = at
			return s, ok
		}
		c.fail(at, "there is no arithmetic: compare the fields themselves", "%s needs a number", x.Operator)
		return side{}, false
	}
	c.fail(at, "write a != b, a not in […], or not (a == b)", "not binds before the comparison: this reads (not a) == b")
	return side{}, false
}

func (c *compiler) operandSide(n ast.Node) (side, bool) {
	if name, args, isCall := callOf(n); isCall && name != "field" {
		o, ok := c.apply(n, name, args)
		return side{at: o.at, op: &o}, ok
	}
	if _, _, isPath := path(n); isPath {
		o, ok := c.field(n)
		return side{at: o.at, op: &o}, ok
	}
	at := c.pos(n)
	switch x := n.(type) {
	case *ast.ArrayNode:
		c.fail(at, "write: field in [a, b]", "a list can only stand behind in")
	case *ast.BinaryNode:
		switch x.Operator {
		case "+", "-", "*", "/", "%", "..":
			c.fail(at, "compare the fields themselves", "%s is not part of the language: there is no arithmetic", x.Operator)
		default:
			c.fail(at, "join conditions with and, or, not", "a comparison cannot be compared again")
		}
	case *ast.ConditionalNode:
		c.fail(at, "", "? : can only choose between conditions")
	case *ast.MemberNode, *ast.SliceNode, *ast.ChainNode:
		c.fail(at, "a path runs through arrays, and a test holds if any value passes", "an element of an array cannot be named by its number")
	default:
		c.fail(at, "", "cannot be compared")
	}
	return side{}, false
}
