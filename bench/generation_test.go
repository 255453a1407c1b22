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

// sameRules is shipped with those rules only that the plain program has too, so that both do the same work.
func sameRules(t testing.TB) *pipeline.Generation {
	t.Helper()
	both := conditions(rulesd.Lists())
	g, _ := generation(t, func(u *rules.Unit) bool {
		return slices.ContainsFunc(both, func(c condition) bool { return c.rule == u.ID })
	})
	return g
}

// shippedOptions is shipped, and what its normalisers are made with.
func shippedOptions(t testing.TB) (*pipeline.Generation, ingest.Options) {
	t.Helper()
	return generation(t, func(*rules.Unit) bool { return true })
}

// generation is what ships, with the rules that are wanted.
func generation(t testing.TB, wanted func(*rules.Unit) bool) (*pipeline.Generation, ingest.Options) {
	t.Helper()
	var list diag.List
	registry := lists.Load(rulesd.Lists(), &list)
	units := slices.DeleteFunc(rules.LoadFiles([]fs.FS{rulesd.FS()}, &list), func(u *rules.Unit) bool { return !wanted(u) })
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
