package rules

import (
	"slices"
	"strings"
)

// Fields is what the rule asks of an event before it can alert: the fields of its condition and of what it counts by, sorted, the
// array of objects itself where it looks at each of them. An event may lack some and still meet it.
func (r *Rule) Fields() []string {
	var out []string
	if r.Where != nil {
		out = append(out, r.Where.Fields()...)
	}
	if r.Count != nil {
		for i := range r.keys {
			out = append(out, r.keys[i].field)
		}
	}
	for i, f := range out {
		out[i] = strings.TrimSuffix(f, elementsSuffix)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
