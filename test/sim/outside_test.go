package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/memstore"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/pipeline"
)

// world is everything outside of the processes.
type world struct {
	s         *sim
	source    *topic
	hits      *topic
	gone      map[int32][]logged // the logs of the source before it was made anew
	documents map[string]string  // archived, by id
	dead      map[string]string  // dead letters, by key
	store     *memstore.Store
	book      *incidents.Book
	told      map[string]*ledger // by destination
	epochs    map[int32]int64    // of the last claim of each shard
	saved     map[int32]int64    // the next offset of each shard, as stored
}

// ledger is what a destination was told: it takes every idempotency key once.
type ledger struct {
	known map[string]bool
	taken []incidents.Message
}

// The destinations.
const (
	toAlerts = "alerts" // every revision of every alert
	toPager  = "pager"  // incidents
)

func destinations() []incidents.Destination {
	return []incidents.Destination{{Name: toAlerts, Types: []string{incidents.TypeAlert}, Shadow: true}, {Name: toPager, Types: []string{incidents.TypeIncident}}}
}

func newWorld(s *sim) *world {
	w := &world{s: s, documents: map[string]string{}, dead: map[string]string{}, store: memstore.New(), told: map[string]*ledger{},
		epochs: map[int32]int64{}, saved: map[int32]int64{}}
	w.source = &topic{name: sourceTopic, id: "s1", partitions: s.workload.partitions, logs: map[int32][]logged{}}
	for p := range s.workload.partitions {
		w.source.active = append(w.source.active, p)
	}
	w.hits = &topic{name: hitsTopic, id: "h1", partitions: hit.Shards, active: s.workload.shards, logs: map[int32][]logged{}}
	for _, d := range destinations() {
		w.told[d.Name] = &ledger{known: map[string]bool{}}
	}
	w.book = incidents.NewBook(w.store, incidents.Policy{Destinations: destinations()})
	return w
}

// retryPause is between tries of adapters that try until their caller gives up.
const retryPause = 100 * time.Millisecond

// archive is the pipeline.ArchiveSink of a claim: it puts documents by their ids, and what is there stays.
type archive struct {
	caller
	waiting  []document
	rejected []event.Rejection
}

type document struct{ id, body string }

// Add implements pipeline.ArchiveSink.
func (a *archive) Add(d *event.Document) {
	if bytes.Contains(d.Body, []byte(unmappable)) {
		a.rejected = append(a.rejected, event.Rejection{ID: d.ID, Reason: "mapping", Detail: "no such thing"})
		return
	}
	id := d.ID.String()
	if a.p.s.mistakes.ownIDs && a.p.number > 1 {
		id += " of " + a.p.name
	}
	a.waiting = append(a.waiting, document{id, string(d.Body)})
}

// Size implements pipeline.ArchiveSink.
func (a *archive) Size() (documents, size int) {
	for _, d := range a.waiting {
		size += len(d.body)
	}
	return len(a.waiting), size
}

// Flush implements pipeline.ArchiveSink.
func (a *archive) Flush(ctx context.Context) ([]event.Rejection, error) {
	s := a.p.s
	if s.mistakes.flushEarly {
		return a.flushEarly(ctx)
	}
	for len(a.waiting) > 0 {
		these := a.waiting
		errs := s.ask(ctx, &op{caller: a.caller, name: "flush", parts: len(these), lossy: true, about: func() string { return fmt.Sprint(len(these)) },
			effect: func(i int) error {
				s.world.put(these[i])
				return nil
			}})
		if ctx.Err() != nil || a.p.dead {
			return nil, fmt.Errorf("the archive was not written in time: %w", errors.Join(errs...))
		}
		a.waiting = nil
		for i, err := range errs {
			if err != nil {
				a.waiting = append(a.waiting, these[i])
			}
		}
		if len(a.waiting) > 0 {
			pause(ctx, retryPause)
		}
	}
	rejected := a.rejected
	a.rejected = nil
	return rejected, nil
}

// flushEarly says that everything is durable, and sees to it later.
func (a *archive) flushEarly(ctx context.Context) ([]event.Rejection, error) {
	these, p := a.waiting, a.p
	later := func() {
		for _, d := range these {
			if !p.dead {
				p.s.world.put(d)
			}
		}
	}
	err := p.s.one(ctx, &op{caller: a.caller, name: "flush", effect: func(int) error {
		p.s.after(500*time.Millisecond, "what was said to be durable is", later)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	rejected := a.rejected
	a.waiting, a.rejected = nil, nil
	return rejected, nil
}

// put stores a document unless it is there.
func (w *world) put(d document) {
	was, ok := w.documents[d.id]
	if ok {
		w.s.happened["documents that were there already"]++
	}
	if ok && was != d.body {
		w.s.wrong("document %s comes with another body: %s, was %s", d.id, d.body, was)
		return
	}
	w.documents[d.id] = d.body
}

// bury stores a dead letter under its key; the same record makes the same letter.
func (w *world) bury(m *kafka.Message) {
	text := string(m.Value)
	for _, h := range m.Headers {
		text += "\n" + h.Key + "=" + string(h.Value)
	}
	if was, ok := w.dead[string(m.Key)]; ok && was != text {
		w.s.wrong("dead letter %s comes with other contents: %s, was %s", m.Key, text, was)
	}
	w.dead[string(m.Key)] = text
}

// shards is the pipeline.ShardStore of a process.
type shards struct{ caller }

// Claim implements pipeline.ShardStore.
func (a shards) Claim(ctx context.Context, n int32, topicID string) (out pipeline.Shard, err error) {
	w := a.p.s.world
	err = a.p.s.one(ctx, &op{caller: a.caller, name: "claim", lossy: true, about: func() string { return fmt.Sprintf("%d: epoch %d", n, out.Epoch) },
		effect: func(int) error {
			state, err := w.book.Claim(context.Background(), n, topicID)
			w.epochs[n] = max(w.epochs[n], state.Epoch)
			if w.s.mistakes.checkpointAhead && state.Checkpoint != nil {
				state.CheckpointAt++
			}
			if state.Checkpoint != nil && w.s.rots() {
				state.Checkpoint[len(state.Checkpoint)/2]++
			}
			out = pipeline.Shard(state)
			return err
		}})
	return out, err
}

// Earlier implements pipeline.ShardStore.
func (a shards) Earlier(ctx context.Context, n int32, before int64) (at int64, checkpoint []byte, err error) {
	err = a.p.s.one(ctx, &op{caller: a.caller, name: "earlier", lossy: true, effect: func(int) (err error) {
		at, checkpoint, err = a.p.s.world.book.EarlierCheckpoint(context.Background(), n, before)
		if checkpoint != nil && a.p.s.rots() {
			checkpoint[len(checkpoint)/2]++
		}
		return err
	}})
	return at, checkpoint, err
}

// Apply implements pipeline.ShardStore.
func (a shards) Apply(ctx context.Context, now time.Time, writes []pipeline.ShardWrite) error {
	w := a.p.s.world
	o := &op{caller: a.caller, name: "apply", lossy: true, about: func() string { return aboutWrites(writes) }, effect: func(int) error { return w.apply(now, writes) }}
	if !w.s.mistakes.twoTransactions {
		return w.s.one(ctx, o)
	}
	offsets := slices.Clone(writes)
	for i := range offsets {
		offsets[i].Alerts = nil
	}
	o.effect = func(int) error { return w.apply(now, offsets) }
	if err := w.s.one(ctx, o); err != nil {
		return err
	}
	return w.s.one(ctx, &op{caller: a.caller, name: "apply alerts", lossy: true, effect: func(int) error { return w.apply(now, writes) }})
}

func aboutWrites(writes []pipeline.ShardWrite) (out string) {
	for _, w := range writes {
		out += fmt.Sprintf("[%d to %d, %d alerts, checkpoint %v]", w.Shard, w.Next, len(w.Alerts), w.Checkpoint != nil)
	}
	return out
}

// apply is the transaction. Whatever the book says, a shard is written by its last claimer only.
func (w *world) apply(now time.Time, writes []pipeline.ShardWrite) error {
	all := make([]incidents.ShardWrite, len(writes))
	for i, one := range writes {
		all[i] = incidents.ShardWrite(one)
		if w.s.mistakes.noFence {
			all[i].Epoch = w.epochs[one.Shard]
		}
	}
	err := w.book.Apply(context.Background(), now, all)
	if errors.Is(err, incidents.ErrFenced) {
		w.s.happened["transactions of who was the owner"]++
	}
	if err != nil {
		return err
	}
	for _, one := range writes {
		if one.Epoch != w.epochs[one.Shard] {
			w.s.wrong("shard %d was written by epoch %d although it was claimed by epoch %d", one.Shard, one.Epoch, w.epochs[one.Shard])
		}
		w.saved[one.Shard] = one.Next
	}
	return nil
}

// outbox is the pipeline.Outbox of a process and a destination.
type outbox struct{ caller }

// Due implements pipeline.Outbox.
func (a outbox) Due(ctx context.Context, destination string, now time.Time, limit int) (out []incidents.Message, err error) {
	w := a.p.s.world
	err = w.s.one(ctx, &op{caller: a.caller, name: "due", lossy: true, about: func() string { return fmt.Sprint(len(out)) }, effect: func(int) (err error) {
		out, err = w.book.Due(context.Background(), destination, now, limit)
		return err
	}})
	return out, err
}

// Sent implements pipeline.Outbox.
func (a outbox) Sent(ctx context.Context, m incidents.Message, ref string, now time.Time) error {
	return a.p.s.one(ctx, &op{caller: a.caller, name: "sent", lossy: true, about: func() string { return m.ID },
		effect: func(int) error { return a.p.s.world.book.Sent(context.Background(), m, ref, now) }})
}

// Failed implements pipeline.Outbox.
func (a outbox) Failed(ctx context.Context, m incidents.Message, cause string, next time.Time) error {
	return a.p.s.one(ctx, &op{caller: a.caller, name: "failed", lossy: true, about: func() string { return m.ID },
		effect: func(int) error { return a.p.s.world.book.Failed(context.Background(), m, cause, next) }})
}

// notifier is the pipeline.Notifier of a process and a destination.
type notifier struct {
	caller
	destination string
}

// Deliver implements pipeline.Notifier.
func (a notifier) Deliver(ctx context.Context, m incidents.Message) (string, error) {
	s := a.p.s
	if s.mistakes.sentFirst {
		if err := (outbox{a.caller}).Sent(ctx, m, "", a.p.now()); err != nil {
			return "", err
		}
	}
	err := s.one(ctx, &op{caller: a.caller, name: "deliver", lossy: true, about: func() string { return m.ID }, effect: func(int) error {
		if s.world.told[a.destination].known[m.ID] {
			s.happened["messages that were taken already"]++
		}
		s.world.told[a.destination].take(m, s.mistakes.noKeys)
		return nil
	}})
	return "ref of " + m.ID, err
}

// take takes a message unless it was taken before.
func (l *ledger) take(m incidents.Message, twice bool) {
	if !l.known[m.ID] || twice {
		l.known[m.ID] = true
		l.taken = append(l.taken, m)
	}
}
