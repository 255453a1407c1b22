package pipeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBreakerKeepsItsWord: whatever happens and when, an open breaker ends its wait, each wait is within its bounds and no shorter
// than the one before while nothing was taken, and one success closes it.
func TestBreakerKeepsItsWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b breaker
		now, before, inARow := time.Unix(0, 0), time.Duration(0), 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(b.wait(now) + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later")))
			if b.wait(now) != 0 {
				t.Fatal("it waits longer than it said")
			}
			if rapid.Bool().Draw(t, "taken") {
				if closed := b.answered(); closed != (inARow >= breakAfter) || b.open() {
					t.Fatalf("closed %v after %d failures", closed, inARow)
				}
				before, inARow = 0, 0
				continue
			}
			inARow++
			wait := b.failed(now, 0.5)
			if (wait > 0) != (inARow >= breakAfter) || wait != b.wait(now) {
				t.Fatalf("%v after %d failures", wait, inARow)
			}
			if wait < before || wait > longBreak || wait > 0 && wait < firstBreak {
				t.Fatalf("%v after %v", wait, before)
			}
			before = wait
		}
	})
}
