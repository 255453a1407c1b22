package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"pgregory.net/rapid"
)

// TestEarlier: 0 and less stand for no time, and lose against every time.
func TestEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Int64Range(-3, 100)).Draw(t, "times")
		got, want := int64(0), int64(0)
		records := make([]event.Record, len(times))
		for i, at := range times {
			records[i].Time = at
			if at > 0 && (want == 0 || at < want) {
				want = at
			}
			got = earlier(got, at)
		}
		if got != want || oldest(0, records) != want {
			t.Fatalf("earlier %d, oldest %d, want %d", got, oldest(0, records), want)
		}
	})
}

func TestTopicGauge(t *testing.T) {
	var g TopicGauge
	g.Store(map[string]int64{"a": 1, "b": 2})
	g.Topics()["a"] = 100 // a copy
	if g.Load() != 3 || g.Topics()["b"] != 2 {
		t.Errorf("%d, %v", g.Load(), g.Topics())
	}
	if g.Store(nil); g.Load() != 0 || len(g.Topics()) != 0 {
		t.Errorf("%d, %v", g.Load(), g.Topics())
	}
}

// during runs a loop and looks at it at some moments.
func during(t *testing.T, run func(context.Context) error, moments ...func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	for _, look := range moments {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		look()
	}
	stop()
	<-done
}

// gatedSink makes nothing durable until its gate is open.
type gatedSink struct {
	*fakeSink
	gate chan struct{}
}

func (s gatedSink) Flush(ctx context.Context) ([]event.Rejection, error) {
	select {
	case <-s.gate:
		return s.fakeSink.Flush(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestArchiveSaysHowOldTheOldestUncommittedRecordIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, began := gatedSink{&fakeSink{}, make(chan struct{})}, time.Now()
		a := testArchive(t, sink.fakeSink, &fakeSender{})
		a.NewSink = func() (ArchiveSink, error) { return sink, nil }
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, began, failure("192.0.2.1"), failure("192.0.2.2"))}, fail: errors.New("no coordinator")}
		at := a.Stats.OldestUncommitted.Load
		during(t, func(ctx context.Context) error { return a.Run(ctx, claim) }, func() {
			if at() != began.UnixMilli() || a.Stats.Partitions.Load() != 1 {
				t.Errorf("the sink is down: %d, want %d", at(), began.UnixMilli())
			}
			close(sink.gate)
		}, func() {
			if at() != began.UnixMilli() || a.Stats.CommitFailures.Load() == 0 {
				t.Errorf("nothing is committed: %d, want %d", at(), began.UnixMilli())
			}
			claim.mu.Lock()
			claim.fail = nil
			claim.mu.Unlock()
		}, func() {
			if at() != 0 || claim.committed() != 2 {
				t.Errorf("everything is committed, without a record that came later: %d, offset %d", at(), claim.committed())
			}
		})
		if a.Stats.Partitions.Load() != 0 {
			t.Error("partitions are counted that were given back")
		}
	})
}

func TestMatchSaysHowOldTheOldestUncommittedRecordIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, began := &memoryLog{shards: map[int32][][]byte{}, down: true}, time.Now()
		m := testMatch(t, log)
		first, later := batchOf(0, began, "text", failure("192.0.2.1")), batchOf(2, began.Add(time.Minute), "text")
		claim := &fakeClaim{source: testSource, batches: []*event.Batch{first, later}, fail: errors.New("no coordinator")}
		at := m.Stats.OldestUncommitted.Load
		during(t, func(ctx context.Context) error { return m.Run(ctx, claim) }, func() {
			if at() != began.UnixMilli() || m.Stats.Partitions.Load() != 1 {
				t.Errorf("the hits topic is down: %d, want %d", at(), began.UnixMilli())
			}
			log.mu.Lock()
			log.down = false
			log.mu.Unlock()
		}, func() {
			if at() != began.UnixMilli() || m.Stats.CommitFailures.Load() == 0 {
				t.Errorf("nothing is committed: %d, want %d", at(), began.UnixMilli())
			}
			claim.mu.Lock()
			claim.fail = nil
			claim.mu.Unlock()
		}, func() {
			if at() != 0 || claim.committed() != 3 {
				t.Errorf("everything is committed, without a record that came later: %d, offset %d", at(), claim.committed())
			}
		})
		if m.Stats.Partitions.Load() != 0 {
			t.Error("partitions are counted that were given back")
		}
	})
}

// slowStore takes its time over a transaction.
type slowStore struct {
	*memoryStore
	gate chan struct{}
}

func (s slowStore) Apply(ctx context.Context, now time.Time, writes []ShardWrite) error {
	select {
	case <-s.gate:
		return s.memoryStore.Apply(ctx, now, writes)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestDetectSaysHowOldTheOldestUnstoredFrameIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := slowStore{&memoryStore{shard: Shard{Next: -1}, alerts: map[string]alert.Alert{}}, make(chan struct{})}
		shard, batches := shardBatches(t, "192.0.2.1", batchOf(0, time.Now(), failure("192.0.2.1")))
		wrote := time.Now().UnixMilli()
		batches[0].Records[0].Time = wrote
		d := testDetect(t, store.memoryStore)
		d.Store, d.Timeout = store, time.Minute
		claim := &fakeClaim{source: event.Source{Topic: "hits", TopicID: "h1", Partition: shard}, batches: batches}
		at := d.Stats.OldestUncommitted.Load
		during(t, func(ctx context.Context) error { return d.Run(ctx, claim) }, func() {
			if at() != wrote {
				t.Errorf("the store does not answer: %d, want %d", at(), wrote)
			}
			close(store.gate)
		}, func() {
			if at() != 0 || store.shard.Next != 1 {
				t.Errorf("everything is stored: %d, next %d", at(), store.shard.Next)
			}
		})
	})
}
