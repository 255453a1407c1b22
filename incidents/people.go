package incidents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// Acknowledge makes the actor the owner of a new incident. To do it again changes nothing.
func (b *Book) Acknowledge(ctx context.Context, now time.Time, id, actor string) (Incident, error) {
	return b.change(ctx, now, id, actor, func(h *hand) error {
		if h.in.State == Acknowledged && h.in.Owner == h.actor {
			h.nothing = true
			return nil
		}
		if h.in.State == Acknowledged {
			return fmt.Errorf("incident %s is acknowledged already, by %s", h.in.ID, h.in.Owner)
		}
		return h.move(Acknowledged, "")
	})
}

// Move brings an incident into another state, which must be one that people may go to from where it is.
func (b *Book) Move(ctx context.Context, now time.Time, id, actor string, to State, reason string) (Incident, error) {
	return b.change(ctx, now, id, actor, func(h *hand) error { return h.move(to, reason) })
}

// Close ends an incident, as Closed or as FalsePositive; either needs a reason. The next alert of its key opens another one.
func (b *Book) Close(ctx context.Context, now time.Time, id, actor string, as State, reason string) (Incident, error) {
	return b.change(ctx, now, id, actor, func(h *hand) error {
		if as.Open() {
			return fmt.Errorf("an incident is closed as %s or as %s, not as %s", Closed, FalsePositive, as)
		}
		return h.move(as, reason)
	})
}

// Note adds a text to the timeline of an incident. Nobody is told.
func (b *Book) Note(ctx context.Context, now time.Time, id, actor, text string) (Incident, error) {
	return b.change(ctx, now, id, actor, func(h *hand) error {
		if text = cleanInput(text, maxNote); text == "" {
			return errors.New("the note is empty")
		}
		h.quiet = true
		h.entry = Entry{Action: Noted, Text: text}
		return nil
	})
}

// SetSeverity sets the severity of an incident by hand. The machine raises it again only for an alert that is worse than all before.
func (b *Book) SetSeverity(ctx context.Context, now time.Time, id, actor string, to alert.Severity, reason string) (Incident, error) {
	return b.change(ctx, now, id, actor, func(h *hand) error {
		switch reason = cleanInput(reason, maxNote); {
		case to < alert.Low || to > alert.Urgent:
			return errors.New("that is no severity: use low, normal, high or urgent")
		case reason == "":
			return errors.New("say why the severity is set: a reason is needed")
		case to == h.in.Severity:
			h.nothing = true
			return nil
		}
		h.entry = Entry{Action: SeveritySet, From: h.in.Severity.String(), To: to.String(), Text: reason}
		h.in.Severity, h.in.Peak = to, max(h.in.Peak, to)
		return nil
	})
}

// Assign gives an incident to an owner.
func (b *Book) Assign(ctx context.Context, now time.Time, id, actor, owner string) (Incident, error) {
	return b.change(ctx, now, id, actor, func(h *hand) error {
		if owner = cleanInput(owner, maxActor); owner == "" {
			return errors.New("say to whom")
		}
		h.entry = Entry{Action: Assigned, From: h.in.Owner, To: owner}
		h.nothing = h.in.Owner == owner
		h.in.Owner = owner
		return nil
	})
}

// hand is one change of an incident by hand.
type hand struct {
	in      *Incident
	actor   string
	now     time.Time
	entry   Entry
	quiet   bool // nobody is told
	nothing bool // it is so already
}

func (h *hand) move(to State, reason string) error {
	in := h.in
	if in.State == to {
		h.nothing = true
		return nil
	}
	if !slices.Contains(in.State.next(), to) {
		return illegal(in, to)
	}
	reason = cleanInput(reason, maxNote)
	if !to.Open() {
		if reason == "" {
			return fmt.Errorf("say why incident %s is closed: a reason is needed", in.ID)
		}
		in.ClosedAt, in.Reason = h.now, reason
	}
	if in.AcknowledgedAt.IsZero() && to != FalsePositive {
		in.AcknowledgedAt = h.now
	}
	if in.Owner == "" {
		in.Owner = h.actor
	}
	h.entry = Entry{Action: StateChanged, From: string(in.State), To: string(to), Text: reason}
	in.State = to
	return nil
}

func illegal(in *Incident, to State) error {
	next := in.State.next()
	if len(next) == 0 {
		return fmt.Errorf("incident %s is %s, which is final: a new alert of its key opens a new incident", in.ID, in.State)
	}
	words := make([]string, len(next))
	for i, s := range next {
		words[i] = string(s)
	}
	return fmt.Errorf("incident %s is %s and cannot become %q: use one of %s", in.ID, in.State, to, strings.Join(words, ", "))
}

// change is one change by hand, in one transaction: the incident, its timeline, the messages.
func (b *Book) change(ctx context.Context, now time.Time, id, actor string, do func(*hand) error) (Incident, error) {
	now = instant(now)
	if actor = cleanInput(actor, maxActor); actor == "" {
		return Incident{}, errors.New("say who you are: the actor is missing")
	}
	var h *hand
	messages := 0
	err := b.store.Update(ctx, func(tx Tx) error {
		in, key, err := lockIncident(tx, id)
		if err != nil {
			return err
		}
		h = &hand{in: &in, actor: actor, now: now}
		if err := do(h); err != nil || h.nothing {
			return err
		}
		in.Revision++
		in.UpdatedAt = now
		if !in.State.Open() && key.Open == in.ID {
			if err := tx.PutKey(in.KeyID, KeyState{Episode: key.Episode}); err != nil {
				return err
			}
		}
		f := newFolding(tx, b.policy.Destinations, now)
		f.incidents[in.ID], f.touched[in.ID] = &in, true
		h.entry.Actor = actor
		f.note(&in, h.entry)
		if !h.quiet {
			e := h.entry
			if err := f.say(&in, &Change{Action: e.Action, Actor: actor, From: e.From, To: e.To, Text: e.Text}); err != nil {
				return err
			}
		}
		messages = len(f.messages)
		return f.flush()
	})
	if err != nil {
		return Incident{}, err
	}
	b.messages.Add(int64(messages))
	return *h.in, nil
}

// lockIncident finds an incident and keeps others from it and its key.
func lockIncident(tx Tx, id string) (Incident, KeyState, error) {
	in, err := find(tx, id)
	if err != nil {
		return Incident{}, KeyState{}, err
	}
	key, err := tx.LockKey(in.KeyID)
	if err != nil {
		return Incident{}, KeyState{}, err
	}
	in, err = tx.Incident(in.ID) // as it is now that nobody else changes it
	return in, key, err
}
