package main

import (
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/rules"
	"github.com/klaxonhq/klaxon/rules.d"
)

// sources says where rules, datasets and lists come from, and what the normaliser is told.
type sources struct {
	datasets, rules, lists []fs.FS
	topics                 map[string]string // whose topics are
	tenant                 TenantConfig
	proxies                []netip.Prefix
	geoip                  []DatabaseFile
	opened                 *enrich.Databases // of the generation before, or nil: what has not changed is not read anew
	recordBytes            int
	limits                 detectors.Limits
	asWritten              bool // overrides are left out, for the tests inside rules
}

// loaded is one generation: everything that decides what becomes of an event, compiled together.
type loaded struct {
	pipeline.Generation
	program  *detectors.Program
	datasets *datasets.Set
	lists    *lists.Registry
	units    []*rules.Unit
	hash     string    // of all files that it was made of
	at       time.Time // when it was loaded
	// databases is what is known of addresses beside the built-in table.
	databases *enrich.Databases
}

// sources is what a configuration names, the shipped units included.
func (c *Config) sources() sources {
	s := sources{datasets: []fs.FS{datasets.Shipped()}, topics: c.Datasets.Topics, tenant: c.Tenant, proxies: c.Proxies, geoip: c.Enrich.GeoIP, recordBytes: c.Limits.RecordBytes,
		limits: detectors.Limits{Lateness: c.Detect.Lateness, MaxKeys: c.Detect.MaxKeys, MaxBytes: int64(c.Detect.MaxBytes)}}
	s.lists = append(s.lists, rulesd.Lists())
	if c.Rules.Shipped {
		s.rules = append(s.rules, rulesd.FS())
	}
	s.datasets, s.topics = append(s.datasets, dirs(c.Datasets.Dirs)...), c.Datasets.Topics
	s.rules = append(s.rules, dirs(c.Rules.Dirs)...)
	s.lists = append(s.lists, dirs(c.Rules.Lists)...)
	return s
}

func dirs(paths []string) []fs.FS {
	out := make([]fs.FS, len(paths))
	for i, p := range paths {
		out[i] = diag.Dir(p)
	}
	return out
}

// load compiles a generation. Whatever is wrong anywhere is in the list; with errors in it the generation is nil.
func load(s sources) (*loaded, diag.List) {
	var list diag.List
	g := &loaded{lists: &lists.Registry{}}
	for _, fsys := range s.lists {
		g.lists.LoadInto(fsys, &list)
	}
	g.databases = openDatabases(s.geoip, s.opened, &list)
	g.units = rules.LoadFiles(s.rules, &list)
	sets := datasets.LoadFiles(s.datasets, &list)
	schema, err := ecs.Schema()
	if err != nil {
		return nil, append(list, diag.Diagnostic{File: "ecs", Message: err.Error()})
	}
	schema, more := datasets.Extend(schema, sets)
	list = append(list, more...)
	var names []string
	for _, u := range g.units {
		names = append(names, u.FieldNames()...)
	}
	if schema, err = rules.ExtendSchema(schema, names); err != nil {
		return nil, append(list, diag.Diagnostic{File: "rules", Message: err.Error()})
	}
	if schema, err = schema.Extend(printedFields()...); err != nil {
		return nil, append(list, diag.Diagnostic{File: "schema", Message: err.Error()})
	}
	if f := s.tenant.Field; f != "" && schema.ID(f) == 0 {
		list = append(list, diag.Diagnostic{File: "configuration", Path: "tenant.field", Message: fmt.Sprintf("there is no field %q", f), Hint: diag.DidYouMean(f, schema.Names())})
	}
	list = append(list, unknownDatasets(s.topics, sets)...)
	g.Schema = schema
	g.datasets, more = datasets.Compile(sets, datasets.Options{Schema: schema, Compile: g.condition, Lists: g.lists, Topics: s.topics})
	list = append(list, more...)
	ruleOptions := rules.Options{Schema: schema, Lists: g.lists, Allowed: ecs.Allowed, Controls: controls(), AsWritten: s.asWritten}
	if g.datasets != nil {
		ruleOptions.Catalog = g.datasets
	}
	g.Rules, more = rules.Compile(g.units, ruleOptions)
	list = append(list, more...)
	if list.HasErrors() {
		return nil, list
	}
	if g.program, more = detectors.Compile(g.Rules, s.limits); more.HasErrors() {
		return nil, append(list, more...)
	}
	options := ingest.Options{Datasets: g.datasets, Schema: schema, Country: enrich.Embedded{}, Databases: g.databases, Tenant: ingest.TenantRule{Header: s.tenant.Header, Topic: s.tenant.Topic, Field: s.tenant.Field, Fixed: s.tenant.Default}, MaxBytes: s.recordBytes, TrustedProxies: s.proxies}
	g.NewNormalizer = func() *ingest.Normalizer { return ingest.NewNormalizer(options) }
	return g, list
}

// loadOrExplain compiles a generation; every mistake is in the error.
func loadOrExplain(s sources) (*loaded, error) {
	g, list := load(s)
	if g == nil {
		return nil, mistakes(list)
	}
	return g, nil
}

func mistakes(list diag.List) error {
	return fmt.Errorf("datasets, rules or lists have mistakes:\n%s", list)
}

// condition compiles a condition of a dataset with the language of the rules.
func (g *loaded) condition(src string, s *event.Schema) (datasets.Condition, diag.List) {
	c, list := rules.CompileCondition(src, s, rules.ConditionOptions{Lists: g.lists})
	if list.HasErrors() {
		return nil, list
	}
	return c, list
}
