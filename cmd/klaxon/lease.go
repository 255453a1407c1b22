package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
)

// leaser is what a lease needs of the book.
type leaser interface {
	Lease(ctx context.Context, name string) (incidents.Lease, error)
	Take(ctx context.Context, name, owner string, seen incidents.Lease) (incidents.Lease, bool, error)
}

// lease makes sure that of all processes upon one store one at a time does something. Clocks of machines are not compared: whoever
// waits takes the lease after it saw the same turn of it for as long as it lasts, and who holds it stops before that, counted from
// when it last asked to renew it.
type lease struct {
	book  func() leaser // asked once the store is open
	name  string
	owner string
	lasts time.Duration
	log   *zap.Logger
	held  *pipeline.Gauge // 1 while it is held

	mu    sync.Mutex
	is    incidents.Lease
	asked time.Time          // before the store was asked for what it granted last
	lapse context.CancelFunc // ends what is done under the lease; nil: it is not held
}

// maxLease bounds how long nobody is told anything after a process was killed.
const maxLease = 30 * time.Second

// errLapsed is why a message was not delivered: somebody else may be delivering it.
var errLapsed = errors.New("the lease of this destination has run out: this process stood still, or the store does not answer")

// newOwner names this process among those that share a store.
func newOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%08x", host, os.Getpid(), rand.Uint32())
}

// run does the work whenever the lease is held, until ctx ends. The context of the work ends when the lease is lost.
func (l *lease) run(ctx context.Context, work func(context.Context)) {
	for ctx.Err() == nil {
		if l.acquire(ctx) {
			l.hold(ctx, work)
		}
	}
}

// acquire waits for the lease, and answers false when ctx ended first.
func (l *lease) acquire(ctx context.Context) bool {
	var seen incidents.Lease
	var since time.Time
	for {
		now, err := l.look(ctx)
		if err == nil && (since.IsZero() || now != seen) {
			seen, since = now, time.Now()
		}
		if err == nil && (now.Owner == "" || now.Owner == l.owner || time.Since(since) >= l.lasts) {
			var ok bool
			if ok, err = l.take(ctx, now, l.usable()); ok {
				return true
			}
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("cannot get a lease, trying again", zap.String("lease", l.name), zap.Error(err))
		}
		if !pause(ctx, l.lasts/10) {
			return false
		}
	}
}

func (l *lease) look(ctx context.Context) (incidents.Lease, error) {
	ctx, done := context.WithTimeout(ctx, l.lasts)
	defer done()
	return l.book().Lease(ctx, l.name)
}

// take takes or renews the lease if it is as it was seen, and notes what was granted.
func (l *lease) take(ctx context.Context, seen incidents.Lease, limit time.Duration) (bool, error) {
	asked := time.Now()
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	granted, ok, err := l.book().Take(ctx, l.name, l.owner, seen)
	if err != nil || !ok {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.is, l.asked = granted, asked
	return true, nil
}

// usable is how long a granted lease is relied on: less than others wait, for clocks do not run alike.
func (l *lease) usable() time.Duration { return l.lasts * 3 / 4 }

// left is how long the lease may still be relied on. The clock that has gone further counts: the monotonic one stands still while a
// machine sleeps.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return l.usable() - max(now.Sub(l.asked), now.Round(0).Sub(l.asked.Round(0)))
}

func (l *lease) hold(ctx context.Context, work func(context.Context)) {
	term, lapse := context.WithCancel(ctx)
	defer lapse()
	l.begin(lapse)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(term)
	}()
	l.keep(term)
	lapse()
	l.begin(nil)
	<-done
	if ctx.Err() != nil {
		l.letGo(ctx)
	}
}

// begin notes that the lease is held, or, with nil, that it is not any more.
func (l *lease) begin(lapse context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lapse = lapse
	if lapse == nil {
		l.held.Store(0)
		l.log.Info("a lease has ended", zap.String("lease", l.name))
		return
	}
	l.held.Store(1)
	l.log.Info("a lease is held", zap.String("lease", l.name))
}

// keep renews the lease until it is lost, or term ends.
func (l *lease) keep(term context.Context) {
	for every := l.lasts / 3; pause(term, min(every, l.left())) && l.left() > 0; {
		ok, err := l.take(term, l.granted(), l.left())
		switch {
		case err != nil && term.Err() == nil:
			l.log.Warn("cannot renew a lease, trying again", zap.String("lease", l.name), zap.Error(err))
			every = l.lasts / 20
		case !ok: // somebody else took it; or we did, and the answer was lost
			return
		default:
			every = l.lasts / 3
		}
	}
}

func (l *lease) granted() incidents.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.is
}

// letGo lets another process take the lease at once.
func (l *lease) letGo(ctx context.Context) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer done()
	if _, _, err := l.book().Take(ctx, l.name, "", l.granted()); err != nil {
		l.log.Warn("cannot let go of a lease: others wait until it has run out", zap.String("lease", l.name), zap.Error(err))
	}
}

// holds says whether what the lease is for may be done now. Where it may not any more, what is being done is told to stop: a process
// that stood still finds out here, before anybody else is told twice.
func (l *lease) holds() bool {
	left := l.left()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lapse == nil {
		return false
	}
	if left <= 0 {
		l.lapse()
	}
	return left > 0
}

// guarded is a destination that is told something only while its lease is held.
type guarded struct {
	incidents.Notifier
	lease *lease
}

func (g guarded) Deliver(ctx context.Context, m incidents.Message) (string, error) {
	if !g.lease.holds() {
		return "", errLapsed
	}
	return g.Notifier.Deliver(ctx, m)
}

// leaseFor is the lease of delivering to a destination: of what a process does, the part that Kafka's groups do not give out. It lasts
// as long as those wait for a silent process.
func (a *app) leaseFor(d destination) *lease {
	return &lease{book: func() leaser { return a.book }, name: "deliver." + d.Name, owner: a.owner, lasts: min(a.cfg.Kafka.Session, maxLease),
		log: a.log, held: a.stats.leases[d.Name]}
}

// runDeliver delivers to a destination while this is the process that does.
func (a *app) runDeliver(ctx context.Context, d destination) {
	l := a.leaseFor(d)
	d.notifier = guarded{d.notifier, l}
	loop := a.delivery(d)
	l.run(ctx, func(ctx context.Context) {
		loop.Run(ctx)
		loop.Stats.Waiting.Store(0) // for who delivers to say
	})
}
