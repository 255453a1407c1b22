package bench

import (
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/pipeline"
)

// matcher is the match loop between fetch and produce.
type matcher struct {
	worker *pipeline.Worker
	out    func(shard int32, f *hit.Frame)
	bytes  int // of the frames made
}

func newMatcher(g *pipeline.Generation) *matcher {
	m := &matcher{worker: pipeline.NewWorker(g)}
	m.out = func(_ int32, f *hit.Frame) { m.bytes += len(f.Append(nil)) } // a new frame, as the loop's queue needs it
	return m
}

// batch answers how many events it was.
func (m *matcher) batch(b *event.Batch) int { return m.worker.Batch(b, m.out).Events }

// BenchmarkMatchLoop is fetched batch -> frames of hits, with the shipped datasets and rules.
func BenchmarkMatchLoop(b *testing.B) {
	g := shipped(b)
	for _, l := range lanes() {
		b.Run(l.name, func(b *testing.B) {
			m := newMatcher(g)
			measure(b, l, m.batch)
		})
	}
}

func TestMatchLoopHits(t *testing.T) {
	m := newMatcher(shipped(t))
	for _, l := range lanes() {
		events := 0
		m.bytes = 0
		for _, b := range l.batches {
			events += m.batch(b)
		}
		if events < perBatch*batches*99/100 || m.bytes == 0 {
			t.Errorf("%s: %d events and %d bytes of frames of %d records: nothing worth measuring", l.name, events, m.bytes, perBatch*batches)
		}
	}
}
