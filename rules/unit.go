package rules

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// Unit is one document of a rule file, a rule or an override, parsed but not yet compiled: that needs a schema, which in turn needs
// the names that all units use.
type Unit struct {
	// ID is the rule's id, or that of the rule that is overridden.
	ID string
	// Override says that the document tunes another rule.
	Override bool
	// File and Line are where the document begins.
	File string
	Line int

	broken   bool // a mistake was reported: it is compiled for its other mistakes, and not used
	names    []string
	rule     *ruleDoc
	override *overrideDoc
}

// ruleDoc is what a rule's document says, with the places of what compiling may find fault with.
type ruleDoc struct {
	plain      Rule
	idAt       diag.Node
	controlsAt []diag.Node
	where      conditionDoc
	except     []exceptDoc
	by         []textDoc
	severity   []severityDoc
	title      textDoc
	incidentBy []textDoc
	hasGroup   bool // incident_by was written
	quietAt    diag.Node
	respond    []textDoc
	tests      []testDoc
}

// conditionDoc is a condition's text. The zero value is no condition.
type conditionDoc struct {
	node diag.Node
	tree *parsed
	lead int // blanks before the text
}

type exceptDoc struct {
	at    diag.Node
	where conditionDoc
	until int64
	why   string
}

type severityDoc struct {
	when conditionDoc
	is   Severity
}

type textDoc struct {
	node diag.Node
	text string
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// LoadFiles reads every *.yaml and *.yml file of the trees, in the order of their names; a file may hold several documents. What is
// wrong is reported in list with its place. A document with mistakes is returned too, so that compiling finds the rest of them, but it
// never gets into a set.
func LoadFiles(trees []fs.FS, list *diag.List) []*Unit {
	var units []*Unit
	for _, tree := range trees {
		diag.Walk(tree, Extensions(), list, func(file string, data []byte) { units = append(units, parseFile(file, data, list)...) })
	}
	return units
}

// Extensions is how the names of rule files end.
func Extensions() []string { return []string{".yaml", ".yml"} }

func parseFile(name string, data []byte, list *diag.List) []*Unit {
	var units []*Unit
	for _, doc := range diag.Documents(name, data, list) {
		var own diag.List
		u := parseUnit(doc.Into(&own))
		if u != nil {
			u.broken = own.HasErrors()
			units = append(units, u)
		}
		*list = append(*list, own...)
	}
	return units
}

// parseUnit reads one document.
func parseUnit(doc diag.Node) *Unit {
	m, ok := doc.Map()
	if !ok {
		return nil
	}
	file, line, _ := doc.Pos()
	u := &Unit{File: file, Line: line}
	switch {
	case m.Has("override"):
		u.Override = true
		u.parseOverride(m)
	case m.Has("detection") || m.Has("correlation") || m.Has("logsource"):
		doc.Errorf("looks like a Sigma rule, and this version reads klaxon's own rules only").Hint("write it as a klaxon rule: id, source, where, severity, alert")
		return nil
	default:
		u.parseRule(m)
	}
	m.Done()
	slices.Sort(u.names)
	u.names = slices.Compact(u.names)
	return u
}

// FieldNames is every field that the unit names, sorted; `path[]` is the array of objects at path. Give those of all units to
// ExtendSchema, and then compile with the schema that it returns.
func (u *Unit) FieldNames() []string { return u.names }

// condition reads a condition's text, and takes its names.
func (u *Unit) condition(n diag.Node) conditionDoc {
	if !n.Exists() {
		return conditionDoc{}
	}
	src := n.Condition()
	if src == "" {
		return conditionDoc{}
	}
	c := conditionDoc{node: n, lead: strings.Index(n.Raw(), src)}
	p, bad := parse(src)
	if bad != nil {
		c.report(n, *bad)
		return conditionDoc{}
	}
	c.tree = p
	u.names = append(u.names, p.names()...)
	return c
}

func (c conditionDoc) report(n diag.Node, p problem) {
	if p.warning {
		n.WarnfAt(p.at+c.lead, "%s", p.message).Hint("%s", p.hint)
	} else {
		n.ErrorfAt(p.at+c.lead, "%s", p.message).Hint("%s", p.hint)
	}
}

// keys reads a list of fields, each of which may be subnet(field, 24, 64).
func (u *Unit) keys(n diag.Node) []textDoc {
	var out []textDoc
	for _, e := range n.OneOrMany() {
		text := strings.TrimSpace(e.Text())
		switch {
		case strings.HasPrefix(text, "subnet(") && !strings.HasSuffix(text, ")"):
			e.Errorf("is cut at its comma").Hint(`put it into quotes: "subnet(source.ip, 24, 64)"`)
			return out
		case text == "":
			e.Errorf("names no field")
		default:
			out = append(out, textDoc{e, text})
			u.takeNames(text)
		}
	}
	if len(out) > maxKeys {
		n.Errorf("has %d fields, and at most %d are allowed", len(out), maxKeys)
	}
	return out
}

func (u *Unit) takeNames(text string) {
	if text == countName {
		return
	}
	p, bad := parse(text)
	if bad != nil {
		u.names = append(u.names, text) // an odd name; it is checked when the rule is compiled
		return
	}
	u.names = append(u.names, p.names()...)
}

func texts(n diag.Node) []string {
	var out []string
	for _, t := range n.Texts() {
		out = append(out, strings.TrimSpace(t))
	}
	return out
}

// lastDay reads the last day on which something holds, as the first instant after it, Unix milliseconds; 0 where there is none.
func lastDay(n diag.Node) int64 {
	if day := n.Date(); !day.IsZero() {
		return day.AddDate(0, 0, 1).UnixMilli()
	}
	return 0
}
