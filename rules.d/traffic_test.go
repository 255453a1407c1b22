package rulesd_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"github.com/klaxonhq/klaxon/pipeline"
)

// watched is what became of a run of traffic.
type watched struct {
	alerts map[string]alert.Alert // the last revision by id
	counts pipeline.WorkerCounts
	broken int64
}

// watch runs traffic through match and detect in memory, one source partition a topic.
func watch(g *pipeline.Generation, program *detectors.Program, gen *traffic.Generator, end time.Time) watched {
	w := pipeline.NewWorker(g)
	memories := make([]*detectors.Memory, hit.Shards)
	out := watched{alerts: map[string]alert.Alert{}}
	apply := func(shard int32, f *hit.Frame) {
		if memories[shard] == nil {
			memories[shard] = detectors.NewMemory(program, 1)
		}
		for _, a := range memories[shard].Apply(f) {
			out.alerts[a.ID] = a
		}
	}
	batches := map[string]*event.Batch{}
	for _, topic := range traffic.Topics() {
		batches[topic] = &event.Batch{Source: event.Source{Topic: topic}, Partitions: 1}
	}
	flush := func(b *event.Batch) {
		b.Next = b.First + int64(len(b.Records))
		c := w.Batch(b, apply)
		out.counts.Records += c.Records
		out.counts.Events += c.Events
		out.counts.DeadLetters += c.DeadLetters
		b.First, b.Records = b.Next, b.Records[:0]
	}
	for m := gen.Next(); !m.Time.After(end); m = gen.Next() {
		out.broken = gen.Undecodable()
		b := batches[m.Topic]
		b.Records = append(b.Records, event.Record{Source: b.Source, Offset: b.First + int64(len(b.Records)), Time: m.Time.UnixMilli(), Key: m.Key, Value: m.Value,
			Headers: []event.Header{{Key: traffic.TenantHeader, Value: []byte(m.Headers[traffic.TenantHeader])}}})
		if len(b.Records) == 500 {
			flush(b)
		}
	}
	for _, topic := range traffic.Topics() {
		flush(batches[topic])
	}
	return out
}

// TestTrafficIsCaughtAndNothingElse holds rules and demonstration together: every planted attack raises its alert, nobody else does.
func TestTrafficIsCaughtAndNothingElse(t *testing.T) {
	g, program := compile(t)
	for _, c := range trafficCases(t) {
		gen := traffic.New(c)
		seen := watch(g, program, gen, c.Start.Add(c.Duration))
		planted := gen.Planted()
		caught := make([]bool, len(planted))
		alarms := 0
		for _, a := range seen.alerts {
			key := map[string]string{}
			for _, f := range a.Key {
				key[f.Name] = f.Values[0]
			}
			explained := false
			for i := range planted {
				if planted[i].Explains(a.Tenant, a.Rule.ID, key) {
					explained = true
					caught[i] = caught[i] || planted[i].Rule == a.Rule.ID
				}
			}
			if !explained {
				if alarms++; alarms < 10 {
					t.Errorf("seed %d: false alert of %s for %s: %s %v", c.Seed, a.Rule.ID, a.Tenant, a.Title, a.Key)
				}
			}
		}
		for i, ok := range caught {
			if !ok {
				t.Errorf("seed %d, %s: missed %s (%s, %s, %v)", c.Seed, c.Duration, planted[i].Name, planted[i].Rule, planted[i].Tenant, planted[i].Key)
			}
		}
		if int64(seen.counts.DeadLetters) != seen.broken || seen.broken == 0 {
			t.Errorf("seed %d: %d dead letters of %d records that are broken", c.Seed, seen.counts.DeadLetters, seen.broken)
		}
		t.Logf("seed %d, %s: %d records, %d events, %d attacks, %d alerts", c.Seed, c.Duration, seen.counts.Records, seen.counts.Events, len(planted), len(seen.alerts))
	}
}

func trafficCases(t *testing.T) []traffic.Options {
	start := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	cases := []traffic.Options{
		{Seed: 1, Start: start, Rate: 1000, Duration: 30 * time.Second}, {Seed: 2, Start: start, Rate: 300, Duration: 5 * time.Second},
		{Seed: 3, Start: start, Rate: 10, Duration: 4 * time.Minute},
	}
	if long, err := strconv.Atoi(os.Getenv("KLAXON_TRAFFIC_MINUTES")); err == nil && long > 0 {
		for seed := range uint64(3) {
			cases = append(cases, traffic.Options{Seed: 10 + seed, Start: start, Rate: 2000, Duration: time.Duration(long) * time.Minute})
		}
	}
	return cases
}
