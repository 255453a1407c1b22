package pipeline

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// Outbox is the messages that wait for one destination. M is the store's own type of message.
type Outbox[M any] interface {
	// Due is the next messages to try, the oldest first.
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
	Delivered, Failures, Parked Counter
	Waiting, LastDelivery       Gauge // LastDelivery: Unix milliseconds
}

// Deliver is the deliver loop of one destination: the outbox's messages in their order, each until the destination has taken it.
// Every destination has its own, so that a dead one delays no other.
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
}

// Bounds of the wait between tries of a message.
const (
	firstRetry = time.Second
	longRetry  = 5 * time.Minute
	dueLimit   = 100
	// After so many failures in a row the destination counts as down, and what follows would only wait longer.
	maxInARow = 3
)

// Run delivers until ctx ends.
func (d *Deliver[M]) Run(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := d.round(ctx)
		if err != nil && ctx.Err() == nil {
			d.Log.Warn("cannot read or write the outbox, trying again", zap.String("destination", d.Destination), zap.Error(err))
		}
		if more && err == nil {
			continue
		}
		t := time.NewTimer(d.Every)
		select {
		case <-ctx.Done():
		case <-d.Wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// Flush delivers what is due now, and returns when nothing more is, or ctx ends.
func (d *Deliver[M]) Flush(ctx context.Context) {
	for ctx.Err() == nil {
		if more, err := d.round(ctx); err != nil || !more {
			return
		}
	}
}

// round tries what is due and answers whether there may be more. A message that fails holds up what is said of its own subject, and
// nothing else, unless so many fail that the destination is likely down.
func (d *Deliver[M]) round(ctx context.Context) (more bool, err error) {
	due, err := d.Outbox.Due(ctx, d.Destination, d.Clock(), dueLimit)
	if err != nil {
		return false, err
	}
	waiting, inARow, held := len(due), 0, map[string]bool{}
	d.Stats.Waiting.Store(int64(waiting))
	for _, m := range due {
		if held[d.Subject(m)] {
			continue
		}
		if ctx.Err() != nil || inARow == maxInARow {
			return false, nil
		}
		ok, err := d.one(ctx, m)
		if err != nil {
			return false, err
		}
		if !ok {
			inARow++
			held[d.Subject(m)] = true
			continue
		}
		inARow = 0
		waiting--
		d.Stats.Waiting.Store(int64(waiting))
	}
	return len(due) == dueLimit && inARow == 0, nil
}

func (d *Deliver[M]) one(ctx context.Context, m M) (ok bool, err error) {
	tryCtx, done := context.WithTimeout(ctx, d.Timeout)
	ref, cause := d.Notifier.Deliver(tryCtx, m)
	done()
	now := d.Clock()
	if cause == nil {
		d.Stats.Delivered.Add(1)
		d.Stats.LastDelivery.Store(now.UnixMilli())
		storeCtx, done := afterwards(ctx, d.Timeout) // it was delivered: being stopped must not deliver it again
		defer done()
		return true, d.Outbox.Sent(storeCtx, m, ref, now)
	}
	if ctx.Err() != nil {
		return false, nil // stopped, not refused: the message stays as it is
	}
	d.Stats.Failures.Add(1)
	if d.Permanent(cause) {
		d.Stats.Parked.Add(1)
		d.Log.Error("a destination refused a message for good; it is parked", zap.String("destination", d.Destination), zap.Error(cause))
		return true, d.Outbox.Failed(ctx, m, cause.Error(), time.Time{})
	}
	wait := retryAfter(cause, d.Attempts(m))
	d.Log.Warn("cannot deliver, trying again", zap.String("destination", d.Destination), zap.Duration("in", wait), zap.Error(cause))
	return false, d.Outbox.Failed(ctx, m, cause.Error(), now.Add(wait))
}

// retryAfter doubles from a second to five minutes, unless the destination said when.
func retryAfter(cause error, attempts int) time.Duration {
	var said interface{ RetryAfter() time.Duration }
	if errors.As(cause, &said) && said.RetryAfter() > 0 {
		return min(said.RetryAfter(), longRetry)
	}
	return min(firstRetry<<min(attempts, 10), longRetry)
}
