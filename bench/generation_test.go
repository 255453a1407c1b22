package bench

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/rules"
	rulesd "github.com/klaxonhq/klaxon/rules.d"
)

// shipped is what klaxon is without anybody's own rules: the datasets, rules and lists that ship with it.
func shipped(t testing.TB) *pipeline.Generation {
	t.Helper()
	g, _ := shippedOptions(t)
	return g
}

// shippedOptions is shipped, and what its normalisers are made with.
func shippedOptions(t testing.TB) (*pipeline.Generation, ingest.Options) {
	t.Helper()
	var list diag.List
	registry := lists.Load(rulesd.Lists(), &list)
	units := compared(rules.LoadFiles([]fs.FS{rulesd.FS()}, &list))
	sets := datasets.LoadFiles([]fs.FS{datasets.Shipped()}, &list)
	schema, err := ecs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	schema, more := datasets.Extend(schema, sets)
	list = append(list, more...)
	var names []string
	for _, u := range units {
		names = append(names, u.FieldNames()...)
	}
	if schema, err = rules.ExtendSchema(schema, names); err != nil {
		t.Fatal(err)
	}
	condition := func(src string, s *event.Schema) (datasets.Condition, diag.List) {
		c, list := rules.CompileCondition(src, s, rules.ConditionOptions{Lists: registry})
		if list.HasErrors() {
			return nil, list
		}
		return c, list
	}
	claimed, more := datasets.Compile(sets, datasets.Options{Schema: schema, Compile: condition})
	list = append(list, more...)
	g := &pipeline.Generation{Schema: schema}
	g.Rules, more = rules.Compile(units, rules.Options{Schema: schema, Lists: registry})
	list = append(list, more...)
	if list.HasErrors() {
		t.Fatal(list)
	}
	options := ingest.Options{Datasets: claimed, Schema: schema, Country: enrich.Embedded{}, Tenant: ingest.TenantRule{Header: traffic.TenantHeader}}
	g.NewNormalizer = func() *ingest.Normalizer { return ingest.NewNormalizer(options) }
	return g, options
}

// compared is the shipped rules that the plain program has too, so that both do the same work.
func compared(units []*rules.Unit) []*rules.Unit {
	both := conditions(rulesd.Lists())
	return slices.DeleteFunc(units, func(u *rules.Unit) bool {
		return !slices.ContainsFunc(both, func(c condition) bool { return c.rule == u.ID })
	})
}
