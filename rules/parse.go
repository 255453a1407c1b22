package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// Bounds on one condition. Parser and compiler recurse, and a stack that overflows cannot be recovered from.
const (
	maxSourceBytes = 256 << 10
	maxSourceNodes = 20_000
	maxSourceDepth = 128
)

// problem is a mistake in a condition, at an offset in bytes.
type problem struct {
	at      int
	message string
	hint    string
	warning bool
}

// parsed is a condition's syntax tree with what is needed to say where its nodes stand.
type parsed struct {
	src    string
	root   ast.Node
	offset []int // byte offset by rune, nil where all is ASCII
	folded map[int]bool
}

// foldedOperators are the operators that disregard case, with the operator of expr that takes their place in the syntax tree. No
// replacement is longer, so that every position stays.
func foldedOperators() [5][2]string {
	return [5][2]string{{"iequals", "=="}, {"icontains", "contains"}, {"istartsWith", "startsWith"}, {"iendsWith", "endsWith"}, {"imatches", "matches"}}
}

func foldedOperator(word string) (string, bool) {
	for _, f := range foldedOperators() {
		if f[0] == word {
			return f[1], true
		}
	}
	return "", false
}

// parse reads a condition's syntax. At most one problem comes back: expr's parser stops at the first.
func parse(src string) (*parsed, *problem) {
	switch {
	case len(src) > maxSourceBytes:
		return nil, &problem{message: fmt.Sprintf("is %d bytes long, and at most %d are read", len(src), maxSourceBytes), hint: `put long lists into a list file and write: field in list("name")`}
	case !utf8.ValidString(src):
		return nil, &problem{message: "is not UTF-8 text"}
	case strings.TrimSpace(src) == "":
		return nil, &problem{message: "is an empty condition", hint: "leave it out to match everything"}
	}
	p := &parsed{src: src, folded: map[int]bool{}}
	p.index()
	tokens, err := lexer.Lex(file.NewSource(src))
	if err != nil {
		return nil, p.lexProblem(err)
	}
	text, bad := p.rewrite(tokens)
	if bad != nil {
		return nil, bad
	}
	tree, err := parser.ParseWithConfig(text, &conf.Config{MaxNodes: maxSourceNodes})
	if err != nil {
		return nil, p.parseProblem(err)
	}
	if tree.Node == nil {
		return nil, &problem{message: "is no condition"}
	}
	p.root = tree.Node
	return p, nil
}

// index fills the byte offsets of the runes, where they differ.
func (p *parsed) index() {
	if n := utf8.RuneCountInString(p.src); n < len(p.src) {
		p.offset = make([]int, 0, n+1)
		for i := range p.src {
			p.offset = append(p.offset, i)
		}
		p.offset = append(p.offset, len(p.src))
	}
}

// at is the byte offset of a rune.
func (p *parsed) at(r int) int {
	if p.offset == nil {
		return min(max(r, 0), len(p.src))
	}
	return p.offset[min(max(r, 0), len(p.offset)-1)]
}

func (p *parsed) lexProblem(err error) *problem {
	e := fileError(err)
	out := &problem{at: p.at(e.From), message: "cannot be read: " + e.Message}
	if strings.HasPrefix(p.src[out.at:], "@timestamp") {
		out.message, out.hint = "a name cannot begin with @ here", "write timestamp for @timestamp"
	} else if strings.HasPrefix(p.src[out.at:], "@") {
		out.message, out.hint = "a name cannot begin with @ here", `write field("…") for an odd name`
	} else if e.Message == "literal not terminated" {
		out.message, out.hint = "a text in quotes does not end", `write \" for a quote within it`
	} else if e.Message == "invalid char escape" {
		out.message, out.hint = "a backslash begins no escape sequence that is known", "double it, or write the text in backquotes: `\\d+`"
	}
	return out
}

func fileError(err error) *file.Error {
	var e *file.Error
	if errors.As(err, &e) {
		return e
	}
	return &file.Error{Message: err.Error()}
}

func (p *parsed) parseProblem(err error) *problem {
	e := fileError(err)
	out := &problem{at: p.at(e.From), message: "cannot be read: " + e.Message}
	switch {
	case strings.Contains(e.Message, "token EOF"), strings.Contains(e.Message, "unexpected end"):
		out.message = "ends too early"
	case strings.Contains(e.Message, "maximum allowed nodes"):
		out.at, out.message = 0, fmt.Sprintf("has more than %d parts", maxSourceNodes)
		out.hint = `split the rule, or put long lists into a list file and write: field in list("name")`
	case strings.HasPrefix(e.Message, "unexpected token"):
		word := e.Message[strings.IndexByte(e.Message, '(')+1:]
		out.message = strings.TrimSuffix(word, ")") + " is not expected here"
	}
	return out
}

// rewrite puts expr's own operators in the place of those that disregard case, and refuses what cannot mean anything here, in
// words that expr's parser does not have.
func (p *parsed) rewrite(tokens []lexer.Token) (string, *problem) {
	if bad := p.checkDepth(tokens); bad != nil {
		return "", bad
	}
	out := []byte(nil)
	for i, t := range tokens {
		if bad := p.refuse(tokens, i); bad != nil {
			return "", bad
		}
		if i == 0 || t.Kind != lexer.Identifier || !infix(tokens, i) {
			continue
		}
		op, ok := foldedOperator(t.Value)
		if !ok {
			return "", p.notOperator(t)
		}
		if op == "==" && tokens[i-1].Is(lexer.Operator, "not") {
			return "", &problem{at: p.at(t.From), message: "not cannot stand before " + t.Value, hint: "write not (a " + t.Value + " b)"}
		}
		if out == nil {
			out = []byte(p.src)
		}
		at := p.at(t.From)
		pad := len(t.Value) - len(op)
		copy(out[at:], strings.Repeat(" ", pad)+op)
		p.folded[t.From+pad] = true
		tokens[i].Kind = lexer.Operator
	}
	if out == nil {
		return p.src, nil
	}
	return string(out), nil
}

// infix says whether the identifier at i stands where only an operator can.
func infix(tokens []lexer.Token, i int) bool {
	before := tokens[i-1]
	if before.Is(lexer.Operator, "not") && i >= 2 {
		before = tokens[i-2]
	}
	switch before.Kind {
	case lexer.Identifier, lexer.String, lexer.Number, lexer.Bytes:
		return true
	case lexer.Bracket:
		return before.Value == ")" || before.Value == "]"
	}
	return false
}

func (p *parsed) notOperator(t lexer.Token) *problem {
	out := &problem{at: p.at(t.From), message: fmt.Sprintf("%s is no operator", t.Value)}
	switch l := strings.ToLower(t.Value); l {
	case "and", "or", "not", "in":
		out.hint = "write " + l + " in small letters"
	case "startswith":
		out.hint = "write startsWith"
	case "endswith":
		out.hint = "write endsWith"
	case "like", "regex", "re":
		out.hint = "write matches"
	case "is", "eq", "equals":
		out.hint = "write =="
	default:
		out.hint = "there are ==, !=, <, <=, >, >=, in, contains, startsWith, endsWith, matches, and the same without regard to case: iequals, icontains, istartsWith, iendsWith, imatches"
	}
	return out
}

// refuse names what stands at i and is not part of the language.
func (p *parsed) refuse(tokens []lexer.Token, i int) *problem {
	t := tokens[i]
	fail := func(hint, format string, args ...any) *problem {
		return &problem{at: p.at(t.From), message: fmt.Sprintf(format, args...), hint: hint}
	}
	switch {
	case t.Is(lexer.Bracket, "]") && i >= 2 && tokens[i-1].Is(lexer.Bracket, "[") && infix(tokens, i-1):
		return fail("leave [] out: a path runs through arrays; to test several fields of one element write any(path, .a == … and .b == …)", "[] is not part of a name")
	case t.Is(lexer.Operator, "="):
		return fail("write ==", "= is no comparison")
	case t.Is(lexer.Operator, "==", "!=") && i >= 2 && tokens[i-1].Is(lexer.Operator, "not") && infix(tokens, i):
		return fail("write !=, or not (a == b)", "not cannot stand before %s", t.Value)
	case t.Is(lexer.Operator, "&"):
		return fail("write and", "& is no operator")
	case t.Is(lexer.Operator, ";"), t.Is(lexer.Operator, "let"):
		return fail("a condition is one expression", "%s is not part of a condition", t.Value)
	case t.Is(lexer.Operator, "if"):
		return fail("write condition ? then : else", "if is not part of a condition")
	case t.Is(lexer.Operator, "|"):
		return fail("write the function around its argument, or `or` between conditions", "| is no operator")
	case t.Is(lexer.Operator, "??"), t.Is(lexer.Operator, "**"), t.Is(lexer.Operator, "^"):
		return fail("", "%s is no operator here", t.Value)
	case t.Is(lexer.Bracket, "{"):
		return fail("write a list in brackets: [a, b]", "{ is not part of a condition")
	}
	return nil
}

// checkDepth bounds everything that makes the parser call itself.
func (p *parsed) checkDepth(tokens []lexer.Token) *problem {
	depth, prefix, questions := 0, 0, 0
	for _, t := range tokens {
		switch {
		case t.Is(lexer.Bracket, "(", "[", "{"):
			depth++
		case t.Is(lexer.Bracket):
			depth--
		case t.Is(lexer.Operator, "?"):
			questions++
		}
		if t.Is(lexer.Operator, "not", "!", "-", "+") {
			prefix++
		} else {
			prefix = 0
		}
		if depth > maxSourceDepth || prefix > maxSourceDepth || questions > maxSourceDepth {
			return &problem{at: p.at(t.From), message: fmt.Sprintf("is nested deeper than %d levels", maxSourceDepth), hint: "split the condition"}
		}
	}
	return nil
}

// pos is the byte offset at which a node begins, or, for operators, at which the operator stands.
func (p *parsed) pos(n ast.Node) int {
	for {
		switch x := n.(type) {
		case nil:
			return 0
		case *ast.MemberNode:
			n = x.Node
			if ptr, ok := n.(*ast.PointerNode); ok {
				return p.at(ptr.Location().From)
			}
		case *ast.ChainNode:
			n = x.Node
		default:
			return p.at(n.Location().From)
		}
	}
}

// path is the dotted name that a chain of names stands for. element says that it begins at the current element (`.x`); whole
// that it is the element itself (`#`).
func path(n ast.Node) (name string, element, ok bool) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		return x.Value, false, true
	case *ast.PointerNode:
		return "", true, x.Name == ""
	case *ast.ChainNode:
		return path(x.Node)
	case *ast.MemberNode:
		property, isText := x.Property.(*ast.StringNode)
		name, element, ok = path(x.Node)
		switch {
		case !isText || !ok || x.Method:
			return "", false, false
		case name == "":
			return property.Value, element, true
		}
		return name + "." + property.Value, element, true
	case *ast.CallNode:
		callee, isName := x.Callee.(*ast.IdentifierNode)
		if !isName || callee.Value != "field" || len(x.Arguments) != 1 {
			return "", false, false
		}
		s, isText := x.Arguments[0].(*ast.StringNode)
		if !isText {
			return "", false, false
		}
		return s.Value, false, s.Value != ""
	}
	return "", false, false
}

// fieldName is the field that a written name means.
func fieldName(written string) string {
	if written == "timestamp" {
		return "@timestamp"
	}
	return written
}
