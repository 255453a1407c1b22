package pipeline

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
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
