package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// countName is what stands for the number that a memory clause has counted, in severities and texts.
const countName = "count"

// elementsSuffix marks the field that holds the raw array of a path, for tests of one element at a time.
const elementsSuffix = "[]"

// ConditionFields is the names of the fields that a condition needs, sorted, before there is a schema that has them: `path[]` is
// the array of objects at path. Only mistakes of syntax are reported, with lines and columns of the text.
func ConditionFields(src string) ([]string, diag.List) {
	p, bad := parse(src)
	if bad != nil {
		return nil, diag.List{bad.diagnostic("condition", src)}
	}
	return p.names(), nil
}

func (p *parsed) names() []string {
	var names []string
	walk(p.root, func(n ast.Node) bool {
		if name, element, ok := path(n); ok {
			if !element && name != countName {
				names = append(names, fieldName(name))
			}
			return false
		}
		if b, ok := n.(*ast.BuiltinNode); ok && len(b.Arguments) == 2 && (b.Name == "any" || b.Name == "all") {
			if name, element, ok := path(b.Arguments[0]); ok && !element && len(elementNames(b.Arguments[1])) > 0 {
				names = append(names, fieldName(name)+elementsSuffix)
				b = &ast.BuiltinNode{Arguments: b.Arguments[1:]}
			}
			for _, a := range b.Arguments {
				names = append(names, (&parsed{root: a}).names()...)
			}
			return false
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// elementNames is the names below the current element (`.x`) that a predicate reads, sorted.
func elementNames(n ast.Node) []string {
	var names []string
	walk(n, func(n ast.Node) bool {
		name, element, ok := path(n)
		if ok && element && name != "" {
			names = append(names, name)
		}
		return !ok
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// walk visits a node and, where visit answers true, what is below it.
func walk(n ast.Node, visit func(ast.Node) bool) {
	if n == nil || !visit(n) {
		return
	}
	switch x := n.(type) {
	case *ast.UnaryNode:
		walk(x.Node, visit)
	case *ast.BinaryNode:
		walk(x.Left, visit)
		walk(x.Right, visit)
	case *ast.ConditionalNode:
		walk(x.Cond, visit)
		walk(x.Exp1, visit)
		walk(x.Exp2, visit)
	case *ast.CallNode:
		for _, a := range x.Arguments {
			walk(a, visit)
		}
	case *ast.BuiltinNode:
		for _, a := range x.Arguments {
			walk(a, visit)
		}
	case *ast.PredicateNode:
		walk(x.Node, visit)
	case *ast.ArrayNode:
		for _, e := range x.Nodes {
			walk(e, visit)
		}
	case *ast.MemberNode:
		walk(x.Node, visit)
	case *ast.ChainNode:
		walk(x.Node, visit)
	}
}

// ExtendSchema adds to a schema the vendor fields among names: those below a field of type object, as untyped fields, and
// `path[]` where path is a vendor field or has fields below it. Other names that the schema does not have are left out; compiling
// what names them says so.
func ExtendSchema(s *event.Schema, names []string) (*event.Schema, error) {
	var add []event.Field
	groups := map[string]bool{}
	for _, f := range s.Fields() {
		for name := f.Name; ; {
			i := strings.LastIndexByte(name, '.')
			if i < 0 {
				break
			}
			name = name[:i]
			groups[name] = true
		}
	}
	for _, name := range names {
		if _, ok := s.Lookup(name); ok {
			continue
		}
		base, elements := strings.CutSuffix(name, elementsSuffix)
		_, known := s.Lookup(base)
		switch {
		case elements && (known || groups[base] || underVendor(s, base)):
			add = append(add, event.Field{Name: name, Type: event.Elements})
		case !elements && underVendor(s, base):
			add = append(add, event.Field{Name: name, Type: event.Untyped})
		}
	}
	return s.Extend(add...)
}

// underVendor says whether a name lies below a field that holds a vendor's own object.
func underVendor(s *event.Schema, name string) bool {
	for i := range len(name) {
		if name[i] == '.' {
			if id, ok := s.Lookup(name[:i]); ok && s.Type(id) == event.Object {
				return true
			}
		}
	}
	return false
}
