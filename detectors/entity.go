package detectors

import (
	"math"
	"slices"
)

// entity is the memory of one key of one rule with a clause.
type entity struct {
	text   string // see appendEntityKey
	rule   int32  // its number in the program
	epoch  uint32 // of the memory when it was last copied; see Memory.own
	due    int64  // when the calendar looks at it
	grid   int64  // above 1: times are rounded up to multiples of it, because there were too many
	tail   int32  // the first moment in the window of the last one
	flags  flags
	inTail uint64 // hits in that window, as far as they are still remembered
	// moments are the times of hits, ascending, none twice; recs their evidence by time, as far as it is not in more's crowds.
	moments []moment
	recs    []record
	more    *more // nil for most keys
}

// moment is a time at which there were hits.
type moment struct {
	time  int64
	count uint32 // hits at that time
	total uint32 // hits in the window that ends with it
}

// more is what busy keys need.
type more struct {
	slots  []*slot  // open ones, ascending
	crowds []*crowd // chunks of time with more hits than are kept one by one, ascending
}

// crowd is the evidence of one chunk of time.
type crowd struct {
	chunk int64
	summary
}

// slot is one alert to be: a slot of time in which some window that ends with a hit met the condition.
type slot struct {
	number     int64
	start, end int64 // [start, end)
	count      uint32
	time       int64 // the least time that met the condition
	last       int64 // the greatest
	first      int64 // the earliest forgotten hit of its evidence
	forgotten  summary
	flags      flags
	dirty      bool
	news       bool // the record under way has a value that was not known
	// what was published, and the count at which a severity that looks at evidence was last looked at
	revision  int64
	published uint32
	checked   uint32
	severity  int8
}

// none is a time that no hit has.
const none = math.MaxInt64

// flags say what could not be kept exactly.
type flags uint8

const (
	roundedTimes flags = 1 << iota // moments were rounded
	forgotEarly                    // hits were forgotten before their time, because the shard's time stood still
	mayLack                        // earlier hits may have been given up when memory was full
	endedEarly                     // the episode ended because memory was full
	ruleChanged                    // the episode ended because the rule changed
)

// search is the index of the first moment at t or later.
func search(ms []moment, t int64) int {
	lo, hi := 0, len(ms)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); ms[mid].time < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// searchRecords is the index of the first record at t or later.
func searchRecords(rs []record, t int64) int {
	lo, hi := 0, len(rs)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); rs[mid].time < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// add counts a hit at t, which no window that is still of interest ends before. It returns the first moment whose window has one
// more; the others are those up to t + within, and their totals are still to be raised.
func (e *entity) add(t int64, c *clause) int {
	n := len(e.moments)
	if n == 0 || t > e.moments[n-1].time {
		for int(e.tail) < n && e.moments[e.tail].time <= t-c.within {
			e.inTail -= uint64(e.moments[e.tail].count)
			e.tail++
		}
		e.moments = append(e.moments, moment{t, 1, clampTotal(e.inTail)})
		e.inTail++
		return n
	}
	inTail := t > e.moments[n-1].time-c.within
	at := n - 1
	if t != e.moments[at].time {
		at = search(e.moments, t)
	}
	if e.moments[at].time == t {
		e.moments[at].count++
	} else {
		e.moments = slices.Insert(e.moments, at, moment{t, 1, e.windowBefore(at, t, c.within)})
		if !inTail {
			e.tail++
		}
	}
	if inTail {
		e.inTail++
	}
	return at
}

// met is what the windows that end in one slot came to.
type met struct {
	slot        int64 // its number
	count       uint32
	first, last int64 // ends of windows that met the condition; first is none if none did
}

// raise counts one hit more in the windows that end with moment i and those behind it, before a time and in the slot of moment i.
// It returns the first moment that it left alone.
func (e *entity) raise(i int, before int64, r *rule) (met, int) {
	slot := r.clause.slotOf(e.moments[i].time)
	out := met{slot: slot, first: none}
	before = min(before, (slot+1)*r.clause.quiet)
	least := r.clause.atLeast
	for ; i < len(e.moments) && e.moments[i].time < before; i++ {
		u := &e.moments[i]
		u.total++
		if u.total < least || r.resolve != nil && !r.meets(e, *u) {
			continue
		}
		out.count, out.last = max(out.count, u.total), u.time
		if out.first == none {
			out.first = u.time
		}
	}
	return out, i
}

// windowBefore counts the hits in (t - within, t), where t would be inserted at index at, before a later moment.
func (e *entity) windowBefore(at int, t, within int64) uint32 {
	from := search(e.moments[:at], t-within+1)
	next := e.moments[at]
	total := uint32(0)
	if next.time-within >= t { // its window has none of ours
		for _, m := range e.moments[from:at] {
			total += m.count
		}
		return total
	}
	total = next.total - next.count // (next - within, t), to which come (t - within, next - within]
	for i := from; i < at && e.moments[i].time <= next.time-within; i++ {
		total += e.moments[i].count
	}
	return total
}

func clampTotal(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

// forget drops the moments before a time that no window of interest reaches.
func (e *entity) forget(before int64) {
	n := search(e.moments, before)
	if n == 0 {
		return
	}
	for i := int(e.tail); i < n; i++ {
		e.inTail -= uint64(e.moments[i].count)
	}
	e.tail = max(e.tail-int32(n), 0)
	e.moments = shrunk(e.moments, n)
}

// shrunk drops the first n of a slice and gives memory back that is not worth keeping.
func shrunk[T any](s []T, n int) []T {
	switch rest := len(s) - n; {
	case rest == 0:
		return nil
	case rest*4 < cap(s):
		return append(make([]T, 0, rest), s[n:]...)
	default:
		return slices.Delete(s, 0, n)
	}
}

// round makes moments fewer: their times go up to multiples of the grid.
func (e *entity) round(grid int64, c *clause) {
	e.grid = grid
	out := e.moments[:0]
	for _, m := range e.moments {
		m.time = roundUp(m.time, grid)
		if n := len(out); n > 0 && out[n-1].time == m.time {
			out[n-1].count += m.count
			out[n-1].total = m.total
			continue
		}
		out = append(out, m)
	}
	e.moments = out
	e.retail(c)
}

// retail finds the last moment's window anew.
func (e *entity) retail(c *clause) {
	e.tail, e.inTail = 0, 0
	n := len(e.moments)
	if n == 0 {
		return
	}
	e.tail = int32(search(e.moments, e.moments[n-1].time-c.within+1))
	for _, m := range e.moments[e.tail:] {
		e.inTail += uint64(m.count)
	}
}

func roundUp(t, grid int64) int64 { return -floorDiv(-t, grid) * grid }

// dueAt is when the calendar must look at the entity: a slot ends, all can be forgotten, or a window's worth of it.
func (e *entity) dueAt(c *clause) int64 {
	due := int64(none)
	if e.more != nil {
		for _, s := range e.more.slots {
			due = min(due, s.end)
		}
	}
	if n := len(e.moments); n > 0 {
		after := func(t int64) int64 { return (floorDiv(t, c.chunk)+1)*c.chunk + c.within - 1 }
		due = min(due, after(e.moments[n-1].time), after(e.moments[0].time)+c.within)
	}
	return due
}

// bytes is about what the entity takes.
func (e *entity) bytes() int64 {
	n := entityBytes + int64(len(e.text)) + momentBytes*int64(len(e.moments))
	for i := range e.recs {
		n += e.recs[i].bytes()
	}
	if e.more != nil {
		for _, s := range e.more.slots {
			n += slotBytes + summaryBytes + s.forgotten.size
		}
		for _, c := range e.more.crowds {
			n += summaryBytes + c.size
		}
	}
	return n
}

// clone copies everything that is written to.
func (e *entity) clone() *entity {
	n := *e
	n.moments, n.recs = slices.Clone(e.moments), slices.Clone(e.recs)
	if e.more != nil {
		n.more = &more{}
		for _, s := range e.more.slots {
			c := *s
			c.forgotten = s.forgotten.clone()
			n.more.slots = append(n.more.slots, &c)
		}
		for _, c := range e.more.crowds {
			n.more.crowds = append(n.more.crowds, &crowd{c.chunk, c.summary.clone()})
		}
	}
	return &n
}

func (s *summary) clone() summary {
	n := *s
	n.sample, n.fields = slices.Clone(s.sample), slices.Clone(s.fields)
	for i := range n.fields {
		n.fields[i].values = slices.Clone(n.fields[i].values)
	}
	return n
}

// slot is the open slot of that number, or nil.
func (e *entity) slot(number, start int64) *slot {
	if e.more == nil {
		return nil
	}
	for i := len(e.more.slots) - 1; i >= 0; i-- {
		if s := e.more.slots[i]; s.number == number && s.start == start {
			return s
		}
	}
	return nil
}

func (e *entity) crowd(chunk int64) *crowd {
	if e.more == nil {
		return nil
	}
	for i := len(e.more.crowds) - 1; i >= 0 && e.more.crowds[i].chunk >= chunk; i-- {
		if c := e.more.crowds[i]; c.chunk == chunk {
			return c
		}
	}
	return nil
}

// span is times from lo to hi, both in it.
type span struct{ lo, hi int64 }

// coverage appends the times that qualifying windows of a slot cover, ascending and apart.
func (e *entity) coverage(out []span, s *slot, r *rule) []span {
	for i := search(e.moments, s.start); i < len(e.moments) && e.moments[i].time < s.end; i++ {
		m := e.moments[i]
		if !r.meets(e, m) {
			continue
		}
		lo := m.time - r.clause.within + 1
		if n := len(out); n > 0 && lo <= out[n-1].hi+1 {
			out[n-1].hi = m.time
			continue
		}
		out = append(out, span{lo, m.time})
	}
	return out
}

func covers(spans []span, t int64) bool {
	lo, hi := 0, len(spans)
	for lo < hi {
		if mid := (lo + hi) / 2; spans[mid].hi < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(spans) && spans[lo].lo <= t
}
