package incidents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// Policy says who is told, and how long things are kept. Zero values are replaced by the defaults named here.
type Policy struct {
	Destinations []Destination
	// GiveUp is how long a message is tried before it is parked; 72 h.
	GiveUp time.Duration
	// MaxWaiting is how many messages may wait for one destination before the oldest are parked; 100,000.
	MaxWaiting int
	// KeepSent and KeepParked are how long messages stay visible in the outbox; 7 days and 30 days.
	KeepSent, KeepParked time.Duration
	// KeepAlerts is how long alerts are kept that belong to no incident; 90 days. It must exceed the retention of the hits topic,
	// or a replay would deliver them again.
	KeepAlerts time.Duration
	// KeepThreads is how long after the last message about something that is no open incident it is remembered what a destination
	// called the first one; 30 days.
	KeepThreads time.Duration
}

const day = 24 * time.Hour

func (p Policy) withDefaults() Policy {
	p.GiveUp = cmp.Or(p.GiveUp, 3*day)
	p.MaxWaiting = cmp.Or(p.MaxWaiting, 100_000)
	p.KeepSent = cmp.Or(p.KeepSent, 7*day)
	p.KeepParked = cmp.Or(p.KeepParked, 30*day)
	p.KeepAlerts = cmp.Or(p.KeepAlerts, 90*day)
	p.KeepThreads = cmp.Or(p.KeepThreads, 30*day)
	return p
}

// Stats counts what a Book did since it was made.
type Stats struct {
	Applied    int64 // revisions of alerts that were stored
	Ignored    int64 // revisions that were known
	Opened     int64 // incidents
	Messages   int64 // put into the outbox
	GivenUp    int64 // messages parked because they could not be delivered in time
	Overflowed int64 // messages parked because too many waited
	Pruned     int64 // rows removed by retention
}

// Book decides what becomes of alerts. It is safe for concurrent use.
type Book struct {
	store  Store
	policy Policy

	applied, ignored, opened, messages, givenUp, overflowed, pruned atomic.Int64

	mu        sync.Mutex
	nextPrune time.Time
}

// NewBook makes a book upon a store, which stays the caller's to close.
func NewBook(store Store, policy Policy) *Book {
	return &Book{store: store, policy: policy.withDefaults()}
}

// Stats returns the counters.
func (b *Book) Stats() Stats {
	return Stats{Applied: b.applied.Load(), Ignored: b.ignored.Load(), Opened: b.opened.Load(), Messages: b.messages.Load(),
		GivenUp: b.givenUp.Load(), Overflowed: b.overflowed.Load(), Pruned: b.pruned.Load()}
}

// Claim takes a shard: from now on nobody else's transactions for it succeed. A state that was read from another incarnation of the
// hits topic comes without its checkpoint; see ShardState.Gap.
func (b *Book) Claim(ctx context.Context, shard int32, topicID string) (ShardState, error) {
	s, err := b.store.Claim(ctx, shard, topicID)
	if err != nil {
		return ShardState{}, fmt.Errorf("cannot claim shard %d: %w", shard, err)
	}
	if s.Next < 0 || s.Gap(topicID) {
		s.Checkpoint, s.CheckpointAt = nil, 0
	}
	return s, nil
}

// EarlierCheckpoint returns the checkpoint of a shard before the one that stands at an offset, for when that one cannot be read.
// State is nil where there is none.
func (b *Book) EarlierCheckpoint(ctx context.Context, shard int32, before int64) (at int64, state []byte, err error) {
	err = b.store.View(ctx, func(v View) error {
		at, state, err = v.Checkpoint(shard, before)
		return err
	})
	return at, state, err
}

// Apply stores what the detect loop has to say, in one transaction: first the fence, so that nothing is written for shards that are
// no longer the caller's (ErrFenced); then alerts, of which known revisions are ignored; incidents with their timelines, messages,
// offsets and checkpoints. The writes stay as they are.
func (b *Book) Apply(ctx context.Context, now time.Time, writes []ShardWrite) error {
	now = instant(now)
	writes, err := ascending(writes)
	if err != nil {
		return err
	}
	var f *folding
	err = b.store.Update(ctx, func(tx Tx) error {
		f = newFolding(tx, b.policy.Destinations, now) // a store may call this again
		for _, w := range writes {
			if err := tx.Fence(w, now); err != nil {
				return fmt.Errorf("shard %d: %w", w.Shard, err)
			}
		}
		return f.apply(writes)
	})
	if err != nil {
		return fmt.Errorf("cannot store alerts: %w", err)
	}
	b.applied.Add(f.applied)
	b.ignored.Add(f.ignored)
	b.opened.Add(f.opened)
	b.messages.Add(int64(len(f.messages)))
	return nil
}

// ascending returns the writes by shard, so that transactions lock in one order.
func ascending(writes []ShardWrite) ([]ShardWrite, error) {
	by := func(a, b ShardWrite) int { return cmp.Compare(a.Shard, b.Shard) }
	if !slices.IsSortedFunc(writes, by) {
		writes = slices.Clone(writes)
		slices.SortStableFunc(writes, by)
	}
	for i := range writes {
		if i > 0 && writes[i].Shard == writes[i-1].Shard {
			return nil, fmt.Errorf("shard %d is written twice in one transaction", writes[i].Shard)
		}
		for j := range writes[i].Alerts {
			if a := &writes[i].Alerts[j]; a.ID == "" || a.Revision < 1 {
				return nil, fmt.Errorf("an alert of rule %q has id %q and revision %d: it needs an id, and revisions count from 1", a.Rule.ID, a.ID, a.Revision)
			}
		}
	}
	return writes, nil
}

// Ticks are for retention, which is in no hurry.
const (
	pruneEvery = time.Minute
	pruneRows  = 2000
)

// Tick does what time brings: it parks messages that could not be delivered, and removes what was kept long enough. Call it every
// few seconds; it does nothing most of the time. Several processes may call it upon one store.
func (b *Book) Tick(ctx context.Context, now time.Time) error {
	now = instant(now)
	b.mu.Lock()
	due := !now.Before(b.nextPrune)
	if due {
		b.nextPrune = now.Add(pruneEvery)
	}
	b.mu.Unlock()
	if !due {
		return nil
	}
	p := b.policy
	var done Pruned
	err := b.store.Update(ctx, func(tx Tx) (err error) {
		done, err = tx.Prune(Pruning{Now: now, Waiting: now.Add(-p.GiveUp), MaxWaiting: int64(p.MaxWaiting), Sent: now.Add(-p.KeepSent),
			Parked: now.Add(-p.KeepParked), Alerts: now.Add(-p.KeepAlerts), Threads: now.Add(-p.KeepThreads), Limit: pruneRows})
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot tidy up the store: %w", err)
	}
	b.givenUp.Add(done.GivenUp)
	b.overflowed.Add(done.Overflowed)
	b.pruned.Add(done.Sent + done.Parked + done.Alerts + done.Threads)
	return nil
}

// Tally counts what there is.
func (b *Book) Tally(ctx context.Context) (t Tally, err error) {
	err = b.store.View(ctx, func(v View) error {
		t, err = v.Tally()
		return err
	})
	return t, err
}

// List returns the incidents that the filter lets through, the one that was opened last first.
func (b *Book) List(ctx context.Context, f Filter) (list []Incident, err error) {
	err = b.store.View(ctx, func(v View) error {
		list, err = v.Incidents(f)
		return err
	})
	return list, err
}

// Alerts returns the last revisions of the alerts that the filter lets through, by id.
func (b *Book) Alerts(ctx context.Context, f AlertFilter) (list []alert.Alert, err error) {
	err = b.store.View(ctx, func(v View) error {
		list, err = v.Alerts(f)
		return err
	})
	return list, err
}

// Bounds of what Show returns.
const (
	shownEntries = 1000
	shownAlerts  = 100
)

// Show returns an incident with its timeline and its alerts: of a long timeline the end, of many alerts some. The id may be cut
// short as long as it says which.
func (b *Book) Show(ctx context.Context, id string) (in Incident, timeline []Entry, alerts []alert.Alert, err error) {
	err = b.store.View(ctx, func(v View) error {
		if in, err = find(v, id); err != nil {
			return err
		}
		if timeline, err = v.Entries(in.ID, shownEntries); err != nil {
			return err
		}
		alerts, err = v.Alerts(AlertFilter{Incident: in.ID, Limit: shownAlerts})
		return err
	})
	slices.SortFunc(alerts, func(a, b alert.Alert) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID))
	})
	return in, timeline, alerts, err
}

// find finds an incident by its id or the beginning of it.
func find(v View, id string) (Incident, error) {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Incident{}, fmt.Errorf("%q is no id of an incident: an id consists of the digits 0-9 and a-f", id)
		}
	}
	if id == "" {
		return Incident{}, errors.New("the id of the incident is missing")
	}
	list, err := v.Incidents(Filter{IDPrefix: id, Limit: 2})
	switch {
	case err != nil:
		return Incident{}, err
	case len(list) == 0:
		return Incident{}, fmt.Errorf("incident %s: %w", id, ErrNotFound)
	case len(list) > 1:
		return Incident{}, fmt.Errorf("%s may be incident %s or %s: give more of the id", id, list[0].ID, list[1].ID)
	}
	return list[0], nil
}
