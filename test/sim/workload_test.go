package sim

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/rules"
)

const simRules = `id: guessing
title: Guessing
source: {dataset: json}
where: event.action == "login" and event.outcome == "failure"
count: {by: [source.ip], within: 3s, at_least: 3}
severity: [{when: count >= 5, is: urgent}, {is: high}]
alert: {title: "{{source.ip}}: {{count}} failures as {{user.name}}", incident_by: [source.ip]}
---
id: spray
title: Spray
source: {dataset: json}
where: event.action == "login"
count: {by: [source.ip, user.name], within: 2s, at_least: 2}
severity: normal
alert: {title: "{{user.name}} from {{source.ip}}, {{count}} times", incident_by: [source.ip]}
---
id: root
title: Root
source: {dataset: json}
where: user.name == "root"
severity: low
alert: {title: "root from {{source.ip}}", incident_by: [source.ip]}
`

// Times of the simulation: what a partition that was read to its end counts as, and how late events may be.
const (
	idle     = time.Second
	lateness = 1500 * time.Millisecond
)

// unmappable marks documents that the archive will never take.
const unmappable = "unmappable"

// epoch is when a bubble's time begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// workload is what is written to the source topic, and what is looked for in it.
type workload struct {
	name        string
	partitions  int32
	addresses   int
	recreated   bool    // the source topic is made anew in the middle
	shards      []int32 // that its keys fall into
	records     []arrival
	generations [2]generation // the same, compiled twice
}

// arrival is a record and when it is appended.
type arrival struct {
	after     time.Duration // since epoch
	partition int32
	logged
}

type generation struct {
	events  *pipeline.Generation
	program *detectors.Program
}

func compile(t testing.TB) generation {
	t.Helper()
	var list diag.List
	units := rules.LoadFiles([]fs.FS{fstest.MapFS{"r.yaml": {Data: []byte(simRules)}}}, &list)
	json, err := fs.ReadFile(datasets.Shipped(), "shipped/json.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sets := datasets.LoadFiles([]fs.FS{fstest.MapFS{"json.yaml": {Data: json}}}, &list)
	schema, err := ecs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	schema, more := datasets.Extend(schema, sets)
	list = append(list, more...)
	ds, more := datasets.Compile(sets, datasets.Options{Schema: schema, Compile: func(src string, s *event.Schema) (datasets.Condition, diag.List) {
		return rules.CompileCondition(src, s, rules.ConditionOptions{})
	}})
	list = append(list, more...)
	set, more := rules.Compile(units, rules.Options{Schema: schema})
	if list = append(list, more...); list.HasErrors() {
		t.Fatal(list)
	}
	program, more := detectors.Compile(set, detectors.Limits{Lateness: lateness})
	if more.HasErrors() {
		t.Fatal(more)
	}
	return generation{&pipeline.Generation{Schema: schema, Rules: set, NewNormalizer: func() *ingest.Normalizer {
		return ingest.NewNormalizer(ingest.Options{Datasets: ds, Schema: schema})
	}}, program}
}

// newWorkload makes the records of a seed. A third is there from the beginning, and some seconds old; the others come while the
// run is disturbed.
func newWorkload(seed uint64, partitions int32, records int, recreated bool, generations [2]generation) *workload {
	rng := rand.New(rand.NewPCG(seed, 99))
	w := &workload{name: fmt.Sprintf("%d records of %d partitions, %d", records, partitions, seed), partitions: partitions, addresses: 1 + int(seed%2), recreated: recreated, generations: generations}
	at := -5 * time.Second
	for i := range records {
		if i == records/3 {
			at = 200 * time.Millisecond
		}
		if recreated && i == records*2/3 {
			at = recreation + 200*time.Millisecond
		}
		at += time.Duration(rng.Int64N(int64(12*time.Second) / int64(records)))
		a := arrival{after: max(at, 0), partition: rng.Int32N(partitions), logged: logged{time: epoch.Add(at).UnixMilli()}}
		a.value, a.hole = w.record(rng, epoch.Add(at))
		w.records = append(w.records, a)
	}
	slices.Sort(w.shards)
	w.shards = slices.Compact(w.shards)
	return w
}

// record makes a record, or none.
func (w *workload) record(rng *rand.Rand, at time.Time) (value []byte, hole bool) {
	ip, user := fmt.Sprint("192.0.2.", 1+rng.IntN(w.addresses)), []string{"eve", "eve", "root"}[rng.IntN(3)]
	outcome := "failure"
	switch rng.IntN(12) {
	case 0:
		return nil, true
	case 1:
		return []byte(`{"cut`), false
	case 2:
		return fmt.Appendf(nil, `{"message":"nothing of note, %d"}`, rng.IntN(1000)), false
	case 3:
		return fmt.Appendf(nil, `{"message":"%s %d"}`, unmappable, rng.IntN(1000)), false
	case 4:
		outcome = "success"
	default:
		w.shards = append(w.shards, hit.ShardOf(ingest.DefaultTenant, "guessing", ip))
	}
	w.shards = append(w.shards, hit.ShardOf(ingest.DefaultTenant, "spray", hit.JoinKey([]string{ip, user})))
	if user == "root" {
		w.shards = append(w.shards, hit.ShardOf(ingest.DefaultTenant, "root", ip))
	}
	at = at.Add(-time.Duration(rng.Int64N(int64(time.Second / 2))))
	return fmt.Appendf(nil, `{"@timestamp":%q,"source":{"ip":%q},"event":{"action":"login","outcome":%q},"user":{"name":%q}}`,
		at.Format("2006-01-02T15:04:05.000Z07:00"), ip, outcome, user), false
}

// arrive has the records appended at their times.
func (s *sim) arrive() {
	if s.workload.recreated {
		s.after(recreation, "", s.recreate)
	}
	for _, a := range s.workload.records {
		append := func() { s.world.source.append(a.partition, a.logged) }
		if a.after == 0 {
			append()
		} else {
			s.after(a.after, "", append)
		}
	}
}
