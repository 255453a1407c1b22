package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
)

func shardTests() []test {
	return []test{
		{"a new shard", newShard},
		{"claims count", claimsCount},
		{"an old epoch is refused, and writes nothing", oldEpoch},
		{"a shard that nobody claimed is refused", unclaimed},
		{"a shard twice is refused", twice},
		{"two checkpoints are kept", checkpoints},
		{"another topic is a gap", gap},
		{"the log's end was lost", shortened},
		{"locks are taken in one order", lockOrder},
		{"all or nothing, whatever fails", allOrNothing},
		{"a context that ended", ended},
	}
}

func newShard(f *fixture) {
	f.same("state", f.claim(7), incidents.ShardState{Epoch: 1, Next: -1, TopicID: topicID})
}

func claimsCount(f *fixture) {
	for epoch := int64(1); epoch <= 3; epoch++ {
		if s := f.claim(7); s.Epoch != epoch {
			f.Errorf("epoch %d, want %d", s.Epoch, epoch)
		}
	}
	if s := f.claim(8); s.Epoch != 1 {
		f.Errorf("another shard has epoch %d", s.Epoch)
	}
}

// write is a write of one shard in epoch 1.
func write(shard int32, next int64, checkpoint string) incidents.ShardWrite {
	w := incidents.ShardWrite{Shard: shard, Epoch: 1, Next: next, TopicID: topicID}
	if checkpoint != "" {
		w.Checkpoint = []byte(checkpoint)
	}
	return w
}

func oldEpoch(f *fixture) {
	f.claim(1)
	f.claim(2)
	f.must(f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{write(2, 10, "ten"), write(1, 10, "ten")})) // any order will do
	f.claim(2)
	before := f.dump()
	w := []incidents.ShardWrite{write(1, 20, "twenty"), write(2, 20, "twenty")}
	w[0].Alerts = append(w[0].Alerts, raised("a", "k"))
	f.refused(f.book.Apply(f.ctx(), f.now, w), incidents.ErrFenced)
	f.same("what is stored", f.dump(), before)
	for _, shard := range []int32{1, 2} {
		if s := f.claim(shard); s.Next != 10 || string(s.Checkpoint) != "ten" || s.CheckpointAt != 10 {
			f.Errorf("shard %d was written: %+v", shard, s)
		}
	}
	if s := f.book.Stats(); s.Applied != 0 || s.Messages != 0 {
		f.Errorf("counted %+v", s)
	}
}

func unclaimed(f *fixture) {
	f.refused(f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{write(1, 1, "")}), incidents.ErrFenced)
	if s := f.claim(1); s.Epoch != 1 || s.Next != -1 {
		f.Errorf("%+v", s)
	}
}

func twice(f *fixture) {
	f.claim(1)
	f.refused(f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{write(1, 1, ""), write(1, 2, "")}), nil)
}

func (f *fixture) writes(w incidents.ShardWrite) {
	f.Helper()
	f.must(f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{w}))
}

// kept says which checkpoints a shard has, the newest first.
func (f *fixture) kept(shard int32) (out []string) {
	f.Helper()
	before := int64(1 << 60)
	for {
		at, state, err := f.book.EarlierCheckpoint(f.ctx(), shard, before)
		f.must(err)
		if state == nil {
			if at != -1 {
				f.Errorf("no checkpoint, at %d", at)
			}
			return out
		}
		out, before = append(out, fmt.Sprint(at, " ", string(state))), at
	}
}

func checkpoints(f *fixture) {
	f.claim(1)
	f.writes(write(1, 5, ""))
	f.same("checkpoints", f.kept(1), []string(nil))
	f.writes(write(1, 10, "a"))
	f.writes(write(1, 20, "b"))
	f.same("checkpoints", f.kept(1), []string{"20 b", "10 a"})
	f.writes(write(1, 30, "c"))
	f.writes(write(1, 35, ""))
	f.writes(write(1, 35, "")) // nothing new
	f.same("checkpoints", f.kept(1), []string{"30 c", "20 b"})
	f.writes(write(1, 30, "c again"))
	f.same("checkpoints", f.kept(1), []string{"30 c again", "20 b"})
	f.writes(write(1, 36, ""))
	f.same("state", f.claim(1), incidents.ShardState{Epoch: 2, Next: 36, TopicID: topicID, CheckpointAt: 30, Checkpoint: []byte("c again")})
}

func gap(f *fixture) {
	f.claim(1)
	f.writes(write(1, 100, "old"))
	s, err := f.book.Claim(f.ctx(), 1, "topic-2")
	f.must(err)
	f.same("state", s, incidents.ShardState{Epoch: 2, Next: 100, TopicID: topicID})
	if !s.Gap("topic-2") || s.Gap(topicID) {
		f.Error("the gap is not seen")
	}
	// Until something was stored of the new one, it stays a gap.
	s, err = f.book.Claim(f.ctx(), 1, "topic-2")
	f.must(err)
	if !s.Gap("topic-2") {
		f.Error("the gap is forgotten")
	}
	f.writes(incidents.ShardWrite{Shard: 1, Epoch: s.Epoch, Next: 3, TopicID: "topic-2"})
	s, err = f.book.Claim(f.ctx(), 1, "topic-2")
	f.must(err)
	f.same("state", s, incidents.ShardState{Epoch: 4, Next: 3, TopicID: "topic-2"})
	f.writes(incidents.ShardWrite{Shard: 1, Epoch: 4, Next: 7, TopicID: "topic-2", Checkpoint: []byte("new")})
	f.same("checkpoints", f.kept(1), []string{"7 new"})
	if s := f.newShardState(9, "x"); s.Gap("y") {
		f.Error("a shard that was never read has no gap")
	}
}

func (f *fixture) newShardState(shard int32, topic string) incidents.ShardState {
	f.Helper()
	s, err := f.book.Claim(f.ctx(), shard, topic)
	f.must(err)
	return s
}

func shortened(f *fixture) {
	f.claim(1)
	f.writes(write(1, 50, "a"))
	f.writes(write(1, 100, "b"))
	f.writes(write(1, 60, "c")) // the owner went back
	f.same("checkpoints", f.kept(1), []string{"60 c", "50 a"})
	if s := f.claim(1); s.Next != 60 || string(s.Checkpoint) != "c" {
		f.Errorf("%+v", s)
	}
}

// watching is a store that notes in which order its transactions lock.
type watching struct {
	incidents.Store
	shards []int32
	keys   []string
}

func (s *watching) Update(ctx context.Context, do func(incidents.Tx) error) error {
	return s.Store.Update(ctx, func(tx incidents.Tx) error { return do(&watchingTx{Tx: tx, store: s}) })
}

type watchingTx struct {
	incidents.Tx
	store *watching
}

func (t *watchingTx) Fence(w incidents.ShardWrite, now time.Time) error {
	if len(t.store.keys) > 0 {
		return errors.New("a fence after something else")
	}
	t.store.shards = append(t.store.shards, w.Shard)
	return t.Tx.Fence(w, now)
}

func (t *watchingTx) LockKey(keyID string) (incidents.KeyState, error) {
	t.store.keys = append(t.store.keys, keyID)
	return t.Tx.LockKey(keyID)
}

// lockOrder: two transactions that lock the same rows in different orders would wait for each other for ever.
func lockOrder(f *fixture) {
	s := &watching{Store: f.store}
	book := incidents.NewBook(s, incidents.Policy{})
	var writes []incidents.ShardWrite
	for shard := int32(9); shard > 0; shard-- {
		f.claim(shard)
		w := write(shard, 1, "")
		for i := range 3 {
			w.Alerts = append(w.Alerts, raised(fmt.Sprint(shard, i), fmt.Sprint(shard*7%5, i)))
		}
		writes = append(writes, w)
	}
	f.must(book.Apply(f.ctx(), f.now, writes))
	if len(s.shards) != 9 || !slices.IsSorted(s.shards) || len(s.keys) != 15 || !slices.IsSorted(s.keys) {
		f.Errorf("shards %v, keys %v", s.shards, s.keys)
	}
	if writes[0].Shard != 9 {
		f.Error("the caller's writes were changed")
	}
}

// allOrNothing lets a transaction that does everything fail at each of its calls.
func allOrNothing(f *fixture) {
	f.apply(raised("a", "k"), raised("old", "other"))
	broken := &failing{Store: f.store}
	book := incidents.NewBook(broken, incidents.Policy{Destinations: destinations()})
	second := []incidents.ShardWrite{{Epoch: 1, Next: 9, TopicID: topicID, Checkpoint: []byte("nine"), Alerts: incidentsOfManyKinds()}}
	act := func(b *incidents.Book) error { return b.Apply(f.ctx(), f.now, second) }
	before := f.dump()
	calls := f.failEverywhere(broken, before, func() error { return act(book) })
	if calls < 20 {
		f.Errorf("only %d calls were tried", calls)
	}
	clean := f.another()
	clean.apply(raised("a", "k"), raised("old", "other"))
	clean.must(act(clean.book))
	f.same("what is stored in the end", f.dump(), clean.dump())

	id := f.list(incidents.Filter{Tenant: "acme"})[0].ID
	f.failEverywhere(broken, f.dump(), func() error {
		_, err := book.Close(f.ctx(), f.now, id, "kim", incidents.Closed, "done")
		return err
	})
	m := f.due(soc)[0]
	f.failEverywhere(broken, f.dump(), func() error { return book.Sent(f.ctx(), m, "ref", f.now) })
}

// failEverywhere fails act at its first call, its second call and so on, until it comes through, and answers how many there are.
func (f *fixture) failEverywhere(s *failing, before Dump, act func() error) int {
	f.Helper()
	for s.at = 1; ; s.at++ {
		err := act()
		if !s.failed {
			f.must(err)
			return s.at - 1
		}
		f.refused(err, ErrInjected)
		f.same(fmt.Sprintf("what is stored after failure %d", s.at), f.dump(), before)
	}
}

func ended(f *fixture) {
	f.claim(1)
	ctx, cancel := context.WithCancel(f.ctx())
	cancel()
	w := write(1, 5, "x")
	w.Alerts = incidentsOfManyKinds()
	if err := f.book.Apply(ctx, f.now, []incidents.ShardWrite{w}); !errors.Is(err, context.Canceled) {
		f.Errorf("error %v", err)
	}
	if s := f.claim(1); s.Next != -1 || len(f.dump().Alerts) != 0 {
		f.Errorf("something was written: %+v", s)
	}
}
