package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

type note struct {
	text  string // its first letter is its subject
	tries int
	due   time.Time
	state string
}

// shelf is an outbox in memory.
type shelf struct {
	notes []*note
	down  error // what every write ends with
}

func (s *shelf) Due(_ context.Context, _ string, now time.Time, limit int) (out []*note, _ error) {
	waits := map[byte]bool{}
	for _, n := range s.notes {
		if n.state != "" {
			continue
		}
		waits[n.text[0]] = waits[n.text[0]] || n.due.After(now)
		if !waits[n.text[0]] && len(out) < limit {
			out = append(out, n)
		}
	}
	return out, nil
}

func (s *shelf) Sent(ctx context.Context, n *note, ref string, _ time.Time) error {
	if s.down != nil {
		return s.down
	}
	n.state = "sent " + ref
	return ctx.Err()
}

func (s *shelf) Failed(_ context.Context, n *note, cause string, next time.Time) error {
	if s.down != nil {
		return s.down
	}
	n.tries++
	n.due = next
	if next.IsZero() {
		n.state = "parked: " + cause
	}
	return nil
}

// states are what became of the notes, in their order; "" waits.
func (s *shelf) states() (out []string) {
	for _, n := range s.notes {
		out = append(out, n.state)
	}
	return out
}

func shelve(texts ...string) *shelf {
	s := &shelf{}
	for _, text := range texts {
		s.notes = append(s.notes, &note{text: text})
	}
	return s
}

type notifier func(context.Context, *note) error

func (f notifier) Deliver(ctx context.Context, n *note) (string, error) { return n.text, f(ctx, n) }

var (
	errDown    = errors.New("down")
	errRefused = errors.New("refused")
)

// newDeliver is a loop whose waits are not spread.
func newDeliver(s *shelf, f notifier) *Deliver[*note] {
	return &Deliver[*note]{Destination: "x", Outbox: s, Notifier: f, Permanent: func(err error) bool { return errors.Is(err, errRefused) },
		Attempts: func(n *note) int { return n.tries }, Subject: func(n *note) string { return n.text[:1] }, Clock: time.Now, Log: zap.NewNop(), Stats: &DeliverStats{},
		Every: time.Second, Timeout: time.Second, Jitter: func() float64 { return 0.5 }}
}

// runFor runs loops for a while, in a bubble of time.
func runFor(span time.Duration, loops ...*Deliver[*note]) {
	ctx, stop := context.WithCancel(context.Background())
	for _, d := range loops {
		go d.Run(ctx)
	}
	time.Sleep(span)
	stop()
	synctest.Wait()
}

func wantStates(t *testing.T, s *shelf, want ...string) {
	t.Helper()
	if got := s.states(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDeliverBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelve("a", "b")
		var tried []time.Duration
		began := time.Now()
		d := newDeliver(s, func(_ context.Context, n *note) error {
			if n.text == "b" {
				return nil
			}
			if tried = append(tried, time.Since(began)); len(tried) < 4 {
				return errDown
			}
			return nil
		})
		runFor(20*time.Second, d)
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(tried, want) {
			t.Errorf("tried at %v, want %v", tried, want)
		}
		wantStates(t, s, "sent a", "sent b")
		if d.Stats.Delivered.Load() != 2 || d.Stats.Failures.Load() != 3 || d.Stats.BreakerOpen.Load() != 0 {
			t.Errorf("%+v", d.Stats)
		}
	})
}

func TestDeliverSpreadsItsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for jitter, want := range map[float64]time.Duration{0: 800 * time.Millisecond, 0.25: 900 * time.Millisecond, 0.999: 1200 * time.Millisecond} {
			s := shelve("a")
			d := newDeliver(s, func(context.Context, *note) error { return errDown })
			d.Jitter = func() float64 { return jitter }
			began := time.Now()
			d.Flush(context.Background())
			if got := s.notes[0].due.Sub(began).Round(time.Millisecond); got != want {
				t.Errorf("%v: %v, want %v", jitter, got, want)
			}
		}
	})
}

func TestDeliverHoldsUpOneSubjectOnly(t *testing.T) {
	s := shelve("a1", "a2", "b1", "b2")
	d := newDeliver(s, func(_ context.Context, n *note) error {
		if n.text == "a1" {
			return errDown
		}
		return nil
	})
	d.Flush(context.Background())
	wantStates(t, s, "", "", "sent b1", "sent b2")
	if d.Stats.Waiting.Load() != 0 {
		t.Error(d.Stats.Waiting.Load())
	}
}

// threads is an outbox that says of a message what the one before it became, as a store does.
type threads struct {
	*shelf
	seen []string
}

func (o *threads) Due(ctx context.Context, name string, now time.Time, limit int) ([]*note, error) {
	due, err := o.shelf.Due(ctx, name, now, limit)
	for i, n := range due {
		c := *n
		if before := slices.Index(o.notes, n) - 1; before >= 0 {
			c.text += " after " + o.notes[before].state
		}
		due[i] = &c
	}
	return due, err
}

func (o *threads) Sent(_ context.Context, n *note, _ string, _ time.Time) error {
	o.seen = append(o.seen, n.text)
	o.notes[slices.IndexFunc(o.notes, func(m *note) bool { return m.text == n.text[:2] })].state = "sent"
	return nil
}

func TestDeliverReadsWhatFollowsAnew(t *testing.T) {
	o := &threads{shelf: shelve("a1", "a2", "a3")}
	d := newDeliver(o.shelf, func(context.Context, *note) error { return nil })
	d.Outbox = o
	d.Flush(context.Background())
	if want := []string{"a1", "a2 after sent", "a3 after sent"}; !slices.Equal(o.seen, want) {
		t.Errorf("%q", o.seen)
	}
}

func TestDeliverParksWhatIsRefused(t *testing.T) {
	s := shelve("a", "b", "c", "d", "e", "f", "g")
	d := newDeliver(s, func(_ context.Context, n *note) error {
		if n.text != "g" {
			return errRefused
		}
		return nil
	})
	d.Flush(context.Background())
	p := "parked: refused"
	wantStates(t, s, p, p, p, p, p, p, "sent g") // who refuses is up: the breaker stays closed
	if d.Stats.Parked.Load() != 6 {
		t.Error(d.Stats.Parked.Load())
	}
}

func TestDeadDestinationDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var last time.Duration
		live := newDeliver(shelve("a", "b", "c"), func(context.Context, *note) error { last = time.Since(began); return nil })
		slow := newDeliver(shelve("a", "b", "c"), func(ctx context.Context, _ *note) error { <-ctx.Done(); return ctx.Err() })
		dead := newDeliver(shelve("a", "b", "c"), func(context.Context, *note) error { return errDown })
		runFor(10*time.Second, slow, dead, live)
		wantStates(t, live.Outbox.(*shelf), "sent a", "sent b", "sent c")
		if last != 0 {
			t.Errorf("the last message to the live destination came after %v", last)
		}
		wantStates(t, slow.Outbox.(*shelf), "", "", "")
		if n := slow.Stats.Failures.Load(); n < 3 || n > 10 {
			t.Errorf("%d tries that took a second each within ten seconds", n)
		}
	})
}

// TestBreaker: a destination that is down is tried ever more rarely, with one message at a time, and the others are left as they are.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var texts []string
		for i := range 200 {
			texts = append(texts, fmt.Sprintf("%c", 0x4e00+i)) // a subject each
		}
		s, began := shelve(texts...), time.Now()
		var tried []time.Duration
		core, logged := observer.New(zap.InfoLevel)
		d := newDeliver(s, func(context.Context, *note) error {
			if time.Since(began) >= 200*time.Second {
				return nil
			}
			tried = append(tried, time.Since(began))
			return errDown
		})
		d.Subject = func(n *note) string { return n.text }
		d.Log = zap.New(core)
		runFor(4*time.Second, d)
		if d.Stats.BreakerOpen.Load() != 1 || d.Stats.Breaks.Load() != 1 || d.Stats.Waiting.Load() == 0 {
			t.Errorf("%+v", d.Stats)
		}
		runFor(260*time.Second, d)

		// Five in a row open it; then 5, 10, 20, 40 and 60 s pass before a single message is tried.
		want := []time.Duration{0, 0, 0, 0, 0, 5 * time.Second, 15 * time.Second, 35 * time.Second, 75 * time.Second, 135 * time.Second, 195 * time.Second}
		if !slices.Equal(tried, want) {
			t.Errorf("tried at %v, want %v", tried, want)
		}
		burnt := 0
		for _, n := range s.notes {
			burnt += n.tries
			if n.state == "" {
				t.Fatalf("%s was not delivered", n.text)
			}
		}
		if burnt != len(want) {
			t.Errorf("%d tries are written on messages, and %d were made", burnt, len(want))
		}
		var said []string
		for _, e := range logged.All() {
			said = append(said, e.Level.String())
		}
		if want := []string{"warn", "warn", "warn", "warn", "error", "info"}; !slices.Equal(said, want) {
			t.Errorf("logged %q, want %q", said, want)
		}
		if d.Stats.BreakerOpen.Load() != 0 || d.Stats.Delivered.Load() != 200 {
			t.Errorf("%+v", d.Stats)
		}
	})
}

func TestDeliverKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := shelve("a", "b", "c", "d", "e"), time.Now()
		var at []time.Duration
		d := newDeliver(s, func(context.Context, *note) error {
			at = append(at, time.Since(began).Round(time.Millisecond))
			return nil
		})
		d.Rate = Rate{PerSecond: 0.5, Burst: 2}
		runFor(time.Minute, d)
		if want := []time.Duration{0, 0, 2 * time.Second, 4 * time.Second, 6 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("delivered at %v, want %v", at, want)
		}
		s.notes = append(s.notes, &note{text: "f"}, &note{text: "g"})
		began, at = time.Now(), nil
		d.Flush(context.Background())
		if want := []time.Duration{0, 0}; !slices.Equal(at, want) {
			t.Errorf("after a quiet while at %v, want %v", at, want)
		}
	})
}

func TestDeliverManyAtAHighRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		for i := range 300 {
			s.notes = append(s.notes, &note{text: fmt.Sprintf("%c", 0x4e00+i)})
		}
		d := newDeliver(s, func(context.Context, *note) error { return nil })
		d.Subject = func(n *note) string { return n.text }
		d.Rate = Rate{PerSecond: 50}
		began := time.Now()
		d.Flush(context.Background())
		if took := d.Stats.LastDelivery.Load() - began.UnixMilli(); took != 5980 || d.Stats.Delivered.Load() != 300 {
			t.Errorf("%d took %d ms", d.Stats.Delivered.Load(), took)
		}
	})
}

func TestDeliverSaysHowManyWait(t *testing.T) {
	s, told := shelve("a1", "a2", "b", "c"), map[string]int{}
	d := newDeliver(s, func(context.Context, *note) error { return nil })
	d.Behind = func(n *note, more int) *note { told[n.text] = more; return n }
	d.Flush(context.Background())
	if told["a1"] != 3 || told["b"] != 2 || told["c"] != 1 || told["a2"] != 0 {
		t.Errorf("%v", told)
	}
}

type busy time.Duration

func (busy) Error() string               { return "busy" }
func (b busy) RetryAfter() time.Duration { return time.Duration(b) }

// TestDeliverListensToTheDestination: who says when to come again is left alone until then, with every message.
func TestDeliverListensToTheDestination(t *testing.T) {
	for said, want := range map[time.Duration]time.Duration{42 * time.Second: 42 * time.Second, time.Hour: longRetry, 0: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s, began := shelve("a", "b"), time.Now()
			var at []time.Duration
			d := newDeliver(s, func(context.Context, *note) error {
				if at = append(at, time.Since(began)); len(at) == 1 {
					return fmt.Errorf("wrapped: %w", busy(said))
				}
				return nil
			})
			runFor(10*time.Minute, d)
			expect := []time.Duration{0, want, want}
			if said == 0 {
				expect = []time.Duration{0, 0, want} // it did not say, so b goes on
			}
			if !slices.Equal(at, expect) {
				t.Errorf("said %v: tried at %v, want %v", said, at, expect)
			}
		})
	}
}

// TestStoreDownRepeatsNothing: while the outbox cannot be written, what was delivered is not delivered again, and nothing else is.
func TestStoreDownRepeatsNothing(t *testing.T) {
	for name, answer := range map[string]error{"taken": nil, "refused": errRefused, "failed": errDown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, tries := shelve("a", "b"), map[string]int{}
				s.down = errors.New("the store is down")
				d := newDeliver(s, func(_ context.Context, n *note) error {
					if tries[n.text]++; n.text == "a" && tries["a"] == 1 {
						return answer
					}
					return nil
				})
				runFor(time.Minute, d)
				if tries["a"] != 1 || tries["b"] != 0 {
					t.Fatalf("tried %v", tries)
				}
				s.down = nil
				runFor(10*time.Second, d) // another Run begins with what the outbox says
				if tries["a"] != 2 || tries["b"] != 1 || s.notes[0].state != "sent a" {
					t.Errorf("tried %v, %q", tries, s.states())
				}
			})
		})
	}
}

// TestCrashBetweenDeliveryAndOutbox: what was delivered and not written down is delivered again, as the same message.
func TestCrashBetweenDeliveryAndOutbox(t *testing.T) {
	s := shelve("a")
	s.down = errors.New("killed")
	var got []*note
	take := func(_ context.Context, n *note) error { got = append(got, n); return nil }
	newDeliver(s, take).Flush(context.Background())
	s.down = nil
	newDeliver(s, take).Flush(context.Background())
	if len(got) != 2 || got[0] != got[1] || got[1].tries != 0 {
		t.Errorf("%+v", got)
	}
	wantStates(t, s, "sent a")
}

// TestStoppedIsNotRefused: a delivery that ends because the process does counts as nothing; one that had succeeded is written down.
func TestStoppedIsNotRefused(t *testing.T) {
	for name, taken := range map[string]bool{"under way": false, "taken": true} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			s := shelve("a", "b")
			d := newDeliver(s, func(ctx context.Context, _ *note) error {
				stop()
				if taken {
					return nil
				}
				return ctx.Err()
			})
			d.Run(ctx)
			want := []string{"", ""}
			if taken {
				want[0] = "sent a"
			}
			wantStates(t, s, want...)
			if s.notes[0].tries != 0 || d.Stats.Failures.Load() != 0 {
				t.Errorf("%+v %+v", s.notes[0], d.Stats)
			}
		})
	}
}
