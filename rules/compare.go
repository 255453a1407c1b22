package rules

import (
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// Bounds on one regular expression: RE2 runs in time that grows with the size of its program.
const (
	maxRegexBytes   = 8 << 10
	maxRegexProgram = 4_000
)

func (c *compiler) comparison(x *ast.BinaryNode) *node {
	at := c.at(x.Location().From)
	fold := c.folded[x.Location().From]
	op := x.Operator
	if op == "!=" {
		return negate(c.compare(at, "==", false, x.Left, x.Right))
	}
	return c.compare(at, op, fold, x.Left, x.Right)
}

// compare compiles one comparison of two nodes.
func (c *compiler) compare(at int, op string, fold bool, left, right ast.Node) *node {
	failed := &node{op: nodeConst, at: at}
	l, okL := c.side(left)
	r, okR := c.side(right)
	if !okL || !okR {
		return failed
	}
	if l.op == nil {
		if r.op == nil {
			c.fail(l.at, "one side must be a field", "compares two constants")
			return failed
		}
		var ok bool
		if op, ok = mirrored(op); !ok {
			c.fail(l.at, fmt.Sprintf("write: field %s text", op), "the field stands left of %s", op)
			return failed
		}
		l, r = r, l
	}
	if r.kind == nilLiteral {
		if op != "==" || fold {
			c.fail(r.at, "write has(field) or not has(field)", "nil cannot be used with %s", op)
			return failed
		}
		a := &atom{op: opHas, left: *l.op, subject: "has(" + l.op.name + ")"}
		if l.op.fn != noFunction || l.op.count {
			c.fail(r.at, "write has(field) or not has(field)", "%s cannot be compared with nil", l.op.name)
		}
		return negate(&node{at: at, atom: a})
	}
	a := &atom{op: operators(op), fold: fold, left: *l.op, subject: l.op.name, operator: op}
	if fold {
		a.operator = foldedName(op)
	}
	if !c.classify(a, op, &l, &r) {
		return failed
	}
	return &node{at: at, atom: a}
}

// mirrored is the operator with its sides exchanged.
func mirrored(op string) (string, bool) {
	switch op {
	case "<":
		return ">", true
	case "<=":
		return ">=", true
	case ">":
		return "<", true
	case ">=":
		return "<=", true
	}
	return op, op == "=="
}

func operators(op string) atomOp {
	switch op {
	case "<":
		return opLess
	case "<=":
		return opAtMost
	case ">":
		return opMore
	case ">=":
		return opAtLeast
	case "contains":
		return opContains
	case "startsWith":
		return opPrefix
	case "endsWith":
		return opSuffix
	case "matches":
		return opMatches
	}
	return opEqual
}

func foldedName(op string) string {
	for _, f := range foldedOperators() {
		if f[1] == op {
			return f[0]
		}
	}
	return op
}

// classify decides what both sides are compared as, and converts the literal.
func (c *compiler) classify(a *atom, op string, l, r *side) bool {
	switch a.op {
	case opContains, opPrefix, opSuffix, opMatches:
		return c.textTest(a, l, r)
	case opLess, opAtMost, opMore, opAtLeast:
		if !c.ordered(a, op, l, r) {
			return false
		}
	default:
		if l.op.typ == event.Object && l.op.fn == noFunction {
			c.fail(l.at, "name a field within it, or use contains", "%s is a whole object, which cannot be compared", l.op.name)
			return false
		}
	}
	if a.fold {
		return c.textTest(a, l, r)
	}
	if r.op != nil {
		return c.twoFields(a, l, r)
	}
	a.cls = l.op.cls
	if a.cls == classAny {
		a.cls = literalClass(r.kind)
		if a.op != opEqual && r.kind == textLiteral {
			a.cls = classTime
		}
	}
	return c.literal(a.cls, l.op, r, &a.lit, &a.object)
}

func literalClass(k literalKind) class {
	switch k {
	case numberLiteral:
		return classNumber
	case boolLiteral:
		return classBool
	}
	return classText
}

// ordered refuses what has no order.
func (c *compiler) ordered(a *atom, op string, l, r *side) bool {
	for _, s := range []*side{l, r} {
		switch {
		case s.op == nil && s.kind == boolLiteral:
			c.fail(s.at, "", "true and false have no order")
			return false
		case s.op == nil:
		case s.op.cls == classAddr, s.op.cls == classNet:
			c.fail(s.at, `write: `+s.op.field+` in cidr("10.0.0.0/8")`, "%s is %s, and only numbers and times have an order", s.op.name, s.op.describe())
			return false
		case s.op.cls == classText, s.op.cls == classBool:
			c.fail(s.at, "", "%s is %s, and only numbers and times have an order: it cannot be used with %s", s.op.name, s.op.describe(), op)
			return false
		}
	}
	return true
}

// twoFields compares a field with a field.
func (c *compiler) twoFields(a *atom, l, r *side) bool {
	x, y := l.op.cls, r.op.cls
	switch {
	case x == y:
		a.cls = x
	case x == classAny:
		a.cls = y
	case y == classAny:
		a.cls = x
	case x == classAddr && y == classText, x == classText && y == classAddr:
		a.cls = classAddr
	default:
		c.fail(r.at, "", "%s is %s and %s is %s: they are never equal", l.op.name, l.op.describe(), r.op.name, r.op.describe())
		return false
	}
	switch {
	case a.cls == classNet && (x == classAny || y == classAny):
		c.fail(r.at, "write subnet(…) on both sides", "%s is a network and %s is not", l.op.name, r.op.name)
		return false
	case a.cls == classAny && a.op == opEqual:
		a.cls = classText
	case a.cls == classAny:
		a.cls = classNumber
	}
	a.right, a.object = r.op, r.op.name
	return true
}

// textTest is contains, startsWith, endsWith, matches, and every test without regard to case.
func (c *compiler) textTest(a *atom, l, r *side) bool {
	for _, s := range []*side{l, r} {
		if s.op == nil || s.op.cls == classText || s.op.cls == classAny {
			continue
		}
		hint := "compare it with ==, <, <=, > or >="
		if s.op.cls == classAddr {
			hint = `write: ` + s.op.field + ` in cidr("10.0.0.0/8")`
		}
		c.fail(s.at, hint, "%s is %s, and %s tests text", s.op.name, s.op.describe(), a.operator)
		return false
	}
	if l.op.typ == event.Object && l.op.fn == noFunction && a.op != opContains && a.op != opMatches {
		c.fail(l.at, "name a field within it, or use contains", "%s is a whole object", l.op.name)
		return false
	}
	a.cls = classText
	switch {
	case r.op != nil && a.op == opMatches:
		c.fail(r.at, "write the expression in quotes", "matches takes a regular expression that is known at load")
		return false
	case r.op != nil:
		a.right, a.object = r.op, r.op.name
		return true
	case r.kind != textLiteral:
		c.fail(r.at, fmt.Sprintf("write %q", r.show()), "%s takes text, not %s", a.operator, r.show())
		return false
	}
	a.object = strconv.Quote(r.text)
	if a.op == opMatches {
		return c.regex(a, r)
	}
	if r.text == "" && a.op != opEqual {
		c.fail(r.at, "write has(field)", "every text holds the empty one")
		return false
	}
	a.lit.text = r.text
	if a.fold {
		a.lit.text = strings.ToLower(r.text)
		a.object = strconv.Quote(a.lit.text)
	}
	return c.lowerCase(l.op, r)
}

// lowerCase refuses text that a function which makes lower case never gives.
func (c *compiler) lowerCase(o *operand, r *side) bool {
	if (o.fn == fnLower || o.fn == fnDomain) && r.text != strings.ToLower(r.text) {
		c.fail(r.at, fmt.Sprintf("write %q", strings.ToLower(r.text)), "%s is in lower case, and %q is not", o.name, r.text)
		return false
	}
	if o.fn == fnWeekday && !slices.Contains(weekdayNames(), r.text) {
		c.fail(r.at, diag.DidYouMean(r.text, weekdayNames()), "%q is no day of the week: sunday, monday, tuesday, …", r.text)
		return false
	}
	return true
}

func (c *compiler) regex(a *atom, r *side) bool {
	re := r.text
	if len(re) > maxRegexBytes {
		c.fail(r.at, "", "the regular expression is %d bytes long, and at most %d are allowed", len(re), maxRegexBytes)
		return false
	}
	if a.fold {
		re = "(?i)" + re
	}
	tree, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		hint := "the syntax is RE2's"
		if strings.Contains(err.Error(), "(?") || strings.Contains(err.Error(), "escape sequence: `\\") {
			hint = "RE2 has no look-around and no back-references"
		}
		c.fail(r.at, hint, "not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return false
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || len(prog.Inst) > maxRegexProgram {
		c.fail(r.at, "make its repetitions smaller", "the regular expression is too big")
		return false
	}
	if a.re, err = regexp.Compile(re); err != nil {
		c.fail(r.at, "", "not a regular expression: %v", err)
		return false
	}
	a.unless = newPrefilter(tree)
	return true
}

// literal converts a literal to the class of the other side.
func (c *compiler) literal(cls class, o *operand, s *side, out *val, text *string) bool {
	*text = s.show()
	ok, want := false, ""
	switch cls {
	case classText:
		if ok = s.kind == textLiteral; ok {
			out.text = s.text
			return c.lowerCase(o, s)
		}
		want = "write " + strconv.Quote(s.show())
	case classNumber:
		out.num = s.num
		ok = s.kind == numberLiteral
		var n number
		if s.kind == textLiteral && parseNumber(s.text, &n) {
			want = "write " + n.show()
		}
	case classBool:
		ok, want = s.kind == boolLiteral, "write true or false"
		if s.is {
			out.n = 1
		}
	case classTime:
		want = `write a time such as "2026-10-10T13:55:36Z" or "2026-10-10"`
		out.n, ok = timeLiteral(s)
	case classAddr:
		want = "write an address in quotes"
		if ok = s.kind == textLiteral; ok {
			out.addr, ok = event.ParseAddr(s.text)
			*text = strconv.Quote(out.addr.String())
			if strings.Contains(s.text, "/") {
				want = fmt.Sprintf("write: %s in cidr(%s)", o.name, s.show())
			}
		}
	case classNet:
		want = `write a network such as "203.0.113.0/24"`
		var p netip.Prefix
		if ok = s.kind == textLiteral; ok {
			var err error
			p, err = netip.ParsePrefix(s.text)
			out.net, ok = p, err == nil && p == p.Masked()
		}
	}
	if !ok {
		c.fail(s.at, want, "%s is %s, and %s is not %s", o.name, o.describe(), s.show(), cls)
	}
	return ok
}

func timeLiteral(s *side) (int64, bool) {
	switch {
	case s.kind == textLiteral && len(s.text) == len("2026-10-10"):
		return event.ParseTime(s.text + "T00:00:00Z")
	case s.kind == textLiteral && len(s.text) >= 19:
		return event.ParseTime(s.text)
	case s.kind == numberLiteral && s.num.whole:
		return event.ParseEpoch(strconv.FormatInt(s.num.i, 10))
	}
	return 0, false
}
