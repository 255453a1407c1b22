package pipeline

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// behind runs the detect loop of a process whose rules lack the one that the hits are of, until it has had the time given. It loads
// the rule after a while, if at all.
func behind(t *testing.T, loadAfter, maxWait, run time.Duration) (*Detect, *memoryStore) {
	t.Helper()
	store := &memoryStore{shard: Shard{Next: -1}, alerts: map[string]alert.Alert{}}
	f := failure("192.0.2.1")
	shard, batches := shardBatches(t, "192.0.2.1", batchOf(0, time.Now(), f, f, f, f, f))
	for _, b := range batches {
		b.Records[0].Time = time.Now().UnixMilli()
	}
	d := testDetect(t, store)
	d.MaxWait = maxWait
	newer := d.Program()
	_, older := generationOf(t, testRules[strings.Index(testRules, "---"):])
	var current atomic.Pointer[detectors.Program]
	current.Store(older)
	d.Program = current.Load
	asked := false
	d.Newer = func() {
		if !asked && loadAfter > 0 {
			asked = true
			time.AfterFunc(loadAfter, func() { current.Store(newer) })
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), run)
	defer stop()
	claim := &fakeClaim{source: event.Source{Topic: "hits", TopicID: "h1", Partition: shard}, batches: batches}
	if err := d.Run(ctx, claim); err != nil {
		t.Fatal(err)
	}
	return d, store
}

func TestDetectWaitsForRulesThatAnotherProcessHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, store := behind(t, 3*time.Second, 10*time.Second, 20*time.Second)
		if len(store.alerts) != 1 || d.Stats.RuleWaits.Load() != 1 || d.Stats.StaleRule.Load() != 0 {
			t.Errorf("alerts %v, waits %d, stale %d", store.alerts, d.Stats.RuleWaits.Load(), d.Stats.StaleRule.Load())
		}
		if store.shard.Next != 1 {
			t.Errorf("the shard stands at %d", store.shard.Next)
		}
	})
}

func TestDetectDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, store := behind(t, 0, 10*time.Second, 20*time.Second)
		if len(store.alerts) != 0 || d.Stats.StaleRule.Load() != 5 || store.shard.Next != 1 {
			t.Errorf("alerts %v, stale %d, next %d", store.alerts, d.Stats.StaleRule.Load(), store.shard.Next)
		}
	})
}

func TestDetectDoesNotWaitForOldHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, store := behind(t, time.Hour, -time.Second, time.Second)
		if d.Stats.StaleRule.Load() != 5 || store.shard.Next != 1 {
			t.Errorf("stale %d, next %d", d.Stats.StaleRule.Load(), store.shard.Next)
		}
	})
}

func TestDetectThatIsStoppedWhileItWaitsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, store := behind(t, time.Hour, 10*time.Second, 2*time.Second)
		if d.Stats.StaleRule.Load() != 0 || store.shard.Next > 0 {
			t.Errorf("stale %d, next %d: the next owner would not read the frame again", d.Stats.StaleRule.Load(), store.shard.Next)
		}
	})
}

// TestSwapSaysWhatItDropped exchanges the rules under a loop that remembers hits: one rule is gone, and its memory with it; that is
// said and stored.
func TestSwapSaysWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{shard: Shard{Next: -1}, alerts: map[string]alert.Alert{}}
		f := failure("192.0.2.1")
		shard, batches := shardBatches(t, "192.0.2.1", batchOf(0, time.Now(), f, f, f), batchOf(3, time.Now(), f, f, f))
		d := testDetect(t, store)
		core, logged := observer.New(zap.InfoLevel)
		d.Log, d.Checkpoint = zap.New(core), time.Hour
		before := d.Program()
		_, after := generationOf(t, testRules[strings.Index(testRules, "---"):])
		var current atomic.Pointer[detectors.Program]
		current.Store(before)
		d.Program = current.Load
		src := event.Source{Topic: "hits", TopicID: "h1", Partition: shard}
		claim := &fakeClaim{source: src, batches: batches[:1]}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx, claim) }()
		time.Sleep(3 * time.Second)
		stored := func() bool {
			store.mu.Lock()
			defer store.mu.Unlock()
			return store.shard.Checkpoint != nil
		}
		if stored() {
			t.Fatal("a checkpoint is there already, and the test proves nothing")
		}
		current.Store(after)
		claim.mu.Lock()
		claim.batches = batches[1:]
		claim.mu.Unlock()
		time.Sleep(3 * time.Second)
		if !stored() {
			t.Error("after the exchange no checkpoint was stored: a restart would bring back what the earlier rules remembered")
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		said := logged.FilterMessage("new rules in a shard").All()
		if len(said) != 1 || !strings.Contains(said[0].ContextMap()["memory"].(string), "dropped guessing (the rule is gone): 1 keys") {
			t.Errorf("said %v", said)
		}
		if len(store.alerts) != 0 || d.Stats.StaleRule.Load() != 3 || d.Stats.RuleWaits.Load() != 0 {
			t.Errorf("alerts %v, stale %d, waits %d", store.alerts, d.Stats.StaleRule.Load(), d.Stats.RuleWaits.Load())
		}
	})
}

// TestWhatWasRaisedDoesNotWait: alerts of a batch are stored before a frame in it is held back.
func TestWhatWasRaisedDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{shard: Shard{Next: -1}, alerts: map[string]alert.Alert{}}
		g, _ := testGeneration(t)
		w, src := NewWorker(g), event.Source{Topic: "hits", TopicID: "h1", Partition: 3}
		batch := &event.Batch{Source: src, Partitions: hit.Shards, First: 0}
		root := `{"user":{"name":"root"},"source":{"ip":"192.0.2.1"}}`
		for i, line := range []string{root, failure("192.0.2.1"), root} {
			w.Batch(batchOf(int64(i), time.Now(), line), func(_ int32, f *hit.Frame) {
				batch.Records = append(batch.Records, event.Record{Source: src, Offset: int64(i), Time: time.Now().UnixMilli(), Value: f.Append(nil)})
			})
		}
		batch.Next = int64(len(batch.Records))
		d := testDetect(t, store)
		d.MaxWait = 10 * time.Second
		_, older := generationOf(t, testRules[strings.Index(testRules, "---"):])
		d.Program = func() *detectors.Program { return older }
		seen := func() (int, int64) {
			store.mu.Lock()
			defer store.mu.Unlock()
			return len(store.alerts), store.shard.Next
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx, &fakeClaim{source: src, batches: []*event.Batch{batch}}) }()
		time.Sleep(3 * time.Second)
		if alerts, next := seen(); alerts != 1 || next != 1 {
			t.Errorf("while the second frame waits: %d alerts are stored, and the shard stands at %d", alerts, next)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if alerts, next := seen(); alerts != 2 || next != 3 {
			t.Errorf("at the end: %d alerts are stored, and the shard stands at %d", alerts, next)
		}
	})
}
