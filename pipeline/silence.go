package pipeline

import (
	"context"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"go.uber.org/zap"
)

// heard is when the last frame of each topic of the logs was applied in a shard, and how far the shard's log was read. Whoever
// reads a topic sends a tick every second, so a topic of which nothing comes at the log's end is read by nobody.
type heard struct {
	last  map[string]*int64 // by topic: Unix milliseconds
	ended int64             // when the fetch was sent that last found the log's end, Unix milliseconds
}

// batch notes that a batch was applied.
func (h *heard) batch(b *event.Batch) {
	if b.AtEnd {
		h.ended = max(h.ended, b.Asked)
	}
}

// frame notes that a frame was applied at a time.
func (h *heard) frame(f *hit.Frame, at int64) {
	if last := h.last[f.Source.Topic]; last != nil {
		*last = at
		return
	}
	first := at // a copy, so that only a topic's first frame costs an allocation
	h.last[strings.Clone(f.Source.Topic)] = &first
}

// silent answers whether nothing of a topic was heard for so long, at the log's end. One that was never heard of is from now on.
func (h *heard) silent(topic string, now int64, long time.Duration) bool {
	last := h.last[topic]
	if last == nil {
		h.last[topic] = &now
		return false
	}
	return h.ended-*last >= long.Milliseconds()
}

// forget lets go of topics that nobody reads any more and that are not to be read either: they were deleted, or the configuration
// names them no longer. Until then time waits for them. A topic that is only read by nobody at the moment holds time back: what is
// in it is still to come.
func (g *detecting) forget(ctx context.Context) {
	now, wanted := g.Clock().UnixMilli(), map[string]bool{}
	for _, o := range g.shards {
		for _, topic := range o.memory.Waits() {
			if !o.heard.silent(topic, now, g.Silence) {
				continue
			}
			still, asked := wanted[topic]
			if !asked {
				still = g.Wanted(ctx, topic)
				wanted[topic] = still
			}
			if still {
				*o.heard.last[topic] = now // and is asked about again after as long
				continue
			}
			g.Log.Info("a topic is read no longer and does not hold time back any more", zap.Int32("shard", o.source.Partition), zap.String("topic", topic))
			o.memory.Forget(topic)
			delete(o.heard.last, topic)
		}
	}
}
