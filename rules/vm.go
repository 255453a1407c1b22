package rules

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	exprcompiler "github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
	"github.com/klaxonhq/klaxon/event"
)

// program is a condition for expr's machine: its own and, or, not and ?:, with every atom a call of Go code.
type program struct{ code *vm.Program }

// machine is what one evaluation at a time needs; it is reused.
type machine struct {
	vm  vm.VM
	env env
}

// assemble makes a program of a tree.
func assemble(n *node) (*program, error) {
	cfg := conf.CreateNew()
	cfg.MaxNodes = 0
	tree := &parser.Tree{Node: n.syntax(), Source: file.NewSource("")}
	if _, err := checker.Check(tree, cfg); err != nil {
		return nil, fmt.Errorf("expr does not accept the condition: %w", err)
	}
	code, err := exprcompiler.Compile(tree, cfg)
	if err != nil {
		return nil, fmt.Errorf("expr does not compile the condition: %w", err)
	}
	return &program{code}, nil
}

// syntax is the tree in expr's terms.
func (n *node) syntax() ast.Node {
	switch n.op {
	case nodeAtom:
		a := n.atom
		call := func(x any) bool { return a.eval(x.(*env)) }
		return &ast.CallNode{Callee: &ast.ConstantNode{Value: call}, Arguments: []ast.Node{&ast.IdentifierNode{Value: "$env"}}}
	case nodeAnd, nodeOr:
		op := "and"
		if n.op == nodeOr {
			op = "or"
		}
		return joinSyntax(op, n.kids)
	case nodeNot:
		return &ast.UnaryNode{Operator: "not", Node: n.kids[0].syntax()}
	case nodeIf:
		return &ast.ConditionalNode{Ternary: true, Cond: n.kids[0].syntax(), Exp1: n.kids[1].syntax(), Exp2: n.kids[2].syntax()}
	}
	return &ast.BoolNode{Value: n.is}
}

// joinSyntax halves a chain, so that the compiler's recursion stays flat however long it is.
func joinSyntax(op string, kids []*node) ast.Node {
	if len(kids) == 1 {
		return kids[0].syntax()
	}
	half := len(kids) / 2
	return &ast.BinaryNode{Operator: op, Left: joinSyntax(op, kids[:half]), Right: joinSyntax(op, kids[half:])}
}

// run evaluates the program. Atoms neither fail nor panic, and so the machine's error is not to be had.
func (m *machine) run(p *program, e *event.Event, count int64) bool {
	m.env = env{e: e, count: count}
	out, err := m.vm.Run(p.code, &m.env)
	m.env = env{}
	yes, _ := out.(bool)
	return yes && err == nil
}
