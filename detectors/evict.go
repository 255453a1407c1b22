package detectors

import (
	"cmp"
	"slices"
)

// limit gives keys up when there are too many, down to seven eighths of the budget, so that the work is spread over many records.
// It gives up first those that are furthest from an alert: a flood of keys that are each seen once cannot push out one that is
// seen often.
func (m *Memory) limit() {
	l := &m.program.limits
	if m.keys <= l.MaxKeys && m.bytes <= l.MaxBytes {
		return
	}
	candidates := make([]candidate, 0, m.keys)
	for place, e := range m.table {
		if e != nil {
			candidates = append(candidates, m.weigh(uint32(place), e))
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.slots, b.slots), cmp.Compare(a.weight, b.weight), cmp.Compare(a.last, b.last), cmp.Compare(a.hash, b.hash))
	})
	for _, c := range candidates {
		if m.keys <= l.MaxKeys-l.MaxKeys/8 && m.bytes <= l.MaxBytes-l.MaxBytes/8 {
			break
		}
		m.giveUp(c)
	}
}

// candidate is a key that may be given up. None of it depends on where the key happens to lie.
type candidate struct {
	slots  int    // 1 if an alert is open
	weight uint64 // hits that are remembered, in parts of what the rule asks for
	last   int64
	hash   uint64
	place  uint32
}

func (m *Memory) weigh(place uint32, e *entity) candidate {
	c := candidate{place: place, hash: m.keyHash(e)}
	hits := uint64(0)
	for _, x := range e.moments {
		hits += uint64(x.count)
	}
	if n := len(e.moments); n > 0 {
		c.last = e.moments[n-1].time
	}
	if m.lost != nil { // it came back: it is seen more often than it seems
		hits += uint64(m.lost.estimate(c.hash))
	}
	if e.more != nil && len(e.more.slots) > 0 {
		c.slots = 1
	}
	c.weight = hits << 10 / uint64(m.program.rules[e.rule].clause.atLeast)
	return c
}

// giveUp forgets a key. An open alert of it is ended, and says why.
func (m *Memory) giveUp(c candidate) {
	e := m.own(c.place)
	hits := uint32(0)
	for _, x := range e.moments {
		hits += x.count
	}
	st := &m.states[e.rule]
	st.lostUntil = max(st.lostUntil, c.last)
	if m.lost == nil {
		m.lost = &sketch{until: beginning}
	}
	m.lost.until = max(m.lost.until, c.last)
	m.lost.add(c.hash, hits)
	m.counts.evictedKeys++
	m.counts.evictedHits += int64(hits)
	m.close(e, endedEarly)
	m.drop(c.place)
}

// close ends every open alert of an entity that is about to be dropped.
func (m *Memory) close(e *entity, why flags) {
	if e.more == nil {
		return
	}
	r := m.program.rules[e.rule]
	for _, s := range e.more.slots {
		if s.revision > 0 {
			s.flags |= why
			m.publish(r, e, s, true)
			m.counts.endedEarly++
		}
	}
}

const (
	sketchRows = 4
	sketchBits = 12
)

// sketch counts hits of keys that were given up, never too few: a count-min sketch.
type sketch struct {
	until int64 // the greatest time of a hit in it
	cells [sketchRows][1 << sketchBits]uint8
}

func (s *sketch) add(hash uint64, n uint32) {
	for row := range sketchRows {
		cell := &s.cells[row][sketchCell(hash, row)]
		*cell = uint8(min(uint32(*cell)+min(n, 255), 255))
	}
}

func (s *sketch) estimate(hash uint64) uint8 {
	least := uint8(255)
	for row := range sketchRows {
		least = min(least, s.cells[row][sketchCell(hash, row)])
	}
	return least
}

func sketchCell(hash uint64, row int) uint64 { return hash >> (row * sketchBits) & (1<<sketchBits - 1) }
