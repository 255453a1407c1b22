package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
)

// leases is a store that holds nothing else, and can be down.
type leases struct {
	mu   sync.Mutex
	is   incidents.Lease
	down bool
	lose bool // answers are lost: what was asked for is done all the same
}

var errDown = errors.New("down")

func (s *leases) Lease(context.Context, string) (incidents.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return incidents.Lease{}, errDown
	}
	return s.is, nil
}

func (s *leases) Take(ctx context.Context, _, owner string, seen incidents.Lease) (incidents.Lease, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || ctx.Err() != nil {
		return seen, false, errDown
	}
	if s.is.Turn != seen.Turn {
		return seen, false, nil
	}
	s.is = incidents.Lease{Owner: owner, Turn: seen.Turn + 1}
	if s.lose {
		return seen, false, errDown
	}
	return s.is, true, nil
}

func (s *leases) set(down, lose bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.lose = down, lose
}

const testLease = 10 * time.Second

// member is one process that wants the lease.
type member struct {
	*lease
	cancel  context.CancelFunc
	working atomic.Int32
	ended   chan struct{}
}

func join(t *testing.T, store leaser, owner string) *member {
	ctx, cancel := context.WithCancel(t.Context())
	m := &member{cancel: cancel, ended: make(chan struct{}), lease: &lease{book: func() leaser { return store }, name: "x", owner: owner, lasts: testLease, log: zap.NewNop(), held: &pipeline.Gauge{}}}
	go func() {
		defer close(m.ended)
		m.run(ctx, func(ctx context.Context) {
			m.working.Add(1)
			<-ctx.Done()
			m.working.Add(-1)
		})
	}()
	t.Cleanup(func() { cancel(); <-m.ended })
	return m
}

// who are those that hold the lease, after everybody had time to find out.
func who(members ...*member) (owners []string) {
	synctest.Wait()
	for _, m := range members {
		if m.holds() != (m.working.Load() == 1) || m.holds() != (m.held.Load() == 1) {
			owners = append(owners, m.owner+" does not know")
		} else if m.holds() {
			owners = append(owners, m.owner)
		}
	}
	return owners
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestLeaseIsHeldByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &leases{}
		a := join(t, store, "a")
		expect(t, "the first", who(a), "a")
		b, c := join(t, store, "b"), join(t, store, "c")
		for range 100 {
			time.Sleep(testLease / 7)
			expect(t, "while it is renewed", who(a, b, c), "a")
		}
		a.cancel()
		<-a.ended
		time.Sleep(testLease / 10)
		if got := who(a, b, c); len(got) != 1 || got[0] == "a" {
			t.Errorf("after it was let go: %v", got)
		}
	})
}

// standing is a store as a process sees it that stands still: nothing comes through.
type standing struct {
	leaser
	still atomic.Bool
}

func (s *standing) Take(ctx context.Context, name, owner string, seen incidents.Lease) (incidents.Lease, bool, error) {
	if s.still.Load() {
		<-ctx.Done()
		return seen, false, ctx.Err()
	}
	return s.leaser.Take(ctx, name, owner, seen)
}

func (s *standing) Lease(ctx context.Context, name string) (incidents.Lease, error) {
	if s.still.Load() {
		<-ctx.Done()
		return incidents.Lease{}, ctx.Err()
	}
	return s.leaser.Lease(ctx, name)
}

func TestLeaseIsTakenFromWhoIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &leases{}
		alone := &standing{leaser: store}
		a := join(t, alone, "a")
		expect(t, "the first", who(a), "a")
		b := join(t, store, "b")
		alone.still.Store(true)
		for since := time.Duration(0); since < testLease; since += testLease / 100 {
			time.Sleep(testLease / 100)
			if got := who(a, b); len(got) > 1 {
				t.Fatalf("after %s two hold it: %v", since, got)
			}
		}
		time.Sleep(testLease)
		expect(t, "after the lease has run out", who(a, b), "b")
		alone.still.Store(false)
		time.Sleep(10 * testLease)
		expect(t, "when the silent one is back", who(a, b), "b")
	})
}

func TestLeaseOutlivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &leases{}
		a, b := join(t, store, "a"), join(t, store, "b")
		first := who(a, b)
		if len(first) != 1 {
			t.Fatal(first)
		}
		store.set(true, false)
		time.Sleep(testLease / 2)
		expect(t, "a store that is down for a moment", who(a, b), first...)
		time.Sleep(testLease)
		expect(t, "a store that is down for longer than the lease", who(a, b))
		store.set(false, false)
		time.Sleep(testLease / 5)
		if got := who(a, b); len(got) != 1 {
			t.Errorf("when it is back: %v", got)
		}
	})
}

// TestLeaseWhoseAnswerIsLost: the store did what it was asked for, and nobody heard of it.
func TestLeaseWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &leases{}
		a := join(t, store, "a")
		expect(t, "the first", who(a), "a")
		b := join(t, store, "b")
		store.set(false, true)
		time.Sleep(testLease / 3)
		store.set(false, false)
		time.Sleep(testLease / 3)
		expect(t, "afterwards", who(a, b), "a")
	})
}

type counting struct{ told atomic.Int32 }

func (c *counting) Deliver(context.Context, incidents.Message) (string, error) {
	c.told.Add(1)
	return "ref", nil
}

// TestNobodyIsToldAfterTheLease: a process that stood still finds out before it tells anybody, and is told to stop.
func TestNobodyIsToldAfterTheLease(t *testing.T) {
	n := &counting{}
	stopped := false
	l := &lease{name: "x", lasts: testLease, log: zap.NewNop(), held: &pipeline.Gauge{}, asked: time.Now(), lapse: func() { stopped = true }}
	g := guarded{n, l}
	if _, err := g.Deliver(t.Context(), incidents.Message{}); err != nil || n.told.Load() != 1 || stopped {
		t.Fatalf("while it is held: %v", err)
	}
	for name, asked := range map[string]time.Time{
		"by the monotonic clock": time.Now().Add(-testLease),
		"by the wall clock":      time.Now().Round(0).Add(-testLease), // the monotonic one stood still with the machine
	} {
		stopped = false
		l.asked = asked
		if _, err := g.Deliver(t.Context(), incidents.Message{}); !errors.Is(err, errLapsed) || n.told.Load() != 1 || !stopped {
			t.Errorf("%s: %v, told %d times, stopped %v", name, err, n.told.Load(), stopped)
		}
	}
	l.asked, l.lapse = time.Now(), nil
	if _, err := g.Deliver(t.Context(), incidents.Message{}); !errors.Is(err, errLapsed) {
		t.Errorf("when it is not held: %v", err)
	}
}
