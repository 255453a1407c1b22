package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// Outbox is the messages that wait for one destination. M is the store's own type of message.
type Outbox[M any] interface {
	// Due is the next messages to try, the oldest first. While a message waits for another try, no later one about its subject is due.
	Due(ctx context.Context, destination string, now time.Time, limit int) ([]M, error)
	// Sent takes a message off; ref is what the destination calls it.
	Sent(ctx context.Context, m M, ref string, now time.Time) error
	// Failed keeps a message for another try at next, or parks it for good when next is zero.
	Failed(ctx context.Context, m M, cause string, next time.Time) error
}

// Notifier delivers one message. It may be given the same message again after a crash.
type Notifier[M any] interface {
	Deliver(ctx context.Context, m M) (ref string, err error)
}

// DeliverStats counts what was delivered to one destination.
type DeliverStats struct {
	Delivered, Failures, Parked, Breaks Counter
	Waiting, LastDelivery               Gauge // LastDelivery: Unix milliseconds
	BreakerOpen                         Gauge // 1 while the destination counts as down
}

// Deliver is the deliver loop of one destination: the outbox's messages in their order, each until the destination has taken it.
// Every destination has its own, so that a dead one delays no other. A Deliver is used by one goroutine.
type Deliver[M any] struct {
	Destination string
	Outbox      Outbox[M]
	Notifier    Notifier[M]
	Permanent   func(error) bool // whether trying again is in vain
	Attempts    func(M) int      // how often the message was tried before
	Subject     func(M) string   // messages about one subject are delivered in their order
	Clock       Clock
	Log         *zap.Logger
	Stats       *DeliverStats

	Wake    <-chan struct{} // something may be due
	Every   time.Duration   // how often to look all the same
	Timeout time.Duration   // of one delivery
	Rate    Rate            // how many messages at most
	Jitter  func() float64  // spreads waits, from 0 to below 1; nil: at random

	// Behind is the message with how many more are due for the destination, of those that were read; nil: it need not know.
	Behind func(m M, more int) M

	breaker breaker
	bucket  bucket
	hold    time.Time // the destination said not to come before
	owed    func(context.Context) error
}

// Bounds of the wait between tries of a message.
const (
	firstRetry = time.Second
	longRetry  = 5 * time.Minute
	dueLimit   = 100
	// shortWait is how long a message waits for its turn once it was read from the outbox; one that waits longer is read anew.
	shortWait = 100 * time.Millisecond
)

// Run delivers until ctx ends.
func (d *Deliver[M]) Run(ctx context.Context) {
	d.owed = nil // what an earlier Run could not write is for the outbox to say: others may have delivered since
	for ctx.Err() == nil {
		more, err := d.round(ctx)
		if err != nil && ctx.Err() == nil {
			d.Log.Warn("cannot read or write the outbox, trying again", zap.String("destination", d.Destination), zap.Error(err))
		}
		blocked := d.blocked()
		switch {
		case blocked > 0: // whatever is due has to wait, so nothing new needs to be looked for
			d.pause(ctx, min(blocked, d.Every), nil)
		case err != nil || !more:
			d.pause(ctx, d.Every, d.Wake)
		}
	}
}

func (d *Deliver[M]) pause(ctx context.Context, wait time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// Flush delivers what is due now, and returns when nothing more is, the destination counts as down, or ctx ends.
func (d *Deliver[M]) Flush(ctx context.Context) {
	for ctx.Err() == nil {
		if more, err := d.round(ctx); err != nil || !more || d.breaker.open() {
			return
		}
		sleep(ctx, d.blocked())
	}
}

// round tries what is due and answers whether there may be more. It tries one message a subject at most: what follows about it is
// read anew, since the outbox may say more of a message once the one before it was taken. A message that fails holds up what is
// said of its own subject, and nothing else, unless so many fail that the destination is likely down.
func (d *Deliver[M]) round(ctx context.Context) (more bool, err error) {
	if err := d.settle(ctx); err != nil {
		return false, err
	}
	due, err := d.Outbox.Due(ctx, d.Destination, d.Clock(), dueLimit)
	if err != nil {
		return false, err
	}
	d.Stats.Waiting.Store(int64(len(due)))
	tried := make(map[string]bool, len(due))
	for _, m := range due {
		if tried[d.Subject(m)] {
			continue
		}
		if !d.turn(ctx) {
			return true, nil
		}
		tried[d.Subject(m)] = true
		done, err := d.one(ctx, m)
		if err != nil {
			return false, err
		}
		if done {
			d.Stats.Waiting.Add(-1)
		}
	}
	return len(tried) < len(due) || len(due) == dueLimit, nil
}

// turn waits a moment, if need be, until the destination may be given another message, and answers whether it may.
func (d *Deliver[M]) turn(ctx context.Context) bool {
	wait := d.blocked()
	return wait <= shortWait && sleep(ctx, wait) && ctx.Err() == nil
}

// blocked is for how long the destination is to be given nothing.
func (d *Deliver[M]) blocked() time.Duration {
	now := d.Clock()
	return max(d.breaker.wait(now), d.bucket.wait(d.Rate, now), until(d.hold, now))
}

// one tries a message and answers whether it is off the list, delivered or parked.
func (d *Deliver[M]) one(ctx context.Context, m M) (done bool, err error) {
	d.bucket.take(d.Rate, d.Clock())
	tryCtx, cancel := context.WithTimeout(ctx, d.Timeout)
	ref, cause := d.Notifier.Deliver(tryCtx, d.behind(m))
	cancel()
	now := d.Clock()
	switch {
	case cause == nil:
		d.answered()
		d.Stats.Delivered.Add(1)
		d.Stats.LastDelivery.Store(now.UnixMilli())
		d.owed = func(ctx context.Context) error { return d.Outbox.Sent(ctx, m, ref, now) }
	case ctx.Err() != nil:
		return false, nil // stopped, not refused: the message stays as it is
	case d.Permanent(cause):
		d.answered()
		d.Stats.Failures.Add(1)
		d.Stats.Parked.Add(1)
		d.Log.Error("a destination refused a message for good; it is parked", zap.String("destination", d.Destination), zap.Error(cause))
		d.owed = func(ctx context.Context) error { return d.Outbox.Failed(ctx, m, cause.Error(), time.Time{}) }
	default:
		d.Stats.Failures.Add(1)
		next := now.Add(d.failed(now, cause, d.Attempts(m)))
		d.owed = func(ctx context.Context) error { return d.Outbox.Failed(ctx, m, cause.Error(), next) }
		return false, d.settle(ctx)
	}
	return true, d.settle(ctx)
}

func (d *Deliver[M]) behind(m M) M {
	if d.Behind == nil {
		return m
	}
	return d.Behind(m, int(d.Stats.Waiting.Load())-1)
}

// settle writes into the outbox what became of the last message. What cannot be written now is written before anything else is
// tried: while the store is down, a message must not be delivered again and again. That the loop is being stopped is no reason
// either.
func (d *Deliver[M]) settle(ctx context.Context) error {
	if d.owed == nil {
		return nil
	}
	storeCtx, done := afterwards(ctx, d.Timeout)
	defer done()
	if err := d.owed(storeCtx); err != nil {
		return err
	}
	d.owed = nil
	return nil
}

// answered notes that the destination is up.
func (d *Deliver[M]) answered() {
	if d.breaker.answered() {
		d.Stats.BreakerOpen.Store(0)
		d.Log.Info("a destination takes messages again", zap.String("destination", d.Destination))
	}
}

// failed notes that a try failed, and returns how long its message is to wait. It is logged until the breaker opens, and that once.
func (d *Deliver[M]) failed(now time.Time, cause error, attempts int) time.Duration {
	wait, said := d.retryAfter(cause, attempts)
	if said {
		d.hold = now.Add(wait)
	}
	down := d.breaker.open()
	open := d.breaker.failed(now, d.jitter())
	at := []zap.Field{zap.String("destination", d.Destination), zap.Duration("in", max(wait, open)), zap.Error(cause)}
	switch {
	case open == 0:
		d.Log.Warn("cannot deliver, trying again", at...)
	case down:
		d.Log.Debug("a destination is still down", at...)
	default:
		d.Stats.BreakerOpen.Store(1)
		d.Stats.Breaks.Add(1)
		d.Log.Error("a destination failed so often that it is left alone for a while; its messages wait in the outbox, others are not held up", at...)
	}
	return wait
}

// retryAfter doubles from a second to five minutes, unless the destination said when.
func (d *Deliver[M]) retryAfter(cause error, attempts int) (wait time.Duration, said bool) {
	var retry interface{ RetryAfter() time.Duration }
	if errors.As(cause, &retry) && retry.RetryAfter() > 0 {
		return min(retry.RetryAfter(), longRetry), true
	}
	return spread(grown(firstRetry, longRetry, attempts), d.jitter()), false
}

func (d *Deliver[M]) jitter() float64 {
	if d.Jitter == nil {
		return rand.Float64()
	}
	return d.Jitter()
}
