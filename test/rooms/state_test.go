package rooms

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestNoMutableState: state lives in values that somebody owns. A package variable is a table that no function writes to, and
// nothing runs before main.
func TestNoMutableState(t *testing.T) {
	_, packages := load(t)
	for _, p := range packages {
		for _, finding := range writes(p) {
			t.Error(finding)
		}
	}
}

// writes finds functions that assign to a variable of their package, to an element of one, or lend it; and init.
func writes(p pkg) []string {
	names, specs := packageVariables(p)
	var findings []string
	note := func(e ast.Expr, what string) {
		// A name is resolved within its file: to nothing if another file of the package declares it.
		if id := root(e); id != nil && names[id.Name] && (id.Obj == nil || specs[id.Obj.Decl]) {
			findings = append(findings, fmt.Sprintf("%s: %s %s, a variable of the package", p.fset.Position(id.Pos()), what, id.Name))
		}
	}
	for _, file := range p.files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if f.Name.Name == "init" && f.Recv == nil {
				findings = append(findings, fmt.Sprintf("%s: init", p.fset.Position(f.Pos())))
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, e := range n.Lhs {
						if n.Tok != token.DEFINE {
							note(e, "assigns to")
						}
					}
				case *ast.IncDecStmt:
					note(n.X, "counts in")
				case *ast.UnaryExpr:
					// The address of one element is how a large one is read without a copy.
					if _, element := n.X.(*ast.IndexExpr); n.Op == token.AND && !element {
						note(n.X, "takes the address of")
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
						note(n.Args[0], f.Name+" changes")
					}
				}
				return true
			})
		}
	}
	return findings
}

// packageVariables returns the names of a package's variables, and the declarations they stand in.
func packageVariables(p pkg) (names map[string]bool, specs map[any]bool) {
	names, specs = make(map[string]bool), make(map[any]bool)
	for _, file := range p.files {
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				specs[spec] = true
				for _, name := range spec.(*ast.ValueSpec).Names {
					names[name.Name] = name.Name != "_"
				}
			}
		}
	}
	return names, specs
}

// root returns the variable that an expression leads to: `table` of `table[i].field`.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func TestWritesFinds(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"reading", `var table = map[string]int{}; func f() int { return table["x"] }`, ""},
		{"a local of the same name", `var n = 1; func f() { n := 2; n++; n = 3; _ = &n }`, ""},
		{"a parameter of the same name", `var n = 1; func f(n int) { n = 3 }`, ""},
		{"a field of the same name", `var n = 1; type s struct{ n int }; func (x *s) f() { x.n = 3 }`, ""},
		{"another variable", `func f() { var n int; n = 3; _ = n }`, ""},
		{"a local declared by var", `var n = 1; func f() { var n int; n = 3; _ = n }`, ""},
		{"reading an element in place", `var table [3]struct{ a int }; func f() int { return (&table[1]).a }`, ""},
		{"a method that is called init", `type s struct{}; func (s) init() {}`, ""},

		{"assigning", `var n = 1; func f() { n = 2 }`, "assigns to n"},
		{"an element", `var table = map[string]int{}; func f() { table["x"] = 1 }`, "assigns to table"},
		{"a field of an element", `var table [3]struct{ a int }; func f() { table[1].a = 1 }`, "assigns to table"},
		{"counting", `var n = 1; func f() { n++ }`, "counts in n"},
		{"lending", `var n = 1; func f() *int { return &n }`, "takes the address of n"},
		{"deleting", `var table = map[string]int{}; func f() { delete(table, "x") }`, "delete changes table"},
		{"init", `func init() {}`, "init"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pkg{path: "p", fset: token.NewFileSet()}
			file, err := parser.ParseFile(p.fset, "p.go", "package p; "+c.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			p.files = []*ast.File{file}
			got := writes(p)
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
				t.Errorf("finds %q, want %q", got, c.want)
			}
		})
	}
}
