package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"go.uber.org/zap"
)

// Shard is what the store knows of a shard when it is claimed.
type Shard struct {
	Epoch        int64  // who may write: the greatest epoch only
	Next         int64  // the next offset of the hits topic, or -1 where the store has none
	TopicID      string // which incarnation of the hits topic Next belongs to
	CheckpointAt int64  // the offset that Checkpoint stands at
	Checkpoint   []byte // nil: none
}

// ShardWrite is what one transaction says of a shard.
type ShardWrite struct {
	Shard      int32
	Epoch      int64
	Next       int64
	TopicID    string
	Checkpoint []byte // nil: none this time; else the memory at Next
	Alerts     []alert.Alert
}

// ShardStore keeps shards and alerts. Apply is one transaction that begins with the check that every shard is still the caller's.
type ShardStore interface {
	Claim(ctx context.Context, shard int32, topicID string) (Shard, error)
	Apply(ctx context.Context, now time.Time, writes []ShardWrite) error
	// Earlier is the checkpoint before the one at an offset, for when that one cannot be read; nil where there is none.
	Earlier(ctx context.Context, shard int32, before int64) (at int64, checkpoint []byte, err error)
}

// DetectStats counts what the detect loop did.
type DetectStats struct {
	Frames, Hits, Alerts, Revisions, Transactions, Failures, Gaps, BadFrames, Checkpoints, CommitFailures Counter
	// What memories count: hits of a time that was closed, of a position that was seen, of another version of their rule or of none,
	// of no possible time; frames of a topic's earlier incarnation; keys and hits given up because memory was full; alerts ended early.
	Late, SeenBefore, StaleRule, BadTime, ForeignFrames, EvictedKeys, EvictedHits, EndedEarly, Rounded Counter
	RuleWaits                                                                                          Counter // times that hits of a rule that is not loaded waited for it
	Lag, Shards, CheckpointBytes, Keys, MemoryBytes                                                    Gauge
	// OldestUncommitted is the time of the oldest frame that was read and is not stored, as of the last transaction: Unix
	// milliseconds, 0 for none.
	OldestUncommitted Gauge
	Age               Latency // from a record's own time to the commit of the alert that it raised
}

// Detect is the detect loop: by shard, owning all memory. The store's offset is the truth; Kafka's serves lag tools.
type Detect struct {
	Program   func() *detectors.Program // the current one; asked at every batch
	Newer     func()                    // told that another process seems to have newer rules; may be nil
	MaxWait   time.Duration             // how old hits of rules that are not loaded may become before they are given up; 30 s
	Store     ShardStore
	HitsTopic string
	// Wanted says whether a topic of the logs is to be read. It is asked about one of which nothing came for Silence, and may ask the
	// brokers: the answer to a question that cannot be decided now is yes.
	Wanted  func(ctx context.Context, topic string) bool
	Clock   Clock
	Log     *zap.Logger
	Stats   *DetectStats
	Applied func() // told after a transaction that held alerts; may be nil

	Checkpoint time.Duration // how often memory is written to the store; 30 s
	Save       time.Duration // how often the offset of a shard without alerts is stored; 1 s
	Timeout    time.Duration // of one transaction
	Drain      time.Duration // how long the last transaction may take after the shards are lost
	Silence    time.Duration // how long a topic may be silent before it is asked about; 30 s
}

// owned is one shard and its memory.
type owned struct {
	Shard
	source  event.Source
	memory  *detectors.Memory
	program *detectors.Program
	next    int64 // what the memory has applied
	saved   int64 // what the store has
	marked  int64 // what the newest checkpoint stands at
	written time.Time
	lag     int64
	oldest  int64 // record time of the oldest frame that is not stored
	pending []alert.Alert
	newest  int64            // record time of the newest hit behind pending
	counted map[string]int64 // what the memory had counted when it was last looked at
	heard   heard
}

type detecting struct {
	*Detect
	claim  SeekClaim
	shards []*owned                 // ascending
	past   map[ruleVersion]struct{} // of rules, whose hits nothing is to wait for
}

// Run detects in the shards of the claim until ctx ends or a transaction fails: then memory is ahead of the store, and the caller
// claims again.
func (d *Detect) Run(ctx context.Context, claim SeekClaim) error {
	g := &detecting{Detect: d, claim: claim, past: map[ruleVersion]struct{}{}}
	for _, p := range sortedPartitions(claim.Owned()) {
		o, err := g.load(ctx, p)
		if err != nil {
			return err
		}
		g.shards = append(g.shards, o)
		at := o.next
		if o.Next < 0 {
			at = kafka.FirstOffset
		}
		if err := claim.Seek(p.Source, at); err != nil {
			return fmt.Errorf("cannot go on in shard %d: %w", p.Source.Partition, err)
		}
	}
	d.Stats.Shards.Store(int64(len(g.shards)))
	defer func() {
		for _, gauge := range []*Gauge{&d.Stats.Shards, &d.Stats.Lag, &d.Stats.Keys, &d.Stats.MemoryBytes, &d.Stats.OldestUncommitted} {
			gauge.Store(0)
		}
	}()
	if err := g.loop(ctx); err != nil {
		return err
	}
	g.countUp()
	last, done := afterwards(ctx, d.Drain)
	defer done()
	return g.transact(last, true)
}

func sortedPartitions(ps []kafka.Partition) []kafka.Partition {
	return slices.SortedFunc(slices.Values(ps), func(a, b kafka.Partition) int { return int(a.Source.Partition) - int(b.Source.Partition) })
}

// load claims a shard and brings its memory back. What lies between the checkpoint and the stored offset is read again: the same
// frames make the same alerts, which the store knows already.
func (g *detecting) load(ctx context.Context, p kafka.Partition) (*owned, error) {
	claimCtx, done := context.WithTimeout(ctx, g.Timeout)
	defer done()
	shard := p.Source.Partition
	s, err := g.Store.Claim(claimCtx, shard, p.Source.TopicID)
	if err != nil {
		g.Stats.Failures.Add(1)
		return nil, fmt.Errorf("cannot claim shard %d: %w", shard, err)
	}
	// Checkpoints are spread over time: all at once they would not fit one transaction.
	o := &owned{Shard: s, source: p.Source, program: g.Program(), counted: map[string]int64{}, heard: heard{last: map[string]*int64{}},
		written: g.Clock().Add(-time.Duration(shard%hit.Shards) * g.Detect.Checkpoint / hit.Shards)}
	switch {
	case s.Next < 0: // begin at the earliest hit
	case s.TopicID != p.Source.TopicID:
		g.Stats.Gaps.Add(1)
		g.Log.Error("the hits topic is not the one this shard was read from: its hits up to now may be lost; going on from its beginning",
			zap.String("topic", g.HitsTopic), zap.Int32("shard", shard), zap.String("was", s.TopicID), zap.String("is", p.Source.TopicID))
		o.Checkpoint = nil
	case s.Checkpoint != nil:
		if err := g.restore(claimCtx, o, s.CheckpointAt, s.Checkpoint); err != nil {
			return nil, err
		}
	}
	if o.memory == nil {
		o.memory = detectors.NewMemory(o.program, seed(p.Source))
	}
	o.saved, o.marked, o.Checkpoint = o.next, o.next, nil
	return o, nil
}

// restore brings a shard's memory back from its checkpoint; where that cannot be read, from the one before; else from the log's
// beginning, which is a gap if the log does not reach back far enough.
func (g *detecting) restore(ctx context.Context, o *owned, at int64, checkpoint []byte) error {
	shard := o.source.Partition
	for checkpoint != nil {
		memory, report, err := detectors.Restore(bytes.NewReader(checkpoint), o.program)
		if err == nil {
			g.Log.Info("restored a shard", zap.Int32("shard", shard), zap.Int64("offset", at), zap.Stringer("memory", report))
			o.memory, o.next = memory, at
			return nil
		}
		g.Log.Error("cannot read a checkpoint, trying the one before", zap.Int32("shard", shard), zap.Int64("offset", at), zap.Error(err))
		if at, checkpoint, err = g.Store.Earlier(ctx, shard, at); err != nil {
			return fmt.Errorf("cannot read the checkpoints of shard %d: %w", shard, err)
		}
	}
	g.Stats.Gaps.Add(1)
	return nil
}

// seed is the same whoever owns the shard, and nobody outside can know the id of the hits topic.
func seed(s event.Source) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", s.TopicID, s.Partition)
	return h.Sum64()
}

func (g *detecting) loop(ctx context.Context) error {
	lastSave := g.Clock()
	for ctx.Err() == nil {
		b, err := g.claim.Fetch(ctx)
		if err != nil {
			return nil // ctx has ended
		}
		raised, err := g.batch(ctx, b)
		b.Release()
		if ctx.Err() != nil {
			return nil // what is new is stored by the last transaction, which has time of its own
		}
		if err != nil {
			return err
		}
		now := g.Clock()
		if raised || now.Sub(lastSave) >= g.Save {
			if err := g.transact(ctx, false); err != nil {
				return err
			}
			if now.Sub(lastSave) >= g.Save {
				lastSave = now
				g.commit(ctx)
				g.tend(ctx)
			}
		}
	}
	return nil
}

// batch applies a batch of one shard and answers whether it raised anything that is not stored yet.
func (g *detecting) batch(ctx context.Context, b *event.Batch) (raised bool, err error) {
	i, ok := slices.BinarySearchFunc(g.shards, b.Source.Partition, func(o *owned, p int32) int { return int(o.source.Partition) - int(p) })
	if !ok {
		return false, nil
	}
	o := g.shards[i]
	if b.Skipped > 0 {
		g.Stats.Gaps.Add(1)
		g.Log.Error("hits are gone from the log before they were read; keep them longer than the detect loop may stand still",
			zap.String("topic", g.HitsTopic), zap.Int32("shard", b.Source.Partition), zap.Int64("frames", b.Skipped))
	}
	g.swap(o)
	o.lag = max(0, b.End-b.Next)
	if b.Next < o.next { // the log was cut off behind us, and grows again
		g.Stats.Gaps.Add(1)
		g.Log.Error("the hits topic goes on before where it was read to: hits were lost", zap.String("topic", g.HitsTopic), zap.Int32("shard", b.Source.Partition), zap.Int64("was", o.next), zap.Int64("is", b.Next))
		o.next, o.saved, o.marked = b.Next, -1, -1
	}
	var f hit.Frame
	for i := range b.Records {
		if err := f.Parse(b.Records[i].Value); err != nil {
			g.Stats.BadFrames.Add(1)
			g.Log.Error("a record of the hits topic is no frame and is left out", zap.Int32("shard", b.Source.Partition), zap.Int64("offset", b.Records[i].Offset), zap.Error(err))
			continue
		}
		if ok, err := g.await(ctx, o, &f, &b.Records[i]); !ok {
			return len(o.pending) > 0, err
		}
		g.apply(o, &f)
	}
	o.next = max(o.next, b.Next)
	o.oldest = oldest(o.oldest, b.Records)
	o.heard.batch(b)
	return len(o.pending) > 0, nil
}

func (g *detecting) apply(o *owned, f *hit.Frame) {
	g.Stats.Frames.Add(1)
	g.Stats.Hits.Add(len(f.Hits))
	alerts := o.memory.Apply(f)
	o.heard.frame(f, g.Clock().UnixMilli())
	for i := range alerts {
		if alerts[i].Revision == 1 {
			g.Stats.Alerts.Add(1)
			for j := range f.Hits {
				o.newest = max(o.newest, f.Hits[j].RecordTime)
			}
		}
	}
	g.Stats.Revisions.Add(len(alerts))
	o.pending = append(o.pending, alerts...)
}

// maxCheckpoints bounds the checkpoints of one transaction, which must end within its time; the last one holds all.
const maxCheckpoints = 4

// transact stores what is new: alerts, offsets and, when they are due or final is set, checkpoints.
func (g *detecting) transact(ctx context.Context, final bool) error {
	now, checkpoints := g.Clock(), 0
	var writes []ShardWrite
	for _, o := range g.shards {
		w := ShardWrite{Shard: o.source.Partition, Epoch: o.Epoch, Next: o.next, TopicID: o.source.TopicID, Alerts: o.pending}
		if o.next > o.marked && (final || checkpoints < maxCheckpoints && now.Sub(o.written) >= g.Detect.Checkpoint) {
			checkpoints++
			var buf bytes.Buffer
			if _, err := o.memory.Freeze().WriteTo(&buf); err != nil {
				return fmt.Errorf("cannot write the checkpoint of shard %d: %w", w.Shard, err)
			}
			w.Checkpoint = buf.Bytes()
		}
		if o.next > o.saved || len(w.Alerts) > 0 || w.Checkpoint != nil {
			writes = append(writes, w)
		}
	}
	g.uncommitted()
	if len(writes) == 0 {
		return nil
	}
	txCtx, done := context.WithTimeout(ctx, g.Timeout)
	defer done()
	if err := g.Store.Apply(txCtx, now, writes); err != nil {
		g.Stats.Failures.Add(1)
		return fmt.Errorf("cannot store alerts: %w", err)
	}
	g.stored(writes, now)
	return nil
}

func (g *detecting) stored(writes []ShardWrite, now time.Time) {
	g.Stats.Transactions.Add(1)
	at, raised, lag := g.Clock().UnixMilli(), false, int64(0)
	for _, o := range g.shards {
		lag += o.lag
		if len(o.pending) > 0 {
			raised = true
			if o.newest > 0 {
				g.Stats.Age.Observe(time.Duration(at-o.newest) * time.Millisecond)
			}
		}
		o.pending, o.newest = nil, 0
	}
	for _, w := range writes {
		i, _ := slices.BinarySearchFunc(g.shards, w.Shard, func(o *owned, p int32) int { return int(o.source.Partition) - int(p) })
		o := g.shards[i]
		o.saved, o.oldest = w.Next, 0
		if w.Checkpoint != nil {
			o.written, o.marked = now, w.Next
			g.Stats.Checkpoints.Add(1)
			g.Stats.CheckpointBytes.Store(int64(len(w.Checkpoint)))
		}
	}
	g.Stats.Lag.Store(lag)
	g.uncommitted()
	if raised && g.Applied != nil {
		g.Applied()
	}
}

// uncommitted notes how old the oldest frame is that waits to be stored.
func (g *detecting) uncommitted() {
	at := int64(0)
	for _, o := range g.shards {
		if o.next > o.saved {
			at = earlier(at, o.oldest)
		}
	}
	g.Stats.OldestUncommitted.Store(at)
}

// tend looks after memories once in a while: topics that are read no longer are let go of, also when late frames of theirs came,
// and what memories have counted is added up.
func (g *detecting) tend(ctx context.Context) {
	g.forget(ctx)
	g.countUp()
}

// countUp adds up what memories have counted since it was done last.
func (g *detecting) countUp() {
	keys, bytes := int64(0), int64(0)
	for _, o := range g.shards {
		now := o.memory.Stats()
		keys, bytes = keys+now["keys"], bytes+now["bytes"]
		for name, c := range g.memoryCounters() {
			if n := now[name] - o.counted[name]; n > 0 {
				c.Add(int(n))
			}
		}
		o.counted = now
	}
	g.Stats.Keys.Store(keys)
	g.Stats.MemoryBytes.Store(bytes)
}

func (g *detecting) memoryCounters() map[string]*Counter {
	s := g.Stats
	return map[string]*Counter{"late": &s.Late, "seen_before": &s.SeenBefore, "stale_basis": &s.StaleRule, "unknown_rule": &s.StaleRule, "bad_time": &s.BadTime,
		"foreign_frames": &s.ForeignFrames, "evicted_keys": &s.EvictedKeys, "evicted_hits": &s.EvictedHits, "ended_early": &s.EndedEarly, "rounded": &s.Rounded}
}

// commit tells Kafka where the shards stand, for lag tools only.
func (g *detecting) commit(ctx context.Context) {
	offsets := event.Offsets{}
	for _, o := range g.shards {
		if o.saved > 0 {
			offsets[o.source] = o.saved
		}
	}
	if len(offsets) == 0 {
		return
	}
	if err := g.claim.Commit(ctx, offsets); err != nil && ctx.Err() == nil {
		g.Stats.CommitFailures.Add(1)
	}
}
