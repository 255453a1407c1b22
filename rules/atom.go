package rules

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// atomOp is what an atom tests.
type atomOp uint8

const (
	opHas      atomOp = iota // the field has a value, or the other one has
	opEqual                  // a value equals the literal, or a value of the other field
	opLess                   // a value is smaller
	opAtMost                 // smaller or equal
	opMore                   // greater
	opAtLeast                // greater or equal
	opContains               // the text holds the other
	opPrefix                 // the text begins with the other
	opSuffix                 // the text ends with the other
	opMatches                // the text matches the regular expression
	opOneOf                  // a value is one of the literals
	opBetween                // a number lies between two, both included
	opListed                 // a value is in the named list
	opWithin                 // an address lies in one of the networks
	opAny                    // some element of an array of objects meets a condition
	opAll                    // there is an element, and every one meets the condition
)

// atom is one test. It is immutable. It holds if any value of its field passes; a field without a value fails it.
type atom struct {
	op     atomOp
	cls    class // what both sides are compared as
	fold   bool  // without regard to case
	left   operand
	right  *operand // the other field; nil: none, or a literal
	lit    val      // opEqual to opSuffix, and the lower end of opBetween
	high   number   // opBetween
	set    *literals
	re     *regexp.Regexp
	unless *prefilter // of re, or nil
	list   *lists.List
	nets   []netip.Prefix
	elems  *elements
	// The test in the language, normalised: subject, operator and object; only the subject for has, any and all.
	subject, operator, object string
}

// String is the test in the language.
func (a *atom) String() string {
	if a.operator == "" {
		return a.subject
	}
	return a.subject + " " + a.operator + " " + a.object
}

// negated is the test's negation in the language.
func (a *atom) negated() string {
	switch a.operator {
	case "":
		return "not " + a.subject
	case "==":
		return a.subject + " != " + a.object
	case "in", "contains", "startsWith", "endsWith", "matches":
		return a.subject + " not " + a.operator + " " + a.object
	}
	return "not (" + a.String() + ")"
}

// literals is the right side of `in [...]`, of one class.
type literals struct {
	texts map[string]struct{} // where there are more than a few
	addrs map[netip.Addr]struct{}
	whole map[int64]struct{} // numbers that a float64 holds exactly
	vals  []val
}

// fewLiterals is up to how many literals are compared one after the other.
const fewLiterals = 6

// index makes a set of many literals.
func (s *literals) index(cls class) {
	if len(s.vals) <= fewLiterals {
		return
	}
	switch cls {
	case classText:
		s.texts = make(map[string]struct{}, len(s.vals))
		for i := range s.vals {
			s.texts[s.vals[i].text] = struct{}{}
		}
	case classAddr:
		s.addrs = make(map[netip.Addr]struct{}, len(s.vals))
		for i := range s.vals {
			s.addrs[s.vals[i].addr] = struct{}{}
		}
	case classNumber:
		whole := make(map[int64]struct{}, len(s.vals))
		for i := range s.vals {
			n := s.vals[i].num
			if !n.whole || n.i > maxExact || n.i < -maxExact {
				return
			}
			whole[n.i] = struct{}{}
		}
		s.whole = whole
	}
}

// maxExact is the greatest whole number up to which every one has a float64 of its own.
const maxExact = 1 << 53

func (s *literals) has(cls class, v *val) bool {
	ok := false
	switch {
	case s.texts != nil:
		_, ok = s.texts[v.text]
	case s.addrs != nil:
		_, ok = s.addrs[v.addr]
	case s.whole != nil:
		n := v.num.i
		if !v.num.whole {
			if n = int64(v.num.f); float64(n) != v.num.f {
				return false
			}
		}
		_, ok = s.whole[n]
	default:
		for i := range s.vals {
			if compareVals(opEqual, cls, v, &s.vals[i]) {
				return true
			}
		}
	}
	return ok
}

func (a *atom) eval(x *env) bool {
	switch a.op {
	case opHas:
		return a.left.first(x) != nil || a.right != nil && a.right.first(x) != nil
	case opAny, opAll:
		return a.elems.eval(x, a.op == opAll)
	case opEqual:
		if a.cls == classText && a.right == nil && a.left.fn == noFunction && !a.fold {
			return a.equalText(x)
		}
	}
	var l val
	if a.left.count {
		l.num = wholeNumber(x.count)
		return a.test(x, &l)
	}
	e := a.left.holder(x)
	for v := a.left.first(x); v != nil; v = a.left.next(x, v) {
		if a.left.value(e, v, a.cls, a.fold, &l) && a.test(x, &l) {
			return true
		}
	}
	return false
}

// equalText is the most frequent test, without the detours.
func (a *atom) equalText(x *env) bool {
	for v := a.left.first(x); v != nil; v = a.left.next(x, v) {
		if v.Text() == a.lit.text {
			return true
		}
	}
	return false
}

// test says whether one value of the left side passes.
func (a *atom) test(x *env, l *val) bool {
	switch a.op {
	case opMatches:
		return (a.unless == nil || !a.unless.excludes(l.text)) && a.re.MatchString(l.text)
	case opOneOf:
		return a.set.has(a.cls, l)
	case opBetween:
		return l.num.compare(a.lit.num) >= 0 && l.num.compare(a.high) <= 0
	case opListed:
		if a.cls == classAddr {
			return a.list.HasAddr(l.addr)
		}
		return a.list.HasText(l.text) || a.list.HasAddrs() && listedAddr(a.list, l.text)
	case opWithin:
		for _, p := range a.nets {
			if p.Contains(l.addr) {
				return true
			}
		}
		return false
	}
	if a.right == nil {
		return compareVals(a.op, a.cls, l, &a.lit)
	}
	var r val
	if a.right.count {
		r.num = wholeNumber(x.count)
		return compareVals(a.op, a.cls, l, &r)
	}
	e := a.right.holder(x)
	for v := a.right.first(x); v != nil; v = a.right.next(x, v) {
		if a.right.value(e, v, a.cls, a.fold, &r) && compareVals(a.op, a.cls, l, &r) {
			return true
		}
	}
	return false
}

func compareVals(op atomOp, cls class, l, r *val) bool {
	switch op {
	case opContains:
		return strings.Contains(l.text, r.text)
	case opPrefix:
		return strings.HasPrefix(l.text, r.text)
	case opSuffix:
		return strings.HasSuffix(l.text, r.text)
	}
	c := 0
	switch cls {
	case classText:
		return l.text == r.text
	case classAddr:
		return l.addr == r.addr
	case classNet:
		return l.net == r.net
	case classBool:
		return l.n == r.n
	case classTime:
		c = number{i: l.n, whole: true}.compare(number{i: r.n, whole: true})
	case classNumber:
		c = l.num.compare(r.num)
	}
	switch op {
	case opEqual:
		return c == 0
	case opLess:
		return c < 0
	case opAtMost:
		return c <= 0
	case opMore:
		return c > 0
	case opAtLeast:
		return c >= 0
	}
	return false
}

// listedAddr looks up text that holds an address, as vendors' fields do.
func listedAddr(l *lists.List, text string) bool {
	a, ok := event.ParseAddr(text)
	return ok && l.HasAddr(a)
}
