package incidents

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Due returns the messages to deliver to a destination next, the oldest first. While a message waits for another try, no later one
// about the same subject is due; the caller delivers in the order given, and nothing about a subject behind a failure.
func (b *Book) Due(ctx context.Context, destination string, now time.Time, limit int) (list []Message, err error) {
	err = b.store.View(ctx, func(v View) error {
		list, err = v.Due(destination, instant(now), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the outbox of %s: %w", destination, err)
	}
	return list, nil
}

// Sent takes a message off; ref is what the destination calls it. The timeline of an incident says who was told.
func (b *Book) Sent(ctx context.Context, m Message, ref string, now time.Time) error {
	m.State, m.Ref, m.Done = Sent, cleanInput(ref, maxActor), instant(now)
	return b.settle(ctx, m, Entry{Action: Notified, To: m.Destination, Text: m.Ref, Time: m.Done})
}

// Failed keeps a message for another try at next, or parks it for good when next is zero: then it stays visible, and later messages
// about its subject go on.
func (b *Book) Failed(ctx context.Context, m Message, cause string, next time.Time) error {
	m.Attempts++
	m.Cause = cleanInput(cause, maxText)
	if !next.IsZero() {
		m.State, m.Next = Waiting, instant(next)
		return b.settle(ctx, m, Entry{})
	}
	m.State, m.Done = Parked, m.Next // when it was last due, for it is refused at once
	return b.settle(ctx, m, Entry{Action: NotifyRefused, To: m.Destination, Text: m.Cause, Time: m.Next})
}

// settle stores what became of a message, and says so in the timeline of its incident.
func (b *Book) settle(ctx context.Context, m Message, e Entry) error {
	err := b.store.Update(ctx, func(tx Tx) error {
		if e.Action == "" || m.Type != TypeIncident {
			_, err := putMessage(tx, &m)
			return err
		}
		in, _, err := lockIncident(tx, m.Subject)
		if err != nil {
			return err
		}
		if ok, err := putMessage(tx, &m); err != nil || !ok {
			return err
		}
		f := newFolding(tx, nil, e.Time)
		f.incidents[in.ID], f.touched[in.ID] = &in, true
		e.Text = fmt.Sprintf("message %s: %s", m.ID, e.Text)
		if m.Ref == "" && m.Cause == "" {
			e.Text = "message " + m.ID
		}
		f.note(&in, e)
		return f.flush()
	})
	if err != nil {
		return fmt.Errorf("cannot write to the outbox of %s: %w", m.Destination, err)
	}
	return nil
}

// putMessage stores a message, and of one that was sent what its destination calls it.
func putMessage(tx Tx, m *Message) (bool, error) {
	ok, err := tx.PutMessage(m)
	if err != nil || !ok || m.State != Sent || m.Ref == "" {
		return ok, err
	}
	return true, tx.PutThread(m.Destination, m.Subject, m.Ref, m.Done)
}

// Outbox returns the messages that the filter lets through, in the order in which they were written.
func (b *Book) Outbox(ctx context.Context, f MessageFilter) (list []Message, err error) {
	err = b.store.View(ctx, func(v View) error {
		list, err = v.Messages(f)
		return err
	})
	return list, err
}

// Retry has a parked message tried again, from now on.
func (b *Book) Retry(ctx context.Context, seq int64, now time.Time) error {
	now = instant(now)
	return b.store.Update(ctx, func(tx Tx) error {
		list, err := tx.Messages(MessageFilter{Seq: seq, Limit: 1})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("message %d: %w", seq, ErrNotFound)
		}
		m := list[0]
		if m.State != Parked {
			return errors.New("only a parked message can be tried again; this one is " + m.State)
		}
		m.State, m.Attempts, m.Created, m.Next, m.Done = Waiting, 0, now, now, time.Time{}
		_, err = tx.PutMessage(&m)
		return err
	})
}
