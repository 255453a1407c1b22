package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// compiler turns a syntax tree into a tree of tests over a schema's fields, and reports every mistake that it meets on the way.
type compiler struct {
	*parsed
	schema   *event.Schema
	opts     ConditionOptions
	problems []problem

	// Within any and all:
	scope       scope
	elemSchema  *event.Schema
	elemCurrent operand // the field whose values `#` stands for
}

// scope says what `.x` and `#` mean.
type scope uint8

const (
	outside scope = iota
	ofObjects
	ofValues
)

func (c *compiler) fail(at int, hint, format string, args ...any) {
	c.problems = append(c.problems, problem{at: at, message: fmt.Sprintf(format, args...), hint: hint})
}

// condition compiles a node that must be true or false. After a mistake it returns a constant: nothing is evaluated then.
func (c *compiler) condition(n ast.Node) *node {
	switch x := n.(type) {
	case *ast.BoolNode:
		return &node{op: nodeConst, at: c.pos(n), is: x.Value}
	case *ast.UnaryNode:
		if x.Operator == "not" || x.Operator == "!" {
			return negate(c.condition(x.Node))
		}
	case *ast.BinaryNode:
		return c.binary(x)
	case *ast.ConditionalNode:
		if c.scope != outside {
			c.fail(c.pos(n), "write it with and, or", "? : cannot stand within any or all")
			return c.nothing(n)
		}
		return &node{op: nodeIf, at: c.pos(n), kids: []*node{c.condition(x.Cond), c.condition(x.Exp1), c.condition(x.Exp2)}}
	case *ast.CallNode:
		if _, _, isField := path(n); !isField {
			return c.call(x)
		}
	case *ast.BuiltinNode:
		return c.builtin(x)
	}
	if _, _, ok := path(n); ok {
		return c.bare(n)
	}
	c.notCondition(n)
	return c.nothing(n)
}

func (c *compiler) nothing(n ast.Node) *node { return &node{op: nodeConst, at: c.pos(n)} }

func (c *compiler) notCondition(n ast.Node) {
	switch n.(type) {
	case *ast.StringNode:
		c.fail(c.pos(n), `to compare with several values write: field in ["a", "b"]`, "is text, not a condition")
	case *ast.IntegerNode, *ast.FloatNode, *ast.UnaryNode:
		c.fail(c.pos(n), "to compare with several values write: field in [1, 2]", "is a number, not a condition")
	case *ast.NilNode:
		c.fail(c.pos(n), "write not has(field) for an absent field", "nil is not a condition")
	case *ast.ArrayNode:
		c.fail(c.pos(n), `write: field in ["a", "b"]`, "is a list, not a condition")
	case *ast.MemberNode, *ast.SliceNode:
		c.fail(c.pos(n), "a path runs through arrays, and a test holds if any value passes", "an element of an array cannot be named by its number")
	default:
		c.fail(c.pos(n), "", "is not a condition")
	}
}

// bare is a field that stands as a condition by itself.
func (c *compiler) bare(n ast.Node) *node {
	o, ok := c.field(n)
	if !ok {
		return c.nothing(n)
	}
	if o.cls != classBool {
		c.fail(o.at, fmt.Sprintf("write has(%s), or compare it with something", o.name), "%s is %s, not a condition", o.name, o.describe())
		return c.nothing(n)
	}
	a := &atom{op: opEqual, cls: classBool, left: o, lit: val{n: 1}, subject: o.name, operator: "==", object: "true"}
	return &node{at: o.at, atom: a}
}

func (c *compiler) binary(x *ast.BinaryNode) *node {
	switch x.Operator {
	case "and", "&&", "or", "||":
		return c.chain(x)
	case "==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith", "matches":
		return c.comparison(x)
	case "in":
		return c.membership(x)
	}
	c.fail(c.at(x.Location().From), "compare the fields themselves", "%s is not part of the language: there is no arithmetic", x.Operator)
	return c.nothing(x)
}

// chain compiles `a and b and …`, a tree that leans to the left, without recursion along it.
func (c *compiler) chain(x *ast.BinaryNode) *node {
	op := nodeAnd
	if x.Operator == "or" || x.Operator == "||" {
		op = nodeOr
	}
	same := func(o string) bool {
		return o == x.Operator || op == nodeAnd && (o == "and" || o == "&&") || op == nodeOr && (o == "or" || o == "||")
	}
	at := c.at(x.Location().From)
	var parts []ast.Node
	for {
		parts = append(parts, x.Right)
		left, ok := x.Left.(*ast.BinaryNode)
		if !ok || !same(left.Operator) {
			parts = append(parts, x.Left)
			break
		}
		x = left
	}
	slices.Reverse(parts)
	kids := make([]*node, len(parts))
	for i, p := range parts {
		kids[i] = c.condition(p)
	}
	return join(op, at, kids)
}

// call compiles a function that is a condition.
func (c *compiler) call(x *ast.CallNode) *node {
	callee, ok := x.Callee.(*ast.IdentifierNode)
	if !ok {
		if m, isMember := x.Callee.(*ast.MemberNode); isMember {
			if p, isText := m.Property.(*ast.StringNode); isText {
				c.fail(c.pos(x.Callee), fmt.Sprintf("write: field %s value", p.Value), "fields have no methods")
				return c.nothing(x)
			}
		}
		c.fail(c.pos(x), "", "is not a function")
		return c.nothing(x)
	}
	at := c.pos(x)
	if op, folded := foldedOperator(callee.Value); folded {
		if len(x.Arguments) != 2 {
			c.fail(at, fmt.Sprintf(`write: field %s "text"`, callee.Value), "%s takes a field and a text", callee.Value)
			return c.nothing(x)
		}
		return c.compare(at, op, true, x.Arguments[0], x.Arguments[1])
	}
	switch callee.Value {
	case "has":
		return c.has(x)
	case "field":
		c.fail(at, `write field("the name")`, "field takes one name in quotes")
	case "cidr", "list":
		c.fail(at, fmt.Sprintf(`write: field in %s("…")`, callee.Value), "%s(…) is not a condition by itself", callee.Value)
	default:
		if _, known := valueFunction(callee.Value); known {
			c.fail(at, fmt.Sprintf("compare it: %s(…) == …", callee.Value), "%s(…) is a value, not a condition", callee.Value)
		} else {
			c.unknownFunction(at, callee.Value)
		}
	}
	return c.nothing(x)
}

func (c *compiler) unknownFunction(at int, name string) {
	switch name {
	case "now", "date", "duration", "timezone", "today":
		c.fail(at, "compare with timestamp, hour(timestamp) or weekday(timestamp): a replay must give the same answer", "%s reads or reckons with the clock, which rules cannot", name)
	case "none":
		c.fail(at, "write not any(path, …)", "none is not known")
	case "exists", "isset", "present":
		c.fail(at, "write has(field)", "%s is not known", name)
	case "hasPrefix":
		c.fail(at, "write: field startsWith value", "hasPrefix is not known")
	case "hasSuffix":
		c.fail(at, "write: field endsWith value", "hasSuffix is not known")
	case "upper":
		c.fail(at, "write lower(field) == …, or: field iequals …", "upper is not known")
	default:
		c.fail(at, diag.DidYouMean(name, functionNames()), "there is no function %s", name)
	}
}

func functionNames() []string {
	names := []string{"has", "any", "all", "field", "cidr", "list", "lower", "domain", "len", "hour", "weekday", "subnet"}
	for _, f := range foldedOperators() {
		names = append(names, f[0])
	}
	return names
}

func (c *compiler) has(x *ast.CallNode) *node {
	if len(x.Arguments) != 1 {
		c.fail(c.pos(x), "write has(field)", "has takes one field")
		return c.nothing(x)
	}
	if _, _, ok := path(x.Arguments[0]); !ok {
		c.fail(c.pos(x.Arguments[0]), "write has(field)", "has takes a field")
		return c.nothing(x)
	}
	at := c.pos(x)
	name, element, _ := path(x.Arguments[0])
	array, isArray := c.arrayOf(name)
	if _, plain := c.schema.Lookup(fieldName(name)); isArray && !element && !plain {
		return &node{at: at, atom: &atom{op: opHas, left: array, subject: "has(" + array.name + ")"}}
	}
	o, ok := c.field(x.Arguments[0])
	if !ok {
		return c.nothing(x)
	}
	a := &atom{op: opHas, left: o, subject: "has(" + o.name + ")"}
	if isArray && !element {
		a.right = &array
	}
	return &node{at: at, atom: a}
}

// arrayOf is the field that holds a path's array of objects, where some condition tests its elements.
func (c *compiler) arrayOf(written string) (operand, bool) {
	name := fieldName(written)
	id, ok := c.schema.Lookup(name + elementsSuffix)
	if !ok || c.schema.Type(id) != event.Elements {
		return operand{}, false
	}
	return operand{name: writtenName(name), field: name, id: id, typ: event.Elements, elements: true}, true
}

func (c *compiler) builtin(x *ast.BuiltinNode) *node {
	if x.Name == "any" || x.Name == "all" {
		return c.each(x)
	}
	if _, known := valueFunction(x.Name); known {
		c.fail(c.pos(x), fmt.Sprintf("compare it: %s(…) == …", x.Name), "%s(…) is a value, not a condition", x.Name)
	} else {
		c.unknownFunction(c.pos(x), x.Name)
	}
	return c.nothing(x)
}

// each compiles any and all.
func (c *compiler) each(x *ast.BuiltinNode) *node {
	at := c.pos(x)
	if c.scope != outside {
		c.fail(at, "write the inner path in full from the outer one", "any and all cannot be nested")
		return c.nothing(x)
	}
	name, element, ok := path(x.Arguments[0])
	if !ok || element {
		c.fail(c.pos(x.Arguments[0]), "write any(path, .name == …)", "%s takes the path of an array first", x.Name)
		return c.nothing(x)
	}
	inner := *c
	inner.problems = nil
	el, subject, ok := c.elements(&inner, x, fieldName(name))
	if !ok {
		return c.nothing(x)
	}
	el.pred = inner.condition(x.Arguments[1].(*ast.PredicateNode).Node)
	c.problems = append(c.problems, inner.problems...)
	op := opAny
	if x.Name == "all" {
		op = opAll
	}
	a := &atom{op: op, elems: el, left: operand{at: at, name: subject, field: fieldName(name), id: el.id, elements: !el.plain}}
	a.subject = fmt.Sprintf("%s(%s, %s)", x.Name, subject, el.pred)
	return &node{at: at, atom: a}
}

// elements prepares the scope of any and all: the members of objects, or plain values, by what the predicate names.
func (c *compiler) elements(inner *compiler, x *ast.BuiltinNode, name string) (*elements, string, bool) {
	at := c.pos(x.Arguments[0])
	pred, ok := x.Arguments[1].(*ast.PredicateNode)
	if !ok {
		c.fail(at, "write any(path, .name == …)", "%s takes a condition on the elements", x.Name)
		return nil, "", false
	}
	names := elementNames(pred)
	if len(names) == 0 {
		o, ok := c.named(name, at)
		if !ok {
			return nil, "", false
		}
		inner.scope, inner.elemCurrent = ofValues, o
		return &elements{id: o.id, plain: true}, o.name, true
	}
	id, ok := c.schema.Lookup(name + elementsSuffix)
	if !ok || c.schema.Type(id) != event.Elements {
		hint := diag.DidYouMean(name, c.schema.Names())
		if _, plain := c.schema.Lookup(name); plain {
			hint = "its values are plain: write # for the value"
		}
		c.fail(at, hint, "%s is not known as an array of objects", name)
		return nil, "", false
	}
	el, err := newElements(id, names)
	if err != nil {
		c.fail(at, "", "%v", err)
		return nil, "", false
	}
	inner.scope, inner.elemSchema = ofObjects, el.schema
	return el, writtenName(name), true
}

// writtenName is how the language writes a field's name.
func writtenName(name string) string {
	if name == "@timestamp" {
		return "timestamp"
	}
	for s := range strings.SplitSeq(name, ".") {
		if !plainName(s) || reserved(s) || name == "timestamp" {
			return "field(" + strconv.Quote(name) + ")"
		}
	}
	return name
}

// writtenElement is how the language writes a member of the current element.
func writtenElement(name string) string {
	for s := range strings.SplitSeq(name, ".") {
		if !plainName(s) || reserved(s) {
			return "#[" + strconv.Quote(name) + "]"
		}
	}
	return "." + name
}

func plainName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r == '$' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func reserved(s string) bool {
	if _, folded := foldedOperator(s); folded {
		return true
	}
	return slices.Contains([]string{"and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches", "true", "false", "nil", "let", "if", "else", countName}, s)
}
