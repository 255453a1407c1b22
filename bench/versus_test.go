package bench

import (
	"bytes"
	"encoding/json"
	"runtime"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/pipeline"
	rulesd "github.com/klaxonhq/klaxon/rules.d"
)

func usual(t testing.TB, g *pipeline.Generation) *plain {
	t.Helper()
	p, err := newPlain(g, conditions(rulesd.Lists()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlainAgrees: a ratio means something where both do the same work.
func TestPlainAgrees(t *testing.T) {
	g := sameRules(t)
	p := usual(t, g)
	normalizer, scratch := g.NewNormalizer(), event.New(g.Schema)
	for _, l := range lanes()[1:] {
		differ := 0
		for _, b := range l.batches[:2] {
			for i := range b.Records {
				r := &b.Records[i]
				if bytes.IndexByte(r.Value, 0) >= 0 {
					continue // one in ten thousand, which klaxon also tags
				}
				var want []string
				_ = normalizer.Normalize(r, scratch, func(e *event.Event) { want = append(want, string(e.AppendDocument(nil))) }) // a dead letter has no document
				got := p.documents(r)
				if len(got) != len(want) {
					t.Fatalf("%s: %d documents, want %d: %s", l.name, len(got), len(want), r.Value)
				}
				for i := range got {
					if diff := cmp.Diff(decoded(t, []byte(want[i])), decoded(t, encoded(t, got[i]))); diff != "" {
						if differ++; differ < 4 {
							t.Errorf("%s: %s\n%s", l.name, r.Value, diff)
						}
					}
				}
			}
		}
		if differ > 0 {
			t.Errorf("%s: %d documents differ", l.name, differ)
		}
	}
}

func encoded(t *testing.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decoded(t *testing.T, b []byte) any {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPlainHits: the same rules for the same keys.
func TestPlainHits(t *testing.T) {
	g := sameRules(t)
	p := usual(t, g)
	w := pipeline.NewWorker(g)
	rules := 0
	for _, rules := range p.rules {
		for _, r := range rules {
			if len(r.key) == 0 {
				t.Errorf("%s is no shipped rule", r.id)
			}
		}
	}
	for _, list := range p.rules {
		rules += len(list)
	}
	if loaded := len(g.Rules.Rules()); rules != loaded || rules < 20 {
		t.Errorf("%d conditions for %d rules", rules, loaded)
	}
	met := map[string]bool{}
	for i, l := range lanes() {
		if i > 0 {
			l.batches = l.batches[:4] // the mix holds the attacks
		}
		for _, b := range l.batches {
			var want, got []string
			w.Batch(b, func(_ int32, f *hit.Frame) {
				for _, h := range f.Hits {
					want = append(want, strings.Join(append([]string{h.Rule, h.Tenant}, hit.SplitKey(h.Key)...), " "))
					met[h.Rule] = true
				}
			})
			for i := range b.Records {
				for index, doc := range p.documents(&b.Records[i]) {
					p.hits(&b.Records[i], index, doc)
				}
			}
			for shard, hits := range p.shard {
				for _, h := range hits {
					got = append(got, strings.Join(append([]string{h.Rule, h.Tenant}, h.Key...), " "))
				}
				p.shard[shard] = nil
			}
			sort.Strings(want)
			sort.Strings(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s, offset %d: hits differ:\n%s", l.name, b.First, diff)
			}
		}
	}
	if len(met) < 10 {
		t.Errorf("only %d rules are met at all", len(met))
	}
}

// BenchmarkVersusPlain runs klaxon and the straightforward program pair by pair over the same batches, so that what else the machine does
// meets both. x_plain is the median of the pairs' ratios.
func BenchmarkVersusPlain(b *testing.B) {
	g := sameRules(b)
	for _, l := range lanes() {
		b.Run("match/"+l.name, func(b *testing.B) {
			versus(b, l, newMatcher(g).batch, usual(b, g).match)
		})
		b.Run("archive/"+l.name, func(b *testing.B) {
			versus(b, l, newBulker(g).batch, usual(b, g).archive)
		})
	}
}

// bulker is the archive loop between fetch and send.
type bulker struct {
	normalizer interface {
		Normalize(*event.Record, *event.Event, func(*event.Event)) error
	}
	event  *event.Event
	sink   bulk
	body   []byte
	doc    event.Document
	events int
	add    func(*event.Event)
}

func newBulker(g *pipeline.Generation) *bulker {
	k := &bulker{normalizer: g.NewNormalizer(), event: event.New(g.Schema)}
	k.add = func(e *event.Event) {
		k.events++
		k.body = e.AppendDocument(k.body[:0])
		k.doc = event.Document{ID: e.ID, Dataset: e.Dataset, Tenant: e.Tenant, Received: e.Received, Time: e.Time, Body: k.body}
		k.sink.Add(&k.doc)
	}
	return k
}

func (k *bulker) batch(b *event.Batch) int {
	k.events, k.sink.body = 0, k.sink.body[:0]
	for i := range b.Records {
		_ = k.normalizer.Normalize(&b.Records[i], k.event, k.add) // dead letters are part of the traffic
	}
	return k.events
}

// round runs a lane once and answers the time per event; garbage of others is collected before.
func round(l lane, batch func(*event.Batch) int) float64 {
	runtime.GC()
	cpu, clock, events := cpuTime(), time.Now(), 0
	for _, one := range l.batches {
		events += batch(one)
	}
	busy := cpuTime() - cpu
	if busy <= 0 {
		busy = time.Since(clock)
	}
	return float64(busy.Nanoseconds()) / float64(events)
}

// pairs is how many runs of each an iteration makes: the median of fewer would be luck.
const pairs = 5

func versus(b *testing.B, l lane, ours, theirs func(*event.Batch) int) {
	round(l, ours)
	var ratios, us, them []float64
	for b.Loop() {
		for i := range pairs {
			var x, y float64
			if i%2 == 0 {
				x = round(l, ours)
				y = round(l, theirs)
			} else {
				y = round(l, theirs)
				x = round(l, ours)
			}
			ratios, us, them = append(ratios, y/x), append(us, x), append(them, y)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(us), "cpu-ns/event")
	b.ReportMetric(median(them), "plain-cpu-ns/event")
	b.ReportMetric(median(ratios), "x_plain")
}

func median(xs []float64) float64 {
	xs = slices.Clone(xs)
	slices.Sort(xs)
	return (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2
}
