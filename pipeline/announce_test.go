package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// neighbour is a claim of a group that reads another topic too, whose partitions somebody else owns.
type neighbour struct{ *fakeClaim }

func (c neighbour) Topics() []kafka.Topic {
	return append(c.fakeClaim.Topics(), kafka.Topic{Name: "other", ID: "t2", Partitions: 1})
}

// TestMatchNamesEveryTopicFirst: the time of a topic that is read fast must not pass before a shard knows that there is another one,
// whoever reads it: its events would be late.
func TestMatchNamesEveryTopicFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memoryLog{shards: map[int32][][]byte{}}
		m := testMatch(t, log)
		claim := neighbour{&fakeClaim{source: testSource, batches: []*event.Batch{batchOf(0, time.Now(), failure("192.0.2.1"))}}}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := m.Run(ctx, claim); err != nil {
			t.Fatal(err)
		}
		_, program := testGeneration(t)
		for shard, frames := range log.shards {
			memory := detectors.NewMemory(program, 1)
			for i, b := range frames {
				var f hit.Frame
				if err := f.Parse(b); err != nil {
					t.Fatal(err)
				}
				memory.Apply(&f)
				if i < 2 && (f.Kind != hit.Tick || len(f.Marks) > 0) {
					t.Errorf("shard %d: frame %d is not the name of a topic: %+v", shard, i, f)
				}
			}
			if now := time.UnixMilli(memory.Now()); now.Year() > 1970 {
				t.Errorf("shard %d: it is %s although nothing was heard of a topic", shard, now)
			}
		}
		if len(log.shards) != hit.Shards {
			t.Errorf("%d shards were told anything", len(log.shards))
		}
	})
}
