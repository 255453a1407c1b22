package pipeline

import "time"

// Rate is how many messages a destination is given at most. The zero Rate is no bound.
type Rate struct {
	PerSecond float64
	Burst     int // how many at once after a quiet while; 0 is 1
}

func (r Rate) burst() float64 { return float64(max(r.Burst, 1)) }

// bucket holds what a Rate allows at the moment. It never asks a clock.
type bucket struct {
	tokens float64
	at     time.Time // when tokens was right; zero: the bucket is full
}

// wait is how long until another message may go.
func (b *bucket) wait(r Rate, now time.Time) time.Duration {
	if r.PerSecond <= 0 {
		return 0
	}
	missing := 1 - b.filled(r, now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing/r.PerSecond*float64(time.Second)) + 1 // rounded up, or the wait would end too early to go on
}

// take takes a message's worth.
func (b *bucket) take(r Rate, now time.Time) {
	if r.PerSecond > 0 {
		b.tokens, b.at = b.filled(r, now)-1, now
	}
}

func (b *bucket) filled(r Rate, now time.Time) float64 {
	if b.at.IsZero() {
		return r.burst()
	}
	return min(b.tokens+until(now, b.at).Seconds()*r.PerSecond, r.burst())
}
