package detectors

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/internal/varint"
)

// Memory is what one shard remembers. It is not safe for concurrent use.
type Memory struct {
	program *Program
	seed    seed
	now     int64 // the shard's time: the least watermark minus the lateness; hits up to it come too late
	sources sources

	states   []state // by the rule's number
	table    []*entity
	free     []uint32 // places in table
	calendar calendar
	keys     int
	bytes    int64
	lost     *sketch // nil: nothing was given up lately
	epoch    uint32  // see own

	names        []string // of carried fields; 0 is for those beyond the bound
	nameNumbers  map[string]uint32
	originHashes []uint64

	counts  counts
	dirty   []dirtySlot
	pending []alert.Alert // made outside Apply
	out     []alert.Alert
	spans   []span
	view    *view // reused
	scratch []byte
	extra   []byte
}

// maxTime is the greatest time that is taken seriously, Unix milliseconds, either way: what lies beyond would not add up.
const maxTime = 1 << 52

// state is the memory of one rule.
type state struct {
	keys      map[string]uint32 // places in table
	lostUntil int64             // the greatest time of a hit that was given up
}

type dirtySlot struct {
	place uint32
	slot  *slot
}

// NewMemory makes the empty memory of a shard. The seed must be the same whoever makes it, or two processes would choose different
// samples for the same alert; and attackers should not know it.
func NewMemory(p *Program, seed uint64) *Memory {
	m := &Memory{program: p, seed: newSeed(seed), now: beginning, sources: newSources(), calendar: newCalendar(),
		names: []string{""}, nameNumbers: map[string]uint32{}, view: newView()}
	m.states = newStates(len(p.rules))
	return m
}

func newStates(n int) []state {
	states := make([]state, n)
	for i := range states {
		states[i].lostUntil = beginning
	}
	return states
}

// Apply takes the next record of the shard's log and returns every revision that it made, by id and revision. The slice is valid
// until the next call; the alerts own their memory. Nothing of the frame is kept.
func (m *Memory) Apply(f *hit.Frame) []alert.Alert {
	clear(m.out)
	m.out = append(m.out[:0], m.pending...)
	m.pending = nil
	switch t := m.sources.topic(f); {
	case t == nil:
		m.counts.foreignFrames++
	case f.Kind == hit.Tick:
		m.tick(f, t)
	default:
		m.hits(f, t)
	}
	m.limit()
	if len(m.out) > 1 {
		slices.SortFunc(m.out, func(a, b alert.Alert) int {
			return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Revision, b.Revision))
		})
	}
	m.counts.alerts += int64(len(m.out))
	return m.out
}

func (m *Memory) hits(f *hit.Frame, t *topic) {
	origin := m.sources.origin(f.Source.Topic, t, f.Source.Partition)
	next := t.part(f.Source.Partition).next
	for i := range f.Hits {
		h := &f.Hits[i]
		if h.Offset < next {
			m.counts.seenBefore++
			continue
		}
		if i > 0 && h.Offset != f.Hits[i-1].Offset {
			m.publishDirty()
		}
		m.hit(f, h, origin)
	}
	p := t.part(f.Source.Partition)
	p.next = max(p.next, f.Last+1)
	m.publishDirty()
}

func (m *Memory) hit(f *hit.Frame, h *hit.Hit, origin uint32) {
	r := m.program.byID[h.Rule]
	switch {
	case r == nil:
		m.counts.unknownRule++
	case r.basis != h.Basis:
		m.counts.staleBasis++
	case h.Time > maxTime || h.Time < -maxTime:
		m.counts.badTime++
	case r.clause == nil:
		m.counts.hits++
		m.stateless(r, f.Source, h)
	case h.Time <= m.now:
		m.counts.late++
	default:
		m.counts.hits++
		m.count(r, h, origin)
	}
}

// count adds a hit to the memory of its key.
func (m *Memory) count(r *rule, h *hit.Hit, origin uint32) {
	c := r.clause
	place, e := m.entity(r, h)
	news := m.keep(e, c, h, origin)
	bytes := e.bytesOfMoments()
	t := h.Time
	if e.grid > 1 {
		t = roundUp(t, e.grid)
	}
	for i := e.add(t, c); i < len(e.moments) && e.moments[i].time < t+c.within; {
		var w met
		if w, i = e.raise(i, t+c.within, r); w.first != none {
			m.qualify(place, e, c, w, news)
		}
	}
	m.bytes += e.bytesOfMoments() - bytes
	if len(e.moments) > m.program.limits.MaxMoments {
		m.squeeze(e, r)
	}
}

func (e *entity) bytesOfMoments() int64 { return momentBytes * int64(len(e.moments)) }

// qualify notes windows that met the condition.
func (m *Memory) qualify(place uint32, e *entity, c *clause, w met, news bool) {
	start := w.slot * c.quiet
	s := e.slot(w.slot, start)
	if s == nil {
		s = &slot{number: w.slot, start: start, end: start + c.quiet, time: w.first, last: w.last, first: none}
		if e.more == nil {
			e.more = &more{}
		}
		e.more.slots = append(e.more.slots, s)
		slices.SortFunc(e.more.slots, func(a, b *slot) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
		m.bytes += slotBytes + summaryBytes
		m.schedule(place, e, c)
	}
	s.count, s.time, s.last = max(s.count, w.count), min(s.time, w.first), max(s.last, w.last)
	s.flags |= e.flags
	s.news = s.news || news
	if !s.dirty {
		s.dirty = true
		m.dirty = append(m.dirty, dirtySlot{place, s})
	}
}

// entity is the memory of the hit's key, made if there is none, and ours to write to.
func (m *Memory) entity(r *rule, h *hit.Hit) (uint32, *entity) {
	st := &m.states[r.number]
	m.scratch = appendEntityKey(m.scratch[:0], h.Tenant, h.Key)
	if place, ok := st.keys[string(m.scratch)]; ok {
		return place, m.own(place)
	}
	text := string(m.scratch)
	e := &entity{text: text, rule: int32(r.number), epoch: m.epoch, due: none}
	if m.lost != nil && h.Time-r.clause.within < st.lostUntil && m.lost.estimate(m.keyHash(e)) > 0 {
		e.flags |= mayLack
	}
	place := m.place(e)
	if st.keys == nil {
		st.keys = map[string]uint32{}
	}
	st.keys[text] = place
	m.keys++
	m.bytes += entityBytes + int64(len(text))
	e.due = floorDiv(h.Time, r.clause.chunk)*r.clause.chunk + r.clause.chunk + r.clause.within - 1
	m.calendar.add(place, e.due)
	return place, e
}

func (m *Memory) place(e *entity) uint32 {
	if n := len(m.free); n > 0 {
		place := m.free[n-1]
		m.free = m.free[:n-1]
		m.table[place] = e
		return place
	}
	m.table = append(m.table, e)
	return uint32(len(m.table) - 1)
}

// own is an entity to write to. One that a Frozen may be reading is copied first.
func (m *Memory) own(place uint32) *entity {
	e := m.table[place]
	if e.epoch != m.epoch {
		e = e.clone()
		e.epoch = m.epoch
		m.table[place] = e
	}
	return e
}

// drop forgets an entity.
func (m *Memory) drop(place uint32) {
	e := m.table[place]
	m.bytes -= e.bytes()
	m.keys--
	delete(m.states[e.rule].keys, e.text)
	m.table[place] = nil
	m.free = append(m.free, place)
}

// appendEntityKey appends what tells keys of one rule apart: the tenant, with its length, and the key.
func appendEntityKey(b []byte, tenant, key string) []byte {
	return append(varint.AppendText(b, tenant), key...)
}

func splitEntityKey(text string) (tenant, key string) {
	n, size := binary.Uvarint(view8(text))
	return text[size : size+int(n)], text[size+int(n):]
}

func (m *Memory) keyHash(e *entity) uint64 {
	return m.seed.text(e.text) ^ m.seed.text(m.program.rules[e.rule].id)
}

// keep keeps a hit as evidence, and says whether it may have a value that was not known.
func (m *Memory) keep(e *entity, c *clause, h *hit.Hit, origin uint32) (news bool) {
	m.extra = m.appendExtra(m.extra[:0], h)
	r := record{time: h.Time, offset: h.Offset, received: h.RecordTime, index: h.Index, origin: origin, extra: event.View(m.extra)}
	chunk := floorDiv(h.Time, c.chunk)
	if crowd := e.crowd(chunk); crowd != nil {
		size := crowd.size
		news = m.addTo(&crowd.summary, r, strings.Clone)
		m.bytes += crowd.size - size
		return news
	}
	from, to := searchRecords(e.recs, chunk*c.chunk), searchRecords(e.recs, (chunk+1)*c.chunk)
	if to-from >= crowdSize {
		m.crowd(e, chunk, from, to, r)
		return true
	}
	at := to
	for at > from && e.recs[at-1].time > r.time {
		at--
	}
	if n := len(e.recs); n > 0 && e.recs[n-1].extra == r.extra {
		r.extra = e.recs[n-1].extra // many hits of a key say the same
	} else {
		r.extra = strings.Clone(r.extra)
	}
	e.recs = slices.Insert(e.recs, at, r)
	m.bytes += r.bytes()
	return r.extra != ""
}

// crowd makes a crowd of the records from index from to index to, and adds r.
func (m *Memory) crowd(e *entity, chunk int64, from, to int, r record) {
	n := &crowd{chunk: chunk}
	for _, one := range e.recs[from:to] {
		m.bytes -= one.bytes()
		m.addTo(&n.summary, one, owned)
	}
	m.addTo(&n.summary, r, strings.Clone)
	m.bytes += summaryBytes + n.size
	e.recs = slices.Delete(e.recs, from, to)
	if e.more == nil {
		e.more = &more{}
	}
	at, _ := slices.BinarySearchFunc(e.more.crowds, chunk, func(c *crowd, chunk int64) int { return cmp.Compare(c.chunk, chunk) })
	e.more.crowds = slices.Insert(e.more.crowds, at, n)
}

// squeeze makes room in a key that has too many moments.
func (m *Memory) squeeze(e *entity, r *rule) {
	c := r.clause
	before := e.bytes()
	last := e.moments[len(e.moments)-1].time
	most := m.program.limits.MaxMoments
	m.forget(e, r, c.kept(m.now))
	if early := c.kept(last - c.within); len(e.moments) > most && e.moments[0].time < early {
		m.forget(e, r, early)
		e.flags |= forgotEarly
		m.counts.forgottenEarly++
	}
	for len(e.moments) > most/2 && len(e.moments) > 1 {
		e.round(max(2*e.grid, 2), c)
		e.flags |= roundedTimes
		m.counts.rounded++
	}
	m.bytes += e.bytes() - before
}

// forget folds evidence before a time into the slots that it belongs to, and drops it. The caller accounts for the bytes.
func (m *Memory) forget(e *entity, r *rule, before int64) {
	records := searchRecords(e.recs, before)
	crowds := 0
	if e.more != nil {
		for crowds < len(e.more.crowds) && (e.more.crowds[crowds].chunk+1)*r.clause.chunk <= before {
			crowds++
		}
		for _, s := range e.more.slots {
			m.spans = e.coverage(m.spans[:0], s, r)
			m.fold(e, s, records, crowds, before)
		}
		e.more.crowds = shrunk(e.more.crowds, crowds)
	}
	e.recs = shrunk(e.recs, records)
	e.forget(before)
}

// fold adds the first records and crowds to a slot's forgotten evidence, as far as m.spans covers them.
func (m *Memory) fold(e *entity, s *slot, records, crowds int, before int64) {
	if len(m.spans) == 0 {
		return
	}
	in := func(t int64) bool { return covers(m.spans, t) }
	if s.first == none {
		s.first = firstCovered(e.moments, m.spans, before)
	}
	for i := range e.recs[:records] {
		if in(e.recs[i].time) {
			m.addTo(&s.forgotten, e.recs[i], owned)
		}
	}
	for _, c := range e.more.crowds[:crowds] {
		m.merge(&s.forgotten, &c.summary, in)
	}
}

// firstCovered is the first moment before a time that is covered, or none.
func firstCovered(ms []moment, spans []span, before int64) int64 {
	for _, sp := range spans {
		if i := search(ms, sp.lo); i < len(ms) && ms[i].time <= sp.hi && ms[i].time < before {
			return ms[i].time
		}
	}
	return none
}
