package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// tally turns what a benchmark did into numbers per event. It counts between resume and pause.
type tally struct {
	events, bytes   int
	busy            time.Duration
	mallocs, memory uint64

	cpu   time.Duration
	clock time.Time
	then  runtime.MemStats
}

func (t *tally) resume() {
	runtime.ReadMemStats(&t.then)
	t.cpu, t.clock = cpuTime(), time.Now()
}

func (t *tally) pause() {
	busy := cpuTime() - t.cpu
	if busy <= 0 {
		busy = time.Since(t.clock)
	}
	t.busy += busy
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	t.mallocs += now.Mallocs - t.then.Mallocs
	t.memory += now.TotalAlloc - t.then.TotalAlloc
}

// report replaces the numbers per iteration: how much an iteration does is nobody's business.
func (t *tally) report(b *testing.B) {
	n := float64(t.events)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
	b.ReportMetric(float64(t.busy.Nanoseconds())/n, "cpu-ns/event")
	b.ReportMetric(n/t.busy.Seconds(), "events/s/core")
	b.ReportMetric(float64(t.bytes)/1e6/t.busy.Seconds(), "MB/s/core")
	b.ReportMetric(float64(t.mallocs)/n, "allocs/event")
	b.ReportMetric(float64(t.memory)/n, "B/event")
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
			t.resume()
		}
		one := l.batches[i%len(l.batches)]
		t.events += batch(one)
		t.bytes += one.Bytes
	}
	t.pause()
	t.report(b)
}
