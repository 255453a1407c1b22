package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/rules"
	"go.uber.org/zap"
)

const testRules = `id: guessing
title: Guessing
source: {dataset: json}
where: event.action == "login" and event.outcome == "failure"
count: {by: [source.ip], within: 1m, at_least: 5}
severity: high
alert: {title: "{{source.ip}}: {{count}} failures", incident_by: [source.ip]}
---
id: root
title: Root
source: {dataset: json}
where: user.name == "root"
except: [{where: 'source.ip == "192.0.2.99"', why: the console}]
severity: low
alert: {title: "root from {{source.ip}}", incident_by: [source.ip]}
`

func testGeneration(t testing.TB) (*Generation, *detectors.Program) {
	t.Helper()
	return generationOf(t, testRules)
}

func generationOf(t testing.TB, ruleFile string) (*Generation, *detectors.Program) {
	t.Helper()
	var list diag.List
	units := rules.LoadFiles([]fs.FS{fstest.MapFS{"r.yaml": {Data: []byte(ruleFile)}}}, &list)
	sets := datasets.LoadFiles([]fs.FS{datasets.Shipped()}, &list)
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
	p, _ := detectors.Compile(set, detectors.Limits{})
	return &Generation{Schema: schema, Rules: set, NewNormalizer: func() *ingest.Normalizer { return ingest.NewNormalizer(ingest.Options{Datasets: ds, Schema: schema}) }}, p
}

var testSource = event.Source{Topic: "logs", TopicID: "t1"}

// fakeClaim hands out batches, and then says that the log's end is reached.
type fakeClaim struct {
	source  event.Source
	mu      sync.Mutex
	batches []*event.Batch
	commits []event.Offsets
	seeks   map[event.Source]int64
	fail    error
	next    int64 // where reading stands
}

func (c *fakeClaim) Owned() []kafka.Partition {
	return []kafka.Partition{{Source: c.source, Partitions: 1}}
}

func (c *fakeClaim) Topics() []kafka.Topic {
	return []kafka.Topic{{Name: c.source.Topic, ID: c.source.TopicID, Partitions: 1}}
}

func (c *fakeClaim) Fetch(ctx context.Context) (*event.Batch, error) {
	c.mu.Lock()
	if len(c.batches) > 0 {
		b := c.batches[0]
		c.batches, c.next = c.batches[1:], b.Next
		c.mu.Unlock()
		return b, nil
	}
	c.mu.Unlock()
	if !sleep(ctx, 100*time.Millisecond) {
		return nil, ctx.Err()
	}
	return &event.Batch{Source: c.source, Partitions: 1, First: c.next, Next: c.next, AtEnd: true, Asked: time.Now().UnixMilli()}, nil
}

func (c *fakeClaim) Commit(_ context.Context, o event.Offsets) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	c.commits = append(c.commits, maps.Clone(o))
	return nil
}

func (c *fakeClaim) Seek(s event.Source, offset int64) error {
	if c.seeks == nil {
		c.seeks = map[event.Source]int64{}
	}
	c.seeks[s], c.next = offset, max(offset, 0)
	return nil
}

func (c *fakeClaim) committed() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := int64(-1)
	for _, o := range c.commits {
		last = max(last, o[c.source])
	}
	return last
}

// batchOf makes a batch of lines, one a second.
func batchOf(first int64, at time.Time, lines ...string) *event.Batch {
	b := &event.Batch{Source: testSource, Partitions: 1, First: first, Next: first + int64(len(lines)), Bytes: 100, AtEnd: true, Asked: at.UnixMilli()}
	b.End = b.Next
	for i, l := range lines {
		b.Records = append(b.Records, event.Record{Source: testSource, Offset: first + int64(i), Time: at.Add(time.Duration(i) * time.Second).UnixMilli(), Value: []byte(l)})
	}
	return b
}

func failure(ip string) string {
	return fmt.Sprintf(`{"source":{"ip":%q},"event":{"action":"login","outcome":"failure"},"user":{"name":"eve"}}`, ip)
}

// fakeSink keeps documents; it can be down, and it can reject.
type fakeSink struct {
	waiting, stored []string
	reject          string
	down            bool
}

func (s *fakeSink) Add(d *event.Document) { s.waiting = append(s.waiting, d.ID.String()) }
func (s *fakeSink) Size() (int, int)      { return len(s.waiting), 100 * len(s.waiting) }

func (s *fakeSink) Flush(ctx context.Context) ([]event.Rejection, error) {
	for s.down {
		if !sleep(ctx, time.Second) {
			return nil, ctx.Err()
		}
	}
	var out []event.Rejection
	for _, id := range s.waiting {
		if s.reject != "" && strings.HasPrefix(id, s.reject) {
			out = append(out, event.Rejection{ID: event.ID{Topic: "logs", Offset: 1}, Reason: "mapping", Detail: "no"})
			continue
		}
		s.stored = append(s.stored, id)
	}
	s.waiting = nil
	return out, nil
}

// fakeSender takes messages up to a size.
type fakeSender struct {
	messages []kafka.Message
	limit    int
}

func (s *fakeSender) Send(_ context.Context, topic string, m []kafka.Message) error {
	var refused []int
	for i := range m {
		if s.limit > 0 && len(m[i].Value) > s.limit {
			refused = append(refused, i)
			continue
		}
		s.messages = append(s.messages, m[i])
	}
	if len(refused) > 0 {
		return &kafka.RejectedError{Topic: topic, Messages: refused, Err: errors.New("too large")}
	}
	return nil
}

func TestArchiveCutsDeadLettersThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, sender := &fakeSink{}, &fakeSender{limit: 300 << 10}
		a := testArchive(t, sink, sender)
		huge := `{"cut":"` + strings.Repeat("x", 900<<10)
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, time.Now(), huge, `{"cut`, failure("192.0.2.1"))}}
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		if err := a.Run(ctx, claim); err != nil {
			t.Fatal(err)
		}
		if claim.committed() != 3 || len(sink.stored) != 1 || len(sender.messages) != 2 {
			t.Fatalf("committed %d, stored %d, dead letters %d", claim.committed(), len(sink.stored), len(sender.messages))
		}
		cut := sender.messages[1]
		if len(cut.Value) != 256<<10 || headerText(&cut, headerCut) != fmt.Sprint(len(huge)) || headerText(&cut, headerReason) != "json_truncated" {
			t.Errorf("%d bytes, headers %v", len(cut.Value), cut.Headers)
		}
		if a.Stats.CutDeadLetters.Load() != 1 || a.Stats.Reasons["json_truncated"].Load() != 2 || a.Stats.DeadLettered.Load() != 2 {
			t.Errorf("cut %d, by reason %d", a.Stats.CutDeadLetters.Load(), a.Stats.Reasons["json_truncated"].Load())
		}
	})
}

func testArchive(t *testing.T, sink *fakeSink, sender *fakeSender) *Archive {
	g, _ := testGeneration(t)
	return &Archive{Generation: func() *Generation { return g }, NewSink: func() (ArchiveSink, error) { return sink, nil }, Sender: sender, DeadLetters: "dead", Undecodable: true,
		Clock: time.Now, Log: zap.NewNop(), Stats: NewArchiveStats(), Every: time.Second, MaxDocuments: 1000, MaxBytes: 1 << 20, MaxHeld: 1 << 20, Drain: 2 * time.Second}
}

func TestArchiveCommitsBehindWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, sender := &fakeSink{reject: "logs-0-1-"}, &fakeSender{}
		a := testArchive(t, sink, sender)
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, time.Now(), failure("192.0.2.1"), failure("192.0.2.2"), `{"cut`, "text")}}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx, claim) }()
		time.Sleep(3 * time.Second)
		if claim.committed() != 4 {
			t.Errorf("committed %d", claim.committed())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(sink.stored) != 2 || len(sender.messages) != 2 {
			t.Fatalf("stored %v, %d dead letters", sink.stored, len(sender.messages))
		}
		reasons := map[string]string{}
		for _, m := range sender.messages {
			h := map[string]string{}
			for _, x := range m.Headers {
				h[x.Key] = string(x.Value)
			}
			reasons[h["klaxon-reason"]] = h["klaxon-topic"] + "/" + h["klaxon-partition"] + "/" + h["klaxon-offset"] + " " + string(m.Value)
		}
		want := map[string]string{"json_truncated": `logs/0/2 {"cut`, "mapping": "logs/0/1 " + failure("192.0.2.2")}
		if !maps.Equal(reasons, want) {
			t.Errorf("%v", reasons)
		}
		s := a.Stats
		if s.Records.Load() != 4 || s.Archived.Load() != 2 || s.DeadLettered.Load() != 2 || s.Documents.Load() != 2 {
			t.Errorf("records %d archived %d dead %d", s.Records.Load(), s.Archived.Load(), s.DeadLettered.Load())
		}
	})
}

func TestArchiveCommitsNothingWhileTheSinkIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{down: true}
		a := testArchive(t, sink, &fakeSender{})
		freed := 0
		b := batchOf(0, time.Now(), failure("192.0.2.1"))
		b.Free = func() { freed++ }
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{b}}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx, claim) }()
		time.Sleep(time.Minute)
		began := time.Now()
		stop()
		if err := <-done; err == nil {
			t.Error("it is not said that something was left")
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if claim.committed() != -1 || a.Stats.Records.Load() != 0 || freed != 1 {
			t.Errorf("committed %d, counted %d, freed %d", claim.committed(), a.Stats.Records.Load(), freed)
		}
	})
}

// memoryLog is the hits topic in memory.
type memoryLog struct {
	mu     sync.Mutex
	shards map[int32][][]byte
	down   bool
}

func (l *memoryLog) Produce(_ context.Context, _ string, _ kafka.Codec, parts map[int32][]kafka.Message) map[int32]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := map[int32]error{}
	for shard, msgs := range parts {
		if l.down {
			errs[shard] = errors.New("down")
			continue
		}
		for _, m := range msgs {
			l.shards[shard] = append(l.shards[shard], slices.Clone(m.Value))
		}
	}
	return errs
}

func (l *memoryLog) hits(t *testing.T) map[string]int {
	out := map[string]int{}
	for _, log := range l.shards {
		for _, b := range log {
			var f hit.Frame
			if err := f.Parse(b); err != nil {
				t.Fatal(err)
			}
			for i := range f.Hits {
				out[f.Hits[i].Rule+" "+f.Hits[i].Key]++
			}
		}
	}
	return out
}

func testMatch(t *testing.T, log *memoryLog) *Match {
	g, _ := testGeneration(t)
	return &Match{Generation: func() *Generation { return g }, Producer: log, HitsTopic: "hits", Clock: time.Now, Log: zap.NewNop(), Stats: &MatchStats{},
		Tick: time.Second, Idle: 5 * time.Second, Commit: time.Second, MaxQueue: 1 << 20, Drain: time.Second}
}

func TestMatchCommitsBehindAcknowledgedFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{shards: map[int32][][]byte{}, down: true}
		m := testMatch(t, log)
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, time.Now(), failure("192.0.2.1"), failure("192.0.2.1"), failure("192.0.2.2"), "text")}}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx, claim) }()
		time.Sleep(5 * time.Second)
		if claim.committed() != -1 {
			t.Errorf("committed %d although nothing was acknowledged", claim.committed())
		}
		log.mu.Lock()
		log.down = false
		log.mu.Unlock()
		time.Sleep(5 * time.Second)
		if claim.committed() != 4 {
			t.Errorf("committed %d", claim.committed())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got, want := log.hits(t), map[string]int{"guessing 192.0.2.1": 2, "guessing 192.0.2.2": 1}; !maps.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

func TestMatchCountsByRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{shards: map[int32][][]byte{}}
		m := testMatch(t, log)
		first, second := m.Generation(), testMatch(t, log).Generation()
		swapped := false
		m.Generation = func() *Generation {
			if swapped {
				return second
			}
			return first
		}
		const root, hidden, keyless = `{"user":{"name":"root"},"source":{"ip":"192.0.2.1"}}`, `{"user":{"name":"root"},"source":{"ip":"192.0.2.99"}}`, `{"event":{"action":"login","outcome":"failure"}}`
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, time.Now(), root, hidden, hidden, keyless, failure("192.0.2.1"))}}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx, claim) }()
		time.Sleep(3 * time.Second)
		counts := func() map[string]RuleCounts {
			out := map[string]RuleCounts{}
			m.Stats.Rules.Each(func(id string, c RuleCounts) { out[id] = c })
			return out
		}
		want := map[string]RuleCounts{"root": {Matched: 1, Excepted: 2}, "guessing": {Matched: 2, Keyless: 1}}
		if got := counts(); !maps.Equal(got, want) {
			t.Errorf("%+v", got)
		}
		claim.mu.Lock() // the counters go on, whatever worker counts
		swapped = true
		claim.batches = append(claim.batches, batchOf(5, time.Now(), root, hidden))
		claim.mu.Unlock()
		time.Sleep(3 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want["root"] = RuleCounts{Matched: 2, Excepted: 3}
		if got := counts(); !maps.Equal(got, want) {
			t.Errorf("%+v", got)
		}
	})
}

// memoryStore is a shard store in memory.
type memoryStore struct {
	mu     sync.Mutex
	shard  Shard
	alerts map[string]alert.Alert
	fail   error
	writes int
}

func (s *memoryStore) Claim(context.Context, int32, string) (Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shard.Epoch++
	return s.shard, nil
}

func (s *memoryStore) Earlier(context.Context, int32, int64) (int64, []byte, error) {
	return 0, nil, nil
}

func (s *memoryStore) Apply(_ context.Context, _ time.Time, writes []ShardWrite) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, w := range writes {
		if w.Epoch != s.shard.Epoch {
			return errors.New("fenced")
		}
		s.writes++
		s.shard.Next, s.shard.TopicID = w.Next, w.TopicID
		if w.Checkpoint != nil {
			s.shard.Checkpoint, s.shard.CheckpointAt = w.Checkpoint, w.Next
		}
		for _, a := range w.Alerts {
			if a.Revision > s.alerts[a.ID].Revision {
				s.alerts[a.ID] = a
			}
		}
	}
	return nil
}

func testDetect(t *testing.T, store *memoryStore) *Detect {
	_, p := testGeneration(t)
	return &Detect{Program: func() *detectors.Program { return p }, Store: store, HitsTopic: "hits", Wanted: func(context.Context, string) bool { return true }, Clock: time.Now, Log: zap.NewNop(), Stats: &DetectStats{},
		Checkpoint: 2 * time.Second, Save: time.Second, Timeout: time.Second, Drain: time.Second, Silence: 30 * time.Second}
}

// shardBatches turns the frames of source records into batches of the shard that a key belongs to.
func shardBatches(t *testing.T, key string, source ...*event.Batch) (int32, []*event.Batch) {
	t.Helper()
	g, _ := testGeneration(t)
	w, shard := NewWorker(g), hit.ShardOf(ingest.DefaultTenant, "guessing", key)
	var out []*event.Batch
	for _, b := range source {
		w.Batch(b, func(s int32, f *hit.Frame) {
			if s == shard {
				src, n := event.Source{Topic: "hits", TopicID: "h1", Partition: shard}, int64(len(out))
				out = append(out, &event.Batch{Source: src, Partitions: hit.Shards, First: n, Next: n + 1, Records: []event.Record{{Source: src, Offset: n, Value: f.Append(nil)}}})
			}
		})
	}
	return shard, out
}

func TestDetectGoesOnWhereTheStoreSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{shard: Shard{Next: -1}, alerts: map[string]alert.Alert{}}
		at := time.Now()
		f := failure("192.0.2.1")
		shard, batches := shardBatches(t, "192.0.2.1", batchOf(0, at, f, f, f), batchOf(3, at.Add(3*time.Second), f, f, f))
		src := event.Source{Topic: "hits", TopicID: "h1", Partition: shard}
		run := func(d *Detect, claim *fakeClaim, wait time.Duration) error {
			ctx, stop := context.WithTimeout(context.Background(), wait)
			defer stop()
			return d.Run(ctx, claim)
		}
		first := &fakeClaim{source: src, batches: batches[:1]}
		if err := run(testDetect(t, store), first, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if first.seeks[src] != kafka.FirstOffset || store.shard.Checkpoint == nil || store.shard.Next != 1 || len(store.alerts) != 0 {
			t.Fatalf("seeks %v, store %+v", first.seeks, store.shard.Next)
		}
		store.fail = errors.New("disk full")
		if err := run(testDetect(t, store), &fakeClaim{source: src, batches: batches[1:]}, 5*time.Second); err == nil {
			t.Error("a transaction failed, and the loop went on with memory that is ahead of the store")
		}
		store.fail = nil
		again := &fakeClaim{source: src, batches: batches[1:]}
		if err := run(testDetect(t, store), again, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if again.seeks[src] != 1 || len(store.alerts) != 1 {
			t.Fatalf("seeks %v, alerts %v", again.seeks, store.alerts)
		}
		for _, a := range store.alerts {
			if a.Count != 5 || a.Severity != alert.High || a.Title != "192.0.2.1: 5 failures" {
				t.Errorf("%+v", a)
			}
		}
	})
}

func TestDetectReportsAnotherHitsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{shard: Shard{Next: 7, TopicID: "old"}, alerts: map[string]alert.Alert{}}
		src := event.Source{Topic: "hits", TopicID: "new", Partition: 3}
		d := testDetect(t, store)
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		claim := &fakeClaim{source: src}
		if err := d.Run(ctx, claim); err != nil {
			t.Fatal(err)
		}
		if d.Stats.Gaps.Load() != 1 || claim.seeks[src] > 0 {
			t.Errorf("gaps %d, seeks %v", d.Stats.Gaps.Load(), claim.seeks)
		}
	})
}
