package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// Options is what compiling rules needs besides the rules.
type Options struct {
	// Schema has the units' fields: see ExtendSchema.
	Schema *event.Schema
	// Lists is what `in list("name")` finds; nil: no lists.
	Lists *lists.Registry
	// Catalog is the datasets that there are; a rule that looks at another, or at a field that none of its datasets fills, is warned of.
	// nil: no warnings.
	Catalog Catalog
	// Allowed is the values that a field can have; nil where it is free. A rule that compares with another value is warned of.
	Allowed func(field string) []string
	// Controls is the ids that rules may name as controls; nil: any.
	Controls []string
	// AsWritten leaves overrides out, after checking them, and evaluates disabled rules too: it is for the tests inside rules, which say
	// what the rule does as its file has it.
	AsWritten bool
}

// Catalog says what events there can be.
type Catalog interface {
	// Names is the names of all datasets.
	Names() []string
	// Fills says whether events of a dataset can have a field.
	Fills(dataset, field string) bool
}

// setCompiler compiles units into a set.
type setCompiler struct {
	opts       Options
	list       *diag.List
	conditions []placed // of the rule under way
	scratch    *sync.Pool
}

// placed is a condition with its place, for what Lint finds.
type placed struct {
	doc  conditionDoc
	cond *Condition
}

// Compile compiles units into a set. Every mistake is reported with its place; a rule with a mistake is not in the set, so that a
// caller who wants all or nothing looks at the list first. The set is never nil.
func Compile(units []*Unit, opts Options) (*Set, diag.List) {
	var list diag.List
	c := &setCompiler{opts: opts, list: &list, scratch: &sync.Pool{New: func() any { return event.New(opts.Schema) }}}
	set := &Set{schema: opts.Schema, byID: map[string]*Rule{}, options: opts}
	first := map[string]*Unit{}
	overrides := map[string][]*overrideDoc{}
	for _, u := range units {
		if u.Override {
			if !u.broken {
				overrides[u.ID] = append(overrides[u.ID], u.override)
			}
			continue
		}
		if before, dup := first[u.ID]; dup && u.ID != "" {
			u.rule.idAt.Into(&list).Errorf("there is already a rule %s, in %s:%d", u.ID, before.File, before.Line).Hint("ids are unique; to tune a rule write an override")
			continue
		}
		first[u.ID] = u
		if r, ok := c.rule(u); ok && !u.broken {
			set.rules = append(set.rules, r)
			set.byID[r.ID] = r
		}
	}
	c.overrides(set, first, overrides)
	slices.SortFunc(set.rules, func(a, b *Rule) int { return strings.Compare(a.ID, b.ID) })
	for i, r := range set.rules {
		r.setIndex(i)
	}
	return set, list
}

func (r *Rule) setIndex(i int) {
	r.index = i
	for _, list := range r.variants {
		for _, v := range list {
			v.rule.index = i
		}
	}
}

// rule compiles one rule. Mistakes are reported; false means that there was one.
func (c *setCompiler) rule(u *Unit) (*Rule, bool) {
	before := len(*c.list)
	d := u.rule
	c.conditions = nil
	plain := d.plain
	r := &plain
	r.File, r.Line, r.schema, r.scratch = u.File, u.Line, c.opts.Schema, c.scratch
	r.Where = c.condition(d.where, ConditionOptions{})
	r.Except = c.exceptions(d.except, 0)
	r.exceptions = len(r.Except)
	r.globs = slices.Clone(r.Source.Datasets)
	if r.Count != nil {
		count := *r.Count
		r.keys, count.By = c.keys(d.by)
		r.Count = &count
	}
	r.Severity = c.severities(r, d.severity)
	c.alert(r, d)
	c.evidence(r)
	c.checkPlain(r, d)
	c.tests(r, d)
	r.conditions = c.conditions
	if c.opts.AsWritten && r.Mode == Disabled {
		r.Mode = Shadow
	}
	r.hash()
	return r, !(*c.list)[before:].HasErrors()
}

// condition compiles a condition and reports its problems at their places.
func (c *setCompiler) condition(d conditionDoc, opts ConditionOptions) *Condition {
	if d.tree == nil {
		return nil
	}
	opts.Lists = c.opts.Lists
	cond, problems := compileParsed(d.tree, c.opts.Schema, opts)
	for _, p := range problems {
		d.report(d.node.Into(c.list), p)
	}
	if len(problems) > 0 {
		return nil
	}
	c.conditions = append(c.conditions, placed{d, cond})
	return cond
}

// exceptions compiles exceptions, and numbers them from first.
func (c *setCompiler) exceptions(docs []exceptDoc, first int) []Exception {
	var out []Exception
	for _, x := range docs {
		if w := c.condition(x.where, ConditionOptions{Guarded: true}); w != nil {
			out = append(out, Exception{Where: w, Until: x.until, Why: x.why, number: first + len(out)})
		}
	}
	return out
}

func (c *setCompiler) severities(r *Rule, docs []severityDoc) []SeverityCase {
	var out []SeverityCase
	for _, d := range docs {
		s := SeverityCase{Is: d.is, When: c.condition(d.when, ConditionOptions{Count: true})}
		if s.When != nil {
			c.carry(r, s.When)
		}
		out = append(out, s)
	}
	return out
}

// carry notes the fields that a severity's condition needs of the event.
func (c *setCompiler) carry(r *Rule, cond *Condition) {
	for i, name := range cond.Fields() {
		id := cond.FieldIDs()[i]
		t := c.opts.Schema.Type(id)
		if t != event.Elements {
			r.carryKey(operand{name: name, field: name, id: id, typ: t, cls: classOf(t)})
		}
	}
}

func (r *Rule) carryKey(o operand) {
	if r.Count != nil && slices.Contains(r.Count.By, o.name) || slices.Contains(r.Carry, o.name) {
		return
	}
	r.Carry = append(slices.Clip(r.Carry), o.name)
	r.carry = append(slices.Clip(r.carry), o)
}

// keys compiles names of fields, each of which may be subnet(field, 24, 64).
func (c *setCompiler) keys(docs []textDoc) ([]operand, []string) {
	var ops []operand
	names := []string{}
	for _, d := range docs {
		o, ok := c.key(d, 0, d.text)
		if !ok {
			continue
		}
		if slices.Contains(names, o.name) {
			d.node.Into(c.list).Errorf("%s is named twice", o.name)
			continue
		}
		ops, names = append(ops, o), append(names, o.name)
	}
	return ops, names
}

// key compiles one of them. Its name is the field's own, or the normal form of subnet.
func (c *setCompiler) key(d textDoc, at int, text string) (operand, bool) {
	o, bad := compileKey(text, c.opts.Schema)
	for _, p := range bad {
		d.node.Into(c.list).ErrorfAt(at+p.at, "%s", p.message).Hint("%s", p.hint)
	}
	return o, len(bad) == 0
}

func compileKey(text string, s *event.Schema) (operand, []problem) {
	if id, ok := s.Lookup(text); ok { // names that conditions write otherwise, such as @timestamp, stand here as they are
		if t := s.Type(id); t != event.Object && t != event.Elements {
			return operand{name: text, field: text, id: id, typ: t, cls: classOf(t)}, nil
		}
	}
	p, bad := parse(text)
	if bad != nil {
		return operand{}, []problem{*bad}
	}
	c := &compiler{parsed: p, schema: s}
	name, _, isCall := callOf(p.root)
	_, _, isPath := path(p.root)
	if !isPath && (!isCall || name != "subnet") {
		c.fail(0, "write source.ip, or subnet(source.ip, 24, 64)", "%s is not a field", text)
		return operand{}, c.problems
	}
	side, ok := c.operandSide(p.root)
	if !ok || side.op == nil {
		return operand{}, c.problems
	}
	o := *side.op
	if o.fn == noFunction {
		o.name = o.field
		if o.typ == event.Object {
			c.fail(0, "name a field within it", "%s is a whole object", o.name)
		}
	}
	return o, c.problems
}

// alert compiles what the rule says: title, incident_by, quiet and responses.
func (c *setCompiler) alert(r *Rule, d *ruleDoc) {
	text := d.title.text
	if text == "" {
		text = strings.NewReplacer("{{", "{", "}}", "}").Replace(r.Title)
	}
	tmpl, _ := parseTemplate(text) // a mistake was reported when the file was read
	if tmpl != nil {
		for i := range tmpl.parts {
			c.templatePart(r, d.title, &tmpl.parts[i])
		}
		r.TitleTemplate = tmpl
	}
	if d.hasGroup || r.Count == nil {
		ops, names := c.keys(d.incidentBy)
		r.IncidentBy = names
		for _, o := range ops {
			r.carryKey(o)
		}
		if r.Count == nil {
			r.keys = ops
		}
	} else {
		r.IncidentBy = slices.Clone(r.Count.By)
	}
	if r.Count != nil {
		switch {
		case r.Quiet == 0:
			r.Quiet = r.Count.Within
		case r.Quiet < r.Count.Within:
			d.quietAt.Into(c.list).Errorf("is shorter than within, %s", r.Count.Within).Hint("an episode lasts at least as long as the window")
		}
	}
	for i, f := range d.respond {
		if o, ok := c.key(f, 0, f.text); ok && i < len(r.Respond) {
			r.Respond = slices.Clone(r.Respond)
			r.Respond[i].Field = o.name
			r.carryKey(o)
		}
	}
}

func (c *setCompiler) templatePart(r *Rule, d textDoc, p *templatePart) {
	if p.name == "" || p.name == countName {
		return
	}
	if o, ok := c.key(d, p.at, p.name); ok {
		p.name = o.name
		r.carryKey(o)
	}
}

func (c *setCompiler) checkPlain(r *Rule, d *ruleDoc) {
	if c.opts.Controls != nil {
		for i, id := range r.Controls {
			if !slices.Contains(c.opts.Controls, id) {
				d.controlsAt[i].Into(c.list).Errorf("there is no control %s", id).Hint("%s", diag.DidYouMean(id, c.opts.Controls))
			}
		}
	}
}

// tests checks the fields and keys that tests name.
func (c *setCompiler) tests(r *Rule, d *ruleDoc) {
	names := r.IncidentBy
	if r.Count != nil {
		names = r.Count.By
	}
	for _, t := range d.tests {
		for i, a := range t.alerts {
			c.expectedKey(&t.test.Alerts[i], a, names)
		}
		for _, run := range t.test.runs {
			for _, f := range run.fields {
				c.testField(f)
			}
		}
		r.Tests = append(r.Tests, t.test)
	}
}

func (c *setCompiler) expectedKey(a *ExpectedAlert, d alertDoc, names []string) {
	at := d.key.Into(c.list)
	for written, value := range a.Key {
		name := written
		if o, bad := compileKey(written, c.opts.Schema); len(bad) == 0 {
			name = o.name
		}
		if !slices.Contains(names, name) {
			at.Errorf("%s is not part of the rule's key", written).Hint("the key has %s", strings.Join(names, ", "))
		}
		if name != written {
			delete(a.Key, written)
			a.Key[name] = value
		}
	}
	if a.Key != nil && len(a.Key) < len(names) {
		at.Errorf("lacks a part of the rule's key").Hint("the key has %s", strings.Join(names, ", "))
	}
}

func (c *setCompiler) testField(f testField) {
	name := f.name
	if slices.ContainsFunc(f.values, func(v testValue) bool { return v.kind == event.Raw }) {
		name += elementsSuffix
	}
	id, ok := c.opts.Schema.Lookup(name)
	at := f.node.Into(c.list)
	if !ok {
		at.Errorf("unknown field %s", f.name).Hint("%s", diag.DidYouMean(f.name, c.opts.Schema.Names()))
		return
	}
	for _, v := range f.values {
		e := event.New(c.opts.Schema)
		if v.kind != event.Raw && !e.Add(id, numbered(v.text, 1)) {
			at.Errorf("is of type %s, and %q is not", c.opts.Schema.Type(id), v.text)
		}
	}
}

// hash sets Version and Basis.
func (r *Rule) hash() {
	datasets := slices.Clone(r.Source.Datasets)
	slices.Sort(datasets)
	where := ""
	if r.Where != nil {
		where = r.Where.String()
	}
	basis := []string{"datasets", strings.Join(slices.Compact(datasets), "\n"), "where", where, "together", fmt.Sprint(r.Together)}
	if r.Count != nil {
		basis = append(basis, "count", strings.Join(r.Count.By, "\n"), r.Count.Within.String())
	}
	r.Basis = digest(basis)
	version := append(basis, "except")
	for _, x := range r.Except {
		version = append(version, x.Where.String(), fmt.Sprint(x.Until))
	}
	if r.Count != nil {
		version = append(version, "at_least", fmt.Sprint(r.Count.AtLeast))
	}
	r.Version = digest(version)
}

func digest(parts []string) uint64 {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
