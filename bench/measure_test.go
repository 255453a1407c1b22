package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// tally turns what a benchmark did into numbers per event.
type tally struct {
	events, bytes   int
	cpu             time.Duration
	mallocs, memory uint64
}

func (t *tally) start() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*t = tally{mallocs: m.Mallocs, memory: m.TotalAlloc, cpu: cpuTime()}
}

// report replaces the numbers per iteration: how much an iteration does is nobody's business.
func (t *tally) report(b *testing.B) {
	busy := cpuTime() - t.cpu
	if busy <= 0 {
		busy = b.Elapsed()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	n := float64(t.events)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
	b.ReportMetric(float64(busy.Nanoseconds())/n, "cpu-ns/event")
	b.ReportMetric(n/busy.Seconds(), "events/s/core")
	b.ReportMetric(float64(t.bytes)/1e6/busy.Seconds(), "MB/s/core")
	b.ReportMetric(float64(m.Mallocs-t.mallocs)/n, "allocs/event")
	b.ReportMetric(float64(m.TotalAlloc-t.memory)/n, "B/event")
}

// measure runs the batches of a lane round and round; batch answers how many events it saw.
func measure(b *testing.B, l lane, batch func(*event.Batch) int) {
	for _, one := range l.batches { // buffers grow to their size
		batch(one)
	}
	runtime.GC() // of what was there before
	var t tally
	for i := 0; b.Loop(); i++ {
		if i == 0 {
			t.start()
		}
		one := l.batches[i%len(l.batches)]
		t.events += batch(one)
		t.bytes += one.Bytes
	}
	t.report(b)
}
