// Package rules turns rule files into a compiled set, and says which rules an event meets.
//
// Conditions are written in the language of expr-lang.org, every test of which is replaced by one over the event's fields: so that
// absence, lists and types mean what the documentation of rules says. Nothing here has a goroutine, a clock or I/O beyond reading
// files at load: the same event always gets the same answer.
package rules

import (
	"slices"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// ConditionOptions says what a condition may use.
type ConditionOptions struct {
	// Lists is what `in list("name")` finds; nil: no lists.
	Lists *lists.Registry
	// Name stands as the file in diagnostics; "" is "condition".
	Name string
	// Count allows the name `count`, the number that a memory clause has counted.
	Count bool
	// Guarded makes an error of a negation that holds where its field is absent, unless presence is tested too.
	Guarded bool
}

// Condition is a compiled condition. It is immutable and safe for concurrent use.
type Condition struct {
	root     *node
	fields   []string
	ids      []event.FieldID
	program  *program // nil: root runs natively
	machines sync.Pool
}

// CompileCondition compiles a condition over a schema's fields. Every mistake is reported at once, with lines and columns of the
// text; the condition is nil then.
func CompileCondition(src string, s *event.Schema, opts ConditionOptions) (*Condition, diag.List) {
	c, problems := compileCondition(src, s, opts)
	var out diag.List
	for _, p := range problems {
		name := opts.Name
		if name == "" {
			name = "condition"
		}
		out = append(out, p.diagnostic(name, src))
	}
	if len(out) > 0 {
		return nil, out
	}
	return c, nil
}

func (p problem) diagnostic(file, src string) diag.Diagnostic {
	before := src[:min(p.at, len(src))]
	line := strings.Count(before, "\n")
	column := len(before) - strings.LastIndexByte(before, '\n')
	return diag.Diagnostic{File: file, Line: line + 1, Column: column, Message: p.message, Hint: p.hint, Warning: p.warning}
}

func compileCondition(src string, s *event.Schema, opts ConditionOptions) (*Condition, []problem) {
	p, bad := parse(src)
	if bad != nil {
		return nil, []problem{*bad}
	}
	return compileParsed(p, s, opts)
}

func compileParsed(p *parsed, s *event.Schema, opts ConditionOptions) (*Condition, []problem) {
	c := &compiler{parsed: p, schema: s, opts: opts}
	root := c.condition(p.root)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	if opts.Guarded {
		for _, u := range unguarded(root) {
			c.problems = append(c.problems, u.problem(false))
		}
	}
	out := &Condition{root: root}
	out.collectFields()
	if !root.native() {
		prog, err := assemble(root)
		if err != nil {
			c.fail(0, "", "cannot be compiled: %v", err)
			return nil, c.problems
		}
		out.program = prog
	}
	return out, c.problems
}

func (c *Condition) collectFields() {
	seen := map[string]event.FieldID{}
	c.root.each(false, func(a *atom, _ bool) {
		for _, o := range []*operand{&a.left, a.right} {
			if o != nil && !o.element && !o.count {
				name := o.field
				if o.elements {
					name += elementsSuffix
				}
				seen[name] = o.id
			}
		}
	})
	for name := range seen {
		c.fields = append(c.fields, name)
	}
	slices.Sort(c.fields)
	for _, name := range c.fields {
		c.ids = append(c.ids, seen[name])
	}
}

// Eval says whether an event meets the condition. It allocates nothing in the steady state.
func (c *Condition) Eval(e *event.Event) bool { return c.evalCount(e, 1) }

// evalCount is Eval with what the name `count` stands for.
func (c *Condition) evalCount(e *event.Event, count int64) bool {
	if c.program == nil {
		x := env{e: e, count: count}
		return c.root.eval(&x)
	}
	m, _ := c.machines.Get().(*machine)
	if m == nil {
		m = &machine{}
	}
	ok := m.run(c.program, e, count)
	c.machines.Put(m)
	return ok
}

// Fields is the names of the fields that the condition looks at, sorted. The caller must not write to it.
func (c *Condition) Fields() []string { return c.fields }

// Unguarded is the tests that also hold where their field is absent, though nothing beside them says that this is meant: each in
// words, such as `user.name != "x" also holds where user.name is absent`.
func (c *Condition) Unguarded() []string {
	var out []string
	for _, u := range unguarded(c.root) {
		out = append(out, u.problem(true).message)
	}
	return out
}

// FieldIDs is the ids of Fields, in the same order.
func (c *Condition) FieldIDs() []event.FieldID { return c.ids }

// String is the condition in one normal form, whatever its blanks, quotes and brackets were.
func (c *Condition) String() string { return c.root.String() }
