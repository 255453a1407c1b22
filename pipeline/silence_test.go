package pipeline

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// silenceBench is one shard whose log is written and read by hand.
type silenceBench struct {
	*testing.T
	g      *detecting
	topics map[string]bool // that are to be read
	asked  []string
}

func newSilenceBench(t *testing.T, topics ...string) *silenceBench {
	b := &silenceBench{T: t, topics: map[string]bool{}}
	for _, name := range topics {
		b.topics[name] = true
	}
	d := testDetect(t, &memoryStore{shard: Shard{Next: -1}, alerts: map[string]alert.Alert{}})
	d.Wanted = func(_ context.Context, topic string) bool {
		b.asked = append(b.asked, topic)
		return b.topics[topic]
	}
	b.g = &detecting{Detect: d}
	o, err := b.g.load(t.Context(), kafka.Partition{Source: event.Source{Topic: "hits", TopicID: "h1"}})
	if err != nil {
		t.Fatal(err)
	}
	b.g.shards = []*owned{o}
	return b
}

// read applies a tick of each of these topics, and tends the shard.
func (b *silenceBench) read(atEnd bool, topics ...string) {
	o := b.g.shards[0]
	batch := &event.Batch{Source: o.source, First: o.next, Next: o.next, AtEnd: atEnd, Asked: time.Now().UnixMilli()}
	for _, name := range topics {
		f := hit.Frame{Kind: hit.Tick, Source: event.Source{Topic: name, TopicID: name}, Partitions: 1, Marks: []hit.Mark{{Watermark: time.Now().UnixMilli()}}}
		batch.Records = append(batch.Records, event.Record{Source: o.source, Offset: batch.Next, Value: f.Append(nil)})
		batch.Next++
	}
	if _, err := b.g.batch(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	b.g.tend(b.Context())
}

// minutes reads ticks of topics, every second, for so long.
func (b *silenceBench) minutes(n int, atEnd bool, topics ...string) {
	for range 60 * n {
		b.read(atEnd, topics...)
		time.Sleep(time.Second)
	}
}

func (b *silenceBench) wantWaits(want ...string) {
	b.Helper()
	if got := b.g.shards[0].memory.Waits(); !slices.Equal(got, want) {
		b.Errorf("time waits for %v, want %v", got, want)
	}
}

func TestATopicThatNobodyReadsAndThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBench(t, "kept", "deleted")
		b.minutes(1, true, "kept", "deleted")
		b.wantWaits("deleted", "kept")
		delete(b.topics, "deleted")
		b.minutes(1, true, "kept", "deleted") // whoever reads it has not noticed
		b.wantWaits("deleted", "kept")
		held := b.g.shards[0].memory.Now()
		b.minutes(1, true, "kept")
		b.wantWaits("kept")
		if b.g.shards[0].memory.Now() <= held {
			t.Error("time stands still")
		}
		b.read(true, "kept", "deleted") // a late frame
		b.minutes(1, true, "kept")
		b.wantWaits("kept")
	})
}

func TestATopicIsNotForgottenBeforeItsFramesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBench(t, "kept")
		b.read(false, "deleted")
		b.minutes(10, false, "kept") // there may be frames of it further on
		b.wantWaits("deleted", "kept")
	})
}

func TestATopicThatIsToBeReadHoldsTimeBackAndIsRarelyAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBench(t, "kept", "silent")
		b.read(true, "silent")
		b.minutes(10, true, "kept")
		b.wantWaits("kept", "silent")
		if n := len(b.asked); n < 10 || n > 20 {
			t.Errorf("asked %d times in ten minutes", n)
		}
	})
}

func TestARestoredTopicIsForgottenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSilenceBench(t, "kept")
		b.read(true, "kept", "deleted")
		b.g.shards[0].heard.last = map[string]*int64{} // as after a restart
		b.minutes(1, true, "kept")
		b.wantWaits("kept")
	})
}

func TestHeardFramesCostNoAllocation(t *testing.T) {
	h := heard{last: map[string]*int64{}}
	f := &hit.Frame{Source: event.Source{Topic: "logs"}}
	h.frame(f, 1)
	if n := testing.AllocsPerRun(100, func() { h.frame(f, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
