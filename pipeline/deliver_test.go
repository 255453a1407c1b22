package pipeline

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

type note struct {
	text  string
	tries int
	due   time.Time
	state string
}

// shelf is an outbox in memory.
type shelf struct{ notes []*note }

func (s *shelf) Due(_ context.Context, _ string, now time.Time, limit int) (out []*note, _ error) {
	for _, n := range s.notes {
		if n.state == "" && !n.due.After(now) && len(out) < limit {
			out = append(out, n)
		}
	}
	return out, nil
}

func (s *shelf) Sent(ctx context.Context, n *note, ref string, _ time.Time) error {
	n.state = "sent " + ref
	return ctx.Err()
}

func (s *shelf) Failed(_ context.Context, n *note, cause string, next time.Time) error {
	n.tries++
	n.due = next
	if next.IsZero() {
		n.state = "parked: " + cause
	}
	return nil
}

type notifier func(*note) error

func (f notifier) Deliver(_ context.Context, n *note) (string, error) { return n.text, f(n) }

var errRefused = errors.New("refused")

func newDeliver(s *shelf, f notifier) *Deliver[*note] {
	return &Deliver[*note]{Destination: "x", Outbox: s, Notifier: f, Permanent: func(err error) bool { return errors.Is(err, errRefused) },
		Attempts: func(n *note) int { return n.tries }, Subject: func(n *note) string { return n.text[:1] }, Clock: time.Now, Log: zap.NewNop(), Stats: &DeliverStats{}, Every: time.Second, Timeout: time.Second}
}

func TestDeliverKeepsTheOrderAndBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{notes: []*note{{text: "a"}, {text: "b"}}}
		var tried []time.Duration
		began, down := time.Now(), 3
		d := newDeliver(s, func(n *note) error {
			if n.text == "a" {
				tried = append(tried, time.Since(began))
				if down--; down >= 0 {
					return errors.New("down")
				}
			}
			return nil
		})
		ctx, stop := context.WithCancel(context.Background())
		go d.Run(ctx)
		time.Sleep(20 * time.Second)
		stop()
		synctest.Wait()
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(tried, want) {
			t.Errorf("tried at %v, want %v", tried, want)
		}
		if s.notes[0].state != "sent a" || s.notes[1].state != "sent b" || d.Stats.Delivered.Load() != 2 || d.Stats.Failures.Load() != 3 {
			t.Errorf("%+v %+v", s.notes[0], s.notes[1])
		}
	})
}

func TestDeliverHoldsUpOneSubjectOnly(t *testing.T) {
	s := &shelf{notes: []*note{{text: "a1"}, {text: "a2"}, {text: "b1"}}}
	d := newDeliver(s, func(n *note) error {
		if n.text == "a1" {
			return errors.New("not now")
		}
		return nil
	})
	d.Flush(context.Background())
	if s.notes[0].state != "" || s.notes[1].state != "" || s.notes[2].state != "sent b1" {
		t.Errorf("%+v %+v %+v", s.notes[0], s.notes[1], s.notes[2])
	}
}

func TestDeliverParksWhatIsRefused(t *testing.T) {
	s := &shelf{notes: []*note{{text: "a"}, {text: "b"}}}
	d := newDeliver(s, func(n *note) error {
		if n.text == "a" {
			return errRefused
		}
		return nil
	})
	d.Flush(context.Background())
	if s.notes[0].state != "parked: refused" || s.notes[1].state != "sent b" || d.Stats.Parked.Load() != 1 {
		t.Errorf("%+v %+v", s.notes[0], s.notes[1])
	}
}

type busy struct{}

func (busy) Error() string             { return "busy" }
func (busy) RetryAfter() time.Duration { return 42 * time.Second }

func TestRetryAfterListensToTheDestination(t *testing.T) {
	if got := retryAfter(busy{}, 0); got != 42*time.Second {
		t.Error(got)
	}
	if got := retryAfter(errors.New("x"), 99); got != longRetry {
		t.Error(got)
	}
}
