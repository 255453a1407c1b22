package pipeline

import (
	"maps"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// Counter only grows.
type Counter struct{ n atomic.Int64 }

// Add adds.
func (c *Counter) Add(n int) { c.n.Add(int64(n)) }

// Load is the count so far.
func (c *Counter) Load() int64 { return c.n.Load() }

// Gauge is a number that goes up and down.
type Gauge struct{ n atomic.Int64 }

// Store sets it.
func (g *Gauge) Store(n int64) { g.n.Store(n) }

// Add changes it.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Load reads it.
func (g *Gauge) Load() int64 { return g.n.Load() }

// TopicGauge is a number for each topic.
type TopicGauge struct {
	mu      sync.Mutex
	byTopic map[string]int64
}

// Store sets all of them; a topic that is left out is gone. The map belongs to the gauge from then on.
func (g *TopicGauge) Store(byTopic map[string]int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.byTopic = byTopic
}

// Topics is a copy of the numbers.
func (g *TopicGauge) Topics() map[string]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.byTopic)
}

// Load is all of them together.
func (g *TopicGauge) Load() (sum int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.byTopic {
		sum += n
	}
	return sum
}

// oldest is the earliest record time of a batch, and before if that is earlier; 0 stands for none.
func oldest(before int64, records []event.Record) int64 {
	for i := range records {
		before = earlier(before, records[i].Time)
	}
	return before
}

// earlier is the lesser of two times, of which 0 and less stand for none.
func earlier(a, b int64) int64 {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}

// latencyBuckets are powers of two of a tenth of a millisecond: 0.1 ms to about two hours.
const latencyBuckets = 27

// Latency is a distribution of spans.
type Latency struct {
	buckets [latencyBuckets]atomic.Int64
	sum     atomic.Int64 // microseconds
}

// Observe adds a span.
func (l *Latency) Observe(d time.Duration) {
	d = max(d, 0)
	tenths := uint64(d / (100 * time.Microsecond))
	l.buckets[min(bits.Len64(tenths), latencyBuckets-1)].Add(1)
	l.sum.Add(d.Microseconds())
}

// Count is how many spans there were.
func (l *Latency) Count() (n int64) {
	for i := range l.buckets {
		n += l.buckets[i].Load()
	}
	return n
}

// Sum is all spans together.
func (l *Latency) Sum() time.Duration { return time.Duration(l.sum.Load()) * time.Microsecond }

// Quantile is the upper bound of the bucket that the q-th quantile lies in; 0 when nothing was observed.
func (l *Latency) Quantile(q float64) time.Duration {
	n := l.Count()
	if n == 0 {
		return 0
	}
	rank, seen := int64(math.Ceil(q*float64(n))), int64(0)
	for i := range l.buckets {
		if seen += l.buckets[i].Load(); seen >= rank {
			return l.Bound(i)
		}
	}
	return l.Bound(latencyBuckets - 1)
}

// Bound is the upper bound of the i-th bucket.
func (l *Latency) Bound(i int) time.Duration { return time.Duration(1<<i) * 100 * time.Microsecond }

// Buckets is how many spans there were at or below each bound, for a histogram.
func (l *Latency) Buckets() map[float64]uint64 {
	out, sum := make(map[float64]uint64, latencyBuckets), uint64(0)
	for i := range l.buckets {
		sum += uint64(l.buckets[i].Load())
		out[l.Bound(i).Seconds()] = sum
	}
	return out
}
