package pipeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBucketKeepsToItsRate: in any span of time at most its share and one burst is let through, and whoever waits as long as told
// may go.
func TestBucketKeepsToItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{PerSecond: rapid.Float64Range(0.01, 1000).Draw(t, "rate"), Burst: rapid.IntRange(0, 20).Draw(t, "burst")}
		var b bucket
		var gone []time.Time
		now := time.Unix(1e9, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "later")))
			now = now.Add(b.wait(r, now))
			if b.wait(r, now) != 0 {
				t.Fatal("it has to wait again")
			}
			b.take(r, now)
			gone = append(gone, now)
			for i, from := range gone {
				if n, most := float64(len(gone)-i), now.Sub(from).Seconds()*r.PerSecond+r.burst(); n > most+1e-3 {
					t.Fatalf("%v within %v at %v a second and bursts of %v", n, now.Sub(from), r.PerSecond, r.burst())
				}
			}
		}
	})
}

func TestNoRate(t *testing.T) {
	var b bucket
	for range 1000 {
		if b.wait(Rate{}, time.Time{}) != 0 {
			t.Fatal("no bound, and yet a wait")
		}
		b.take(Rate{}, time.Time{})
	}
}
