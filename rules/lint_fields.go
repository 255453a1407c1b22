package rules

import (
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/glob"
)

// source finds the datasets that the rule looks at, and warns of those that there are not.
func (l *linter) source(r *Rule) {
	l.datasets = nil
	catalog := l.set.options.Catalog
	if catalog == nil {
		return
	}
	for _, pattern := range r.globs {
		met := false
		for _, name := range catalog.Names() {
			if glob.Match(pattern, name) {
				met = true
				l.datasets = append(l.datasets, name)
			}
		}
		if !met {
			l.warn(r, "source.dataset", diag.DidYouMean(pattern, catalog.Names()), "there is no dataset %s", pattern)
		}
	}
}

// filled says whether some dataset of the rule fills a field.
func (l *linter) filled(name string) bool {
	name = strings.TrimSuffix(name, elementsSuffix)
	return name == countName || len(l.datasets) == 0 ||
		slices.ContainsFunc(l.datasets, func(d string) bool { return l.set.options.Catalog.Fills(d, name) })
}

// keys looks at the fields that the rule counts by and shows.
func (l *linter) keys(r *Rule) {
	for _, o := range slices.Concat(r.keys, r.carry) {
		if !l.filled(o.field) {
			l.warn(r, "", "", "no dataset of the rule fills %s, which it counts by or shows", o.field)
		}
	}
}
