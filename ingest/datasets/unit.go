// Package datasets reads dataset units, the YAML documents that say how a log becomes ECS: who claims a record, which envelopes to
// remove, how to parse, what to set. A unit is compiled into operations on the slots of an event; nothing is interpreted per event.
package datasets

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// Fields that the normaliser sets beside those that every schema has.
const (
	FieldBase64   = "klaxon.original_base64" // the original bytes, where they are not UTF-8
	FieldClaimed  = "klaxon.claimed_time"    // the time that an event gave, where it was not believed
	FieldRepeated = "klaxon.repeated"        // N of syslog's `message repeated N times`
	FieldKeep     = "klaxon.keep"            // "archive": archived, not evaluated
	// FieldDatabases is the versions of the databases that said something of the event's addresses.
	FieldDatabases = "klaxon.geo.databases"
)

// Ends is the parts of an event that have an address about which more is found out.
func Ends() []string { return []string{"source", "destination", "client", "server"} }

// NetworkField is the field that says which kinds of networks the address of one of the Ends is of.
func NetworkField(end string) string { return "klaxon." + end + ".network" }

// BaseFields is the fields that every schema needs which events are normalised into. Each unit's Fields holds them too.
func BaseFields() []event.Field {
	out := append(ecs.Fields(), event.Field{Name: FieldBase64, Type: event.Keyword}, event.Field{Name: FieldClaimed, Type: event.Date},
		event.Field{Name: FieldRepeated, Type: event.Long}, event.Field{Name: FieldKeep, Type: event.Keyword}, event.Field{Name: FieldDatabases, Type: event.Keyword})
	for _, end := range Ends() {
		out = append(out, event.Field{Name: NetworkField(end), Type: event.Keyword})
	}
	return out
}

// Unit is one dataset as its document says it, before it is compiled against a schema.
type Unit struct {
	name        string
	at          diag.Node
	file        string
	title       string
	description string
	replace     bool
	claim       claimSpec
	unwrap      unwrapSpec
	vendor      string
	declared    []declared
	json        bool
	ecs         bool
	rest        string
	mappings    []mapSpec
	steps       []stepSpec
	set         []assignSpec
	defaults    []assignSpec
	forwarded   nameAt
	keep        conditionSpec
	redact      []nameAt
	drops       []dropSpec
	tests       []Test
	broken      bool // it has a mistake and cannot be compiled

	list *diag.List // where its nodes report to; shared by the units of one file
}

// nameAt is a field's name and where it is written: offset bytes into the node's text.
type nameAt struct {
	name   string
	node   diag.Node
	offset int
}

type declared struct {
	nameAt
	typ event.Type
}

type unwrapSpec struct {
	syslog, docker bool
	each           string
	eachAt         diag.Node
}

type mapSpec struct {
	to    nameAt
	paths []string
}

type conditionSpec struct {
	src  string
	node diag.Node
}

type dropSpec struct {
	when conditionSpec
	why  string
}

// Name is the dataset's name.
func (u *Unit) Name() string { return u.name }

// File is the file that the unit is in.
func (u *Unit) File() string { return u.file }

// LoadFiles reads every `.yaml` and `.yml` file of the file systems, in the order given. A unit of a later file system takes the place
// of one of the same name in an earlier one if it says `replace: true`. Units with mistakes are left out; the mistakes are in list.
func LoadFiles(systems []fs.FS, list *diag.List) []*Unit {
	var units []*Unit
	for i, system := range systems {
		for _, u := range loadSystem(system, list) {
			at := slices.IndexFunc(units, func(o *Unit) bool { return o.name == u.name })
			switch {
			case at < 0:
				if u.replace && !u.broken {
					u.at.Errorf("replaces the dataset %s, which is not there", u.name).Hint("leave replace out, or correct the name")
				}
				units = append(units, u)
			case u.replace && i > 0:
				units[at] = u
			default:
				u.at.Errorf("the dataset %s is already there, in %s", u.name, units[at].file).Hint("choose another name, or say replace: true in a folder of your own")
			}
			u.flush(list)
		}
	}
	return slices.DeleteFunc(units, func(u *Unit) bool { return u.broken })
}

func (u *Unit) flush(list *diag.List) {
	*list = append(*list, *u.list...)
	*u.list = (*u.list)[:0]
}

// Extensions is how the names of dataset files end.
func Extensions() []string { return []string{".yaml", ".yml"} }

func loadSystem(system fs.FS, list *diag.List) []*Unit {
	var units []*Unit
	diag.Walk(system, Extensions(), list, func(file string, data []byte) { units = append(units, parseFile(file, data, list)...) })
	return units
}

// parseFile reads the units of one file. Mistakes of the document as such go to list.
func parseFile(name string, data []byte, list *diag.List) []*Unit {
	own := &diag.List{}
	docs := diag.Documents(name, data, own)
	var units []*Unit
	for _, doc := range docs {
		before := len(*own)
		u := &Unit{file: name, at: doc, list: own}
		u.parse(doc)
		u.broken = (*own)[before:].HasErrors() || u.name == ""
		units = append(units, u)
	}
	*list = append(*list, *own...)
	*own = (*own)[:0]
	return units
}

func (u *Unit) parse(doc diag.Node) {
	m, ok := doc.Map()
	if !ok {
		return
	}
	name := m.Need("dataset")
	u.name = name.Text()
	if name.Exists() && !validName(u.name) {
		name.Errorf("%q is no name of a dataset", u.name).Hint("lower case letters, digits, dots, - and _, beginning with a letter, at most 100 bytes")
	}
	u.at = name
	if !name.Exists() {
		u.at = doc
	}
	u.title, u.description = m.Get("title").Text(), m.Get("description").Text()
	u.replace = m.Get("replace").Bool()
	u.vendor = u.readVendor(m.Get("vendor"))
	u.readFields(m.Get("fields"))
	u.readClaim(m.Get("claim"))
	u.readUnwrap(m.Get("unwrap"))
	u.readParse(m)
	u.set = readAssigns(m.Get("set"))
	u.defaults = readAssigns(m.Get("default"))
	u.forwarded = nameOf(m.Get("forwarded"))
	u.readPolicy(m)
	u.readTests(m.Get("tests"))
	m.Done()
}

// validName says whether a dataset's name can stand in an index's name: see Elasticsearch's rules for index names.
func validName(s string) bool {
	if s == "" || len(s) > 100 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}) < 0
}

func (u *Unit) readVendor(n diag.Node) string {
	v := n.Text()
	if n.Exists() && (v == "" || strings.HasPrefix(v, "$") || strings.HasPrefix(v+".", "klaxon.") || strings.ContainsAny(v, " \t[]\"")) {
		n.Errorf("%q is no prefix of fields", v).Hint("a dotted path such as aws.cloudtrail")
		return ""
	}
	return v
}

func (u *Unit) readFields(n diag.Node) {
	if !n.Exists() {
		return
	}
	m, ok := n.Map()
	if !ok {
		return
	}
	for _, p := range m.Pairs() {
		types := []string{"keyword", "text", "long", "double", "boolean", "date", "ip", "object"}
		m.Get(p.Key)
		t := p.Value.OneOf(types...)
		if strings.HasPrefix(p.Key, "$") || strings.HasPrefix(p.Key, "klaxon.") || p.Key == "" || strings.ContainsAny(p.Key, " []\"") {
			p.KeyAt.Errorf("%q cannot be declared", p.Key).Hint("a dotted path of your own, such as nginx.request_time")
			continue
		}
		u.declared = append(u.declared, declared{nameAt{p.Key, p.KeyAt, 0}, typeOf(t)})
	}
}

func typeOf(name string) event.Type {
	for t := event.Untyped; t <= event.Object; t++ {
		if t.String() == name {
			return t
		}
	}
	return event.Keyword
}

func (u *Unit) readUnwrap(n diag.Node) {
	for _, e := range n.OneOrMany() {
		if e.IsMap() {
			m, _ := e.Map()
			each := m.Need("each")
			u.unwrap.each, u.unwrap.eachAt = each.Text(), each
			m.Done()
			continue
		}
		switch e.OneOf("syslog", "docker") {
		case "syslog":
			u.unwrap.syslog = true
		case "docker":
			u.unwrap.docker = true
		}
	}
}

func (u *Unit) readParse(m *diag.Map) {
	n := m.Need("parse")
	for _, e := range n.OneOrMany() {
		if e.IsScalar() {
			if e.OneOf("json") == "json" {
				u.json = true
			}
			continue
		}
		u.steps = append(u.steps, readStep(e))
	}
	mapping := m.Get("map")
	u.ecs = m.Get("ecs").Bool()
	rest := m.Get("rest")
	u.rest = rest.Text()
	if !u.json {
		for _, only := range []diag.Node{mapping, rest, m.Get("ecs")} {
			if only.Exists() {
				only.Errorf("is for JSON only").Hint("say parse: json")
			}
		}
	}
	if u.unwrap.each != "" && !u.json {
		u.unwrap.eachAt.Errorf("is for JSON only").Hint("say parse: json")
	}
	if rest.Exists() && u.vendor != "" {
		rest.Errorf("cannot stand beside vendor, which keeps the whole document")
	}
	u.readMap(mapping)
}

func (u *Unit) readMap(n diag.Node) {
	if !n.Exists() {
		return
	}
	m, ok := n.Map()
	if !ok {
		return
	}
	for _, p := range m.Pairs() {
		m.Get(p.Key)
		s := mapSpec{to: nameAt{p.Key, p.KeyAt, 0}, paths: p.Value.Texts()}
		if len(s.paths) == 0 || slices.Contains(s.paths, "") {
			p.Value.Errorf("must be a path in the document, or a list of paths of which the first that is present is taken")
			continue
		}
		u.mappings = append(u.mappings, s)
	}
}

func (u *Unit) readPolicy(m *diag.Map) {
	if keep := m.Get("keep"); keep.Exists() {
		if k, ok := keep.Map(); ok {
			u.keep = conditionOf(k.Need("archive"))
			k.Done()
		}
	}
	for _, n := range m.Get("redact").OneOrMany() {
		u.redact = append(u.redact, nameOf(n))
	}
	for _, n := range m.Get("drop").OneOrMany() {
		d, ok := n.Map()
		if !ok {
			continue
		}
		u.drops = append(u.drops, dropSpec{when: conditionOf(d.Need("when")), why: d.Need("why").Text()})
		d.Done()
	}
}

func conditionOf(n diag.Node) conditionSpec { return conditionSpec{src: n.Condition(), node: n} }

func nameOf(n diag.Node) nameAt { return nameAt{name: n.Text(), node: n} }
