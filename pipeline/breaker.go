package pipeline

import "time"

// Bounds of a breaker.
const (
	// breakAfter is how many failures in a row open it.
	breakAfter = 5
	// firstBreak is how long it stays open at first, longBreak at most.
	firstBreak = 5 * time.Second
	longBreak  = time.Minute
)

// breaker leaves a destination alone that fails again and again. Closed, it lets everything through; open, nothing, for a while;
// then, half open, one message, which either closes it or opens it for twice as long. It never asks a clock.
type breaker struct {
	failures int       // in a row
	breaks   int       // how often it has opened since it was last closed
	until    time.Time // when the next message may be tried; zero: it is closed
}

// wait is for how long nothing may be tried.
func (b *breaker) wait(now time.Time) time.Duration { return until(b.until, now) }

// open says whether the destination counts as down, half open included.
func (b *breaker) open() bool { return !b.until.IsZero() }

// answered says that the destination is up, and whether that closed the breaker.
func (b *breaker) answered() (closed bool) {
	closed = b.open()
	*b = breaker{}
	return closed
}

// failed says that a try failed, and returns for how long nothing is tried now: 0 while it stays closed. Jitter is from 0 to below 1.
func (b *breaker) failed(now time.Time, jitter float64) time.Duration {
	b.failures++
	if !b.open() && b.failures < breakAfter {
		return 0
	}
	d := spread(grown(firstBreak, longBreak, b.breaks), jitter)
	b.breaks++
	b.until = now.Add(d)
	return d
}

// grown doubles a span n times, up to a limit.
func grown(first, limit time.Duration, n int) time.Duration {
	return min(first<<min(n, 10), limit)
}

// spread makes a span up to a fifth shorter or longer, so that many who fail at once do not all come again at once.
func spread(d time.Duration, jitter float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*jitter))
}

// until is how long it is from now to an instant, or 0 when that has passed.
func until(at, now time.Time) time.Duration { return max(at.Sub(now), 0) }
