package datasets

import (
	"slices"
	"strconv"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// Condition is a compiled condition over an event.
type Condition interface {
	Eval(*event.Event) bool
}

// Options is what units are compiled against.
type Options struct {
	// Schema must hold the fields of every unit; see Extend.
	Schema *event.Schema
	// Compile compiles the conditions of units. The columns of its diagnostics count from the condition's beginning.
	Compile func(src string, s *event.Schema) (Condition, diag.List)
	// Lists is the lists that `lookup` may name; nil: none.
	Lists *lists.Registry
	// Topics says whose topics are, by their names or patterns of them, before anything that datasets claim by topic themselves. Of
	// several the one without * or ? wins, then the longer one. Names of datasets that do not exist claim nothing.
	Topics map[string]string
}

// Extend adds the base fields and those of every unit to a schema. Fields on whose type two units disagree are reported.
func Extend(s *event.Schema, units []*Unit) (*event.Schema, diag.List) {
	var list diag.List
	fields := BaseFields()
	owner := map[string]*Unit{}
	typ := map[string]event.Type{}
	for _, f := range append(fields, s.Fields()...) {
		typ[f.Name] = f.Type
	}
	for _, u := range units {
		for _, f := range u.own() {
			have, ok := typ[f.Name]
			if !ok || have == event.Untyped && s.ID(f.Name) == 0 {
				typ[f.Name], owner[f.Name] = f.Type, u
				continue
			}
			if have != f.Type && f.Type != event.Untyped {
				other := "ECS"
				if o := owner[f.Name]; o != nil {
					other = "the dataset " + o.name
				}
				u.declaredAt(f.Name).Errorf("the field %s is of type %s here, and of type %s in %s", f.Name, f.Type, have, other)
				u.flush(&list)
			}
		}
	}
	for _, u := range units {
		for _, f := range u.own() {
			fields = append(fields, event.Field{Name: f.Name, Type: typ[f.Name]})
		}
	}
	n, err := s.Extend(fields...)
	if err != nil {
		list = append(list, diag.Diagnostic{File: "datasets", Message: err.Error()})
		return s, list
	}
	return n, list
}

func (u *Unit) declaredAt(name string) diag.Node {
	for _, d := range u.declared {
		if d.name == name {
			return d.node
		}
	}
	return u.at
}

// Fields is every field that the unit needs in the schema, the base fields included.
func (u *Unit) Fields() []event.Field { return append(BaseFields(), u.own()...) }

// own is the fields beside the base fields: declared ones, scratch, those under the vendor's prefix, and what the JSON plan needs.
func (u *Unit) own() []event.Field {
	var out []event.Field
	seen := map[string]bool{}
	add := func(name string, t event.Type) {
		if name != "" && !seen[name] {
			seen[name] = true
			out = append(out, event.Field{Name: name, Type: t})
		}
	}
	for _, d := range u.declared {
		add(d.name, d.typ)
	}
	if u.json && u.vendor != "" {
		add(u.vendor, event.Object)
	}
	add(u.rest, event.Object)
	if u.unwrap.each != "" {
		add(u.eachField(), event.Elements)
	}
	named := func(n nameAt) {
		if u.isVendor(n.name) {
			add(n.name, event.Untyped)
		}
	}
	written := func(n nameAt) {
		if strings.HasPrefix(n.name, "$") {
			add(n.name, event.Keyword)
		}
		named(n)
	}
	u.names(named, written)
	for _, t := range u.tests {
		for _, x := range t.expect {
			for _, f := range x.fields {
				named(f.nameAt)
			}
		}
	}
	for _, m := range u.mappings {
		for i := range m.paths[1:] {
			add(u.hidden(m.to.name, i+1), event.Untyped)
		}
	}
	return out
}

func (u *Unit) isVendor(name string) bool {
	return u.vendor != "" && strings.HasPrefix(name, u.vendor+".")
}

func (u *Unit) eachField() string { return "$" + u.name + "/each" }

func (u *Unit) hidden(field string, i int) string {
	return "$" + u.name + "/" + field + "#" + strconv.Itoa(i)
}

// names calls read for every field that the unit reads, conditions included, and written for every field that it writes.
func (u *Unit) names(read, written func(nameAt)) {
	assigns := func(list []assignSpec) {
		for i := range list {
			written(list[i].to)
			list[i].value.names(read)
			for _, k := range list[i].value.cases {
				u.inCondition(k.when, read)
			}
		}
	}
	for _, m := range u.mappings {
		written(m.to)
	}
	for i := range u.steps {
		s := &u.steps[i]
		read(s.from)
		read(s.by)
		s.captured(func(n nameAt, _ decode.Type) { written(n) })
		s.each(func(p *patternSpec) { assigns(p.set) })
		assigns(s.other)
	}
	assigns(u.set)
	assigns(u.defaults)
	read(u.forwarded)
	for _, n := range u.redact {
		read(n)
	}
	u.inCondition(u.keep, read)
	for _, d := range u.drops {
		u.inCondition(d.when, read)
	}
}

// inCondition finds the vendor's fields that a condition names, so that they get slots. A name inside a text constant does no harm.
func (u *Unit) inCondition(c conditionSpec, read func(nameAt)) {
	if u.vendor == "" {
		return
	}
	for rest := c.src; ; {
		i := strings.Index(rest, u.vendor+".")
		if i < 0 {
			return
		}
		end := i
		for end < len(rest) && (rest[end] == '.' || rest[end] == '_' || rest[end] >= '0' && rest[end] <= '9' || rest[end]|32 >= 'a' && rest[end]|32 <= 'z') {
			end++
		}
		read(nameAt{name: strings.TrimRight(rest[i:end], "."), node: c.node})
		rest = rest[end:]
	}
}

// compiler compiles one unit.
type compiler struct {
	u       *Unit
	opts    Options
	scratch map[string]bool // what the unit writes
}

func compileUnit(u *Unit, opts Options) *Dataset {
	c := &compiler{u: u, opts: opts, scratch: map[string]bool{}}
	u.names(func(nameAt) {}, func(n nameAt) { c.scratch[n.name] = true })
	d := &Dataset{Name: u.name, JSON: u.json, Syslog: u.unwrap.syslog, Docker: u.unwrap.docker, Shares: u.claim.share.Exists(), eachKey: u.unwrap.each, schema: opts.Schema}
	if d.Shares && !d.Syslog {
		u.claim.share.Errorf("needs unwrap: [syslog], which is what names the program")
	}
	for _, f := range u.declared {
		if c.opts.Schema.ID(f.name) == 0 {
			f.node.Errorf("the schema lacks the field %s", f.name)
		}
	}
	if u.json {
		c.json(d)
	}
	for _, s := range u.steps {
		d.steps = append(d.steps, c.step(s))
	}
	d.sets = append(c.assigns(u.set, false), c.assigns(u.defaults, true)...)
	if u.forwarded.name != "" {
		d.forwarded = c.source(u.forwarded)
	}
	for _, n := range u.redact {
		if id := c.source(n); id != 0 {
			d.redact = append(d.redact, id)
		}
	}
	d.keep = c.condition(u.keep)
	for _, s := range u.drops {
		d.drops = append(d.drops, drop{c.condition(s.when), s.why})
	}
	return d
}

// target is the id of a field that the unit writes.
func (c *compiler) target(n nameAt) event.FieldID {
	switch n.name {
	case event.FieldEventID, event.FieldBad, event.FieldOriginal, event.FieldDataset, FieldBase64, FieldClaimed, FieldRepeated, FieldKeep, FieldDatabases:
		n.node.ErrorfAt(n.offset, "%s is set by klaxon itself", n.name)
		return 0
	}
	return c.lookupName(n)
}

// source is the id of a field that the unit reads.
func (c *compiler) source(n nameAt) event.FieldID {
	if strings.HasPrefix(n.name, "$") && !c.scratch[n.name] {
		var names []string
		for s := range c.scratch {
			if strings.HasPrefix(s, "$") {
				names = append(names, s)
			}
		}
		n.node.ErrorfAt(n.offset, "nothing fills the scratch field %s", n.name).Hint("%s", diag.DidYouMean(n.name, names))
		return 0
	}
	return c.lookupName(n)
}

func (c *compiler) lookupName(n nameAt) event.FieldID {
	id, ok := c.opts.Schema.Lookup(n.name)
	if ok {
		return id
	}
	if n.name == "" {
		return 0 // reported where it was read
	}
	hint := diag.DidYouMean(n.name, c.opts.Schema.Names())
	if hint == "" {
		hint = "declare it under fields, or put it under the vendor's prefix"
	}
	n.node.ErrorfAt(n.offset, "there is no field %s", n.name).Hint("%s", hint)
	return 0
}

func (c *compiler) condition(s conditionSpec) Condition {
	if s.src == "" {
		return nil
	}
	if c.opts.Compile == nil {
		s.node.Errorf("conditions cannot be compiled here")
		return nil
	}
	cond, list := c.opts.Compile(s.src, c.opts.Schema)
	for _, d := range list {
		var r diag.Report
		if offset := max(d.Column-1, 0); d.Warning {
			r = s.node.Warnf("%s", d.Message)
		} else {
			r = s.node.ErrorfAt(offset, "%s", d.Message)
		}
		r.Hint("%s", d.Hint)
	}
	if list.HasErrors() {
		return nil
	}
	return cond
}

// json builds the plan that sends the document's values to their fields.
func (c *compiler) json(d *Dataset) {
	u, s := c.u, c.opts.Schema
	var plan []event.Mapping
	for _, m := range u.mappings {
		id := c.target(m.to)
		if id == 0 {
			continue
		}
		plan = append(plan, event.Mapping{Path: m.paths[0], To: id})
		p := pick{to: id}
		for i, path := range m.paths[1:] {
			h := s.ID(u.hidden(m.to.name, i+1))
			plan = append(plan, event.Mapping{Path: path, To: h})
			p.from = append(p.from, h)
		}
		if len(p.from) > 0 {
			d.picks = append(d.picks, p)
		}
	}
	prefix := ""
	if u.vendor != "" {
		prefix = u.vendor + "."
		plan = append(plan, event.Mapping{To: s.ID(u.vendor)})
	}
	rest := event.FieldID(0)
	if u.rest != "" {
		rest, prefix = s.ID(u.rest), u.rest+"."
	}
	if prefix != "" {
		plan = append(plan, below(s, prefix)...)
	}
	if u.ecs {
		plan = append(plan, identity(s, u)...)
	}
	if u.unwrap.each != "" {
		d.each = s.ID(u.eachField())
		plan = append(plan, event.Mapping{Path: u.unwrap.each, To: d.each})
	}
	d.plan = event.NewPlan(s, rest, plan...)
}

// below maps what stands below a prefix to the fields of the schema there: the rules' fields among them.
func below(s *event.Schema, prefix string) []event.Mapping {
	var out []event.Mapping
	for _, f := range s.Fields() {
		if path, ok := strings.CutPrefix(f.Name, prefix); ok {
			out = append(out, event.Mapping{Path: strings.TrimSuffix(path, "[]"), To: s.ID(f.Name)})
		}
	}
	return out
}

// identity maps every ECS field to itself. What klaxon sets itself is not taken from a document, nor is what the unit maps.
func identity(s *event.Schema, u *Unit) []event.Mapping {
	var out []event.Mapping
	for _, f := range s.Fields() {
		if strings.HasPrefix(f.Name, "$") || strings.HasPrefix(f.Name, "klaxon.") || f.Name == event.FieldOriginal || f.Name == event.FieldDataset ||
			f.Type == event.Untyped || u.rest != "" && strings.HasPrefix(f.Name+".", u.rest+".") {
			continue
		}
		path := strings.TrimSuffix(f.Name, "[]")
		if !slices.ContainsFunc(u.mappings, func(m mapSpec) bool { return m.to.name == path && slices.Contains(m.paths, path) }) {
			out = append(out, event.Mapping{Path: path, To: s.ID(f.Name)})
		}
	}
	return out
}
