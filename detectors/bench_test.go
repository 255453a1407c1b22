package detectors

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/hit"
)

// TestHitsOnKnownKeysAllocateNothing: neither of a quiet key, nor of one in a flood, with and without carried fields.
func TestHitsOnKnownKeysAllocateNothing(t *testing.T) {
	for _, fields := range [][]hit.Field{nil, {user("alice")}} {
		m := NewMemory(newProgram(Limits{}, []*rule{countRule("a", 1<<30, time.Hour, 0)}), 1)
		at := base
		f := frame(event1(), 1, 0, one("a", "192.0.2.7", at))
		next := func(step int64) func() {
			return func() {
				at += step
				f.First, f.Last = f.First+1, f.Last+1
				f.Hits[0].Offset, f.Hits[0].Time, f.Hits[0].RecordTime, f.Hits[0].Fields = f.Last, at, at, fields
				m.Apply(f)
			}
		}
		for range 40 {
			next(1)()
		}
		// growing lists allocate now and then, so that the mean is below one
		if n := testing.AllocsPerRun(20, next(1)); n > 0 {
			t.Errorf("a quiet key: %.1f allocations with %d fields", n, len(fields))
		}
		for range 2000 {
			next(0)()
		}
		if n := testing.AllocsPerRun(1000, next(0)); n > 0 {
			t.Errorf("a flood: %.1f allocations with %d fields", n, len(fields))
		}
	}
}

// frames makes frames of 500 hits from a stream of hits.
func frames(n int, at func(i int) hit.Hit) []hit.Frame {
	var out []hit.Frame
	for from := 0; from < n; from += 500 {
		f := hit.Frame{Kind: hit.Hits, Source: event1(), Partitions: 1, First: int64(from), Last: int64(min(from+500, n) - 1)}
		for i := from; i < min(from+500, n); i++ {
			h := at(i)
			h.Offset = int64(i)
			f.Hits = append(f.Hits, h)
		}
		out = append(out, f)
	}
	return out
}

func BenchmarkApply(b *testing.B) {
	const n = 1_000_000
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%d.%d.%d.%d", 1+i>>16, i>>8&255, i&255, i&7)
	}
	alice := []hit.Field{user("alice")}
	for _, c := range []struct {
		name string
		at   func(i int) hit.Hit
	}{
		{"new keys", func(i int) hit.Hit { return one("a", keys[i], base+int64(i)/100) }},
		{"known keys", func(i int) hit.Hit { return one("a", keys[i%50_000], base+int64(i)/100) }},
		{"one hot key", func(i int) hit.Hit { return one("a", "k", base+int64(i)*60/1000) }},
		{"one hot key with a field", func(i int) hit.Hit {
			h := one("a", "k", base+int64(i)*60/1000)
			h.Fields = alice
			return h
		}},
		{"one hot key, a second out of order", func(i int) hit.Hit { return one("a", "k", base+int64(i)*60/1000-int64(i*7919%1000)) }},
		{"one hot key, half a minute out of order", func(i int) hit.Hit { return one("a", "k", base+int64(i)*60/1000-int64(i*7919%30_000)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			log := frames(n, c.at)
			p := newProgram(Limits{MaxKeys: 2 * n, MaxBytes: 1 << 40}, []*rule{countRule("a", 1000, time.Minute, time.Hour)})
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				m := NewMemory(p, 1)
				b.StartTimer()
				for i := range log {
					m.Apply(&log[i])
				}
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(m.keys), "B/key")
				b.ReportMetric(float64(m.bytes)/float64(m.keys), "accounted/key")
				start := time.Now()
				f := m.Freeze()
				b.ReportMetric(float64(time.Since(start).Microseconds()), "freeze-µs")
				runtime.KeepAlive(f)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/hit")
		})
	}
}
