package rules

import (
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// databasesField is the field in which events name the databases that told about their addresses.
const databasesField = "klaxon.geo.databases"

// evidence has a rule that looks at what databases told about addresses carry which these were: addresses move, and an alert is to say
// what was known when it was raised.
func (c *setCompiler) evidence(r *Rule) {
	id, ok := c.opts.Schema.Lookup(databasesField)
	if !ok {
		return
	}
	told := slices.ContainsFunc(r.keys, func(o operand) bool { return fromDatabase(o.field) })
	for _, p := range c.conditions {
		told = told || slices.ContainsFunc(p.cond.Fields(), fromDatabase)
	}
	if told {
		r.carryKey(operand{name: databasesField, field: databasesField, id: id, typ: event.Keyword, cls: classOf(event.Keyword)})
	}
}

// fromDatabase says whether a field is one of those that databases fill.
func fromDatabase(field string) bool {
	return strings.Contains(field, ".geo.") || strings.Contains(field, ".as.") || strings.HasPrefix(field, "klaxon.") && strings.HasSuffix(field, ".network")
}
