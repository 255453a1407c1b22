package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/memstore"
	"github.com/klaxonhq/klaxon/incidents/storetest"
)

// outcome is what is there when a run has come to rest, and what was wrong with it on the way.
//
// Every run must end as an undisturbed one does: the same archive, id by id and byte by byte; the same dead letters, as a set; the same
// ids and last contents of alerts; the same incidents with their keys, episodes, severities, titles, times of evidence, rules and alerts.
// Where the source has one partition, alerts have the same revisions too; where it has several, the order in which they are read decides
// how many there are.
//
// And every run must be what its own log of hits says, which may hold frames twice and cut otherwise: the alerts, revisions included,
// incidents, timelines and messages are those that the log makes when it is read once from its beginning. What depends on the order in
// which shards are read, the revisions and timelines of an incident with alerts from several of them, is left out. Every destination was
// told every message once, those about one subject in their order; offsets are committed to the ends of the logs; and no process
// that was not killed had an error to log.
type outcome struct {
	documents map[string]string
	dead      map[string]string
	book      storetest.Dump
	steps     int
	kinds     map[string]int // steps by loop
	happened  map[string]int // what went wrong on the way, by its name
	applied   []int          // steps and events at which something was disturbed
	trace     []string
	found     []string
}

// outcome reads what a run has left, and checks what can be checked without another run.
func (s *sim) outcome() *outcome {
	o := &outcome{documents: s.world.documents, dead: s.world.dead, steps: s.n, kinds: s.kinds, happened: s.happened, applied: s.applied, trace: s.trace}
	o.book = s.dump(s.world.store)
	if len(s.found) == 0 {
		s.offsets()
		s.everyRecord()
		s.replayed(o.book)
		s.everyMessage(o.book.Messages)
	}
	o.found = s.found
	return o
}

// dump is what a store holds, without what people's clocks say and without the notes of deliveries.
func (s *sim) dump(store incidents.Store) (d storetest.Dump) {
	if err := store.View(context.Background(), func(v incidents.View) (err error) {
		d, err = storetest.Read(v)
		return err
	}); err != nil {
		s.wrong("cannot read the store: %v", err)
	}
	slices.SortFunc(d.Incidents, func(a, b incidents.Incident) int { return cmp.Compare(a.ID, b.ID) })
	for i := range d.Incidents {
		in := &d.Incidents[i]
		in.OpenedAt, in.UpdatedAt, in.Entries = time.Time{}, time.Time{}, 0
	}
	for id, list := range d.Timelines {
		list = slices.DeleteFunc(list, func(e incidents.Entry) bool { return e.Action == incidents.Notified })
		for i := range list {
			list[i].Seq, list[i].Time = 0, time.Time{}
		}
		d.Timelines[id] = list
	}
	return d
}

// offsets checks that everything was read.
func (s *sim) offsets() {
	for _, g := range s.groups[:2] {
		for _, p := range g.topic.active {
			if g.reached[p] != g.topic.end(p) {
				s.wrong("%s has committed %d of partition %d, which ends at %d", g.name, g.reached[p], p, g.topic.end(p))
			}
		}
	}
	if !s.stored() {
		s.wrong("the store has not the offsets at which the shards end: %v", s.world.saved)
	}
}

// everyRecord checks that each record is in the archive or a dead letter, and not in both.
func (s *sim) everyRecord() {
	for p := range s.world.source.partitions {
		for _, r := range slices.Concat(s.world.gone[p], s.world.source.logs[p]) {
			if r.hole {
				continue
			}
			id := event.ID{Topic: sourceTopic, Partition: p, Offset: r.offset, Time: r.time}.String()
			_, archived := s.world.documents[id]
			_, dead := s.world.dead[id]
			if archived == dead {
				s.wrong("record %s: in the archive %v, a dead letter %v", id, archived, dead)
			}
		}
	}
}

// replayed checks that the book is that of the log of hits, read once and undisturbed.
func (s *sim) replayed(got storetest.Dump) {
	store := memstore.New()
	book := incidents.NewBook(store, incidents.Policy{Destinations: destinations()})
	for _, shard := range s.world.hits.active {
		state, err := book.Claim(context.Background(), shard, s.world.hits.id)
		if err != nil {
			s.wrong("cannot replay shard %d: %v", shard, err)
		}
		w := incidents.ShardWrite{Shard: shard, Epoch: state.Epoch, TopicID: s.world.hits.id, Next: s.world.hits.end(shard), Alerts: s.remembered(shard)}
		if err := book.Apply(context.Background(), epoch, []incidents.ShardWrite{w}); err != nil {
			s.wrong("cannot replay shard %d: %v", shard, err)
		}
	}
	want := s.dump(store)
	s.same("alerts, as the log of hits has them and as they are stored", want.Alerts, got.Alerts)
	s.same("incidents, as the log of hits has them and as they are stored", inOneOrder(want).Incidents, inOneOrder(got).Incidents)
	s.same("timelines, as the log of hits has them and as they are stored", inOneOrder(want).Timelines, inOneOrder(got).Timelines)
	s.same("alerts of incidents, as the log of hits has them and as they are stored", want.Evidence, got.Evidence)
	s.same("messages, as the log of hits has them and as they were written", bySubject(inOneOrder(want).Messages), bySubject(inOneOrder(got).Messages))
	for _, a := range got.Alerts {
		if !a.Final {
			s.wrong("alert %s never ended", a.ID)
		}
	}
}

// remembered is every revision that a shard's log makes.
func (s *sim) remembered(shard int32) (out []alert.Alert) {
	m := detectors.NewMemory(s.workload.generations[0].program, seedOf(s.world.hits.source(shard)))
	var f hit.Frame
	for _, r := range s.world.hits.logs[shard] {
		if err := f.Parse(r.value); err != nil {
			s.wrong("shard %d, offset %d: %v", shard, r.offset, err)
		}
		out = append(out, m.Apply(&f)...)
	}
	if n := m.Stats()["late"]; n > 0 {
		s.wrong("shard %d: %d hits came after their time was closed", shard, n)
	}
	return out
}

// inOneOrder leaves out what depends on the order in which shards are read: of incidents whose alerts come from several of them the
// revisions, the timeline and the messages.
func inOneOrder(d storetest.Dump) storetest.Dump {
	d.Incidents, d.Timelines = slices.Clone(d.Incidents), maps.Clone(d.Timelines)
	several := map[string]bool{}
	for i := range d.Incidents {
		if in := &d.Incidents[i]; slices.Equal(in.Rules, []string{"spray"}) {
			in.Revision = 0
			several[in.ID] = true
			delete(d.Timelines, in.ID)
		}
	}
	d.Messages = slices.DeleteFunc(slices.Clone(d.Messages), func(m incidents.Message) bool { return several[m.Subject] })
	return d
}

// bySubject is the ids of messages, by destination and subject.
func bySubject(list []incidents.Message) map[string][]string {
	out := map[string][]string{}
	for _, m := range list {
		key := m.Destination + " " + m.Subject
		out[key] = append(out[key], m.ID)
	}
	return out
}

// seedOf is the seed of a shard's memory, which every owner must choose alike: it decides which events are shown of many.
func seedOf(s event.Source) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", s.TopicID, s.Partition)
	return h.Sum64()
}

// everyMessage checks that destinations took what was written for them, once and in order.
func (s *sim) everyMessage(outbox []incidents.Message) {
	var taken []incidents.Message
	for _, d := range destinations() {
		taken = append(taken, s.world.told[d.Name].taken...)
	}
	s.same("messages, as they were written and as they were taken", bySubject(outbox), bySubject(taken))
	for _, m := range outbox {
		if m.State != incidents.Sent {
			s.wrong("message %s to %s is %s", m.ID, m.Destination, m.State)
		}
	}
}

func (s *sim) same(what string, want, got any) {
	if d := difference(want, got); d != "" {
		s.wrong("%s differ:\n%s", what, d)
	}
}

// difference is a cmp.Diff whose costs are paid only when there is one.
func difference(want, got any) string {
	a, errA := json.Marshal(want)
	b, errB := json.Marshal(got)
	if errA == nil && errB == nil && string(a) == string(b) {
		return ""
	}
	return gocmp.Diff(want, got)
}

// differs says how a run ended otherwise than an undisturbed one.
func (o *outcome) differs(calm *outcome, partitions int32) []string {
	if len(o.found) > 0 {
		return o.found
	}
	var out []string
	check := func(what string, want, got any) {
		if d := difference(want, got); d != "" {
			out = append(out, fmt.Sprintf("%s differ (-undisturbed +disturbed):\n%s", what, d))
		}
	}
	check("archives", calm.documents, o.documents)
	check("dead letters", calm.dead, o.dead)
	check("alerts", calm.alerts(partitions == 1), o.alerts(partitions == 1))
	check("incidents", calm.incidents(), o.incidents())
	check("alerts of incidents", calm.book.Evidence, o.book.Evidence)
	return out
}

// alerts is the alerts, without revisions where the order of partitions decides how many there are.
func (o *outcome) alerts(revisions bool) []alert.Alert {
	out := slices.Clone(o.book.Alerts)
	for i := range out {
		if !revisions {
			out[i].Revision = 0
		}
	}
	return out
}

// incidents is the incidents without their revisions.
func (o *outcome) incidents() []incidents.Incident {
	out := slices.Clone(o.book.Incidents)
	for i := range out {
		out[i].Revision = 0
	}
	return out
}
