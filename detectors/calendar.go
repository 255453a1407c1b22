package detectors

import (
	"container/heap"

	"github.com/klaxonhq/klaxon/hit"
)

// bucketLength is how coarsely the calendar sorts, milliseconds.
const bucketLength = 1000

// calendar says which entities a tick must look at, so that a tick does not look at all of them. Places are found under
// floor(due / bucketLength); a place whose entity says another due is an old note and is passed over.
type calendar struct {
	buckets map[int64][]uint32
	order   bucketHeap
}

type bucketHeap []int64

func (h bucketHeap) Len() int           { return len(h) }
func (h bucketHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h bucketHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *bucketHeap) Push(x any) { *h = append(*h, x.(int64)) }

// Pop is heap.Interface's.
func (h *bucketHeap) Pop() any {
	n := len(*h) - 1
	x := (*h)[n]
	*h = (*h)[:n]
	return x
}

func newCalendar() calendar { return calendar{buckets: map[int64][]uint32{}} }

func (c *calendar) add(place uint32, due int64) {
	b := floorDiv(due, bucketLength)
	places, ok := c.buckets[b]
	if !ok {
		heap.Push(&c.order, b)
	}
	c.buckets[b] = append(places, place)
}

// next removes the earliest bucket that holds something due at now, and returns it and its number.
func (c *calendar) next(now int64) (places []uint32, bucket int64, ok bool) {
	if len(c.order) == 0 || c.order[0] > floorDiv(now, bucketLength) {
		return nil, 0, false
	}
	bucket = heap.Pop(&c.order).(int64)
	places = c.buckets[bucket]
	delete(c.buckets, bucket)
	return places, bucket, true
}

// schedule notes an entity under an earlier time, if it is due earlier than it is noted.
func (m *Memory) schedule(place uint32, e *entity, c *clause) {
	if due := e.dueAt(c); due < e.due {
		e.due = due
		m.calendar.add(place, due)
	}
}

// tick takes watermarks and does what is due.
func (m *Memory) tick(f *hit.Frame, t *topic) {
	m.counts.ticks++
	for _, mark := range f.Marks {
		if mark.Partition < 0 || mark.Partition >= f.Partitions {
			m.counts.foreignFrames++
			continue
		}
		p := t.part(mark.Partition)
		p.watermark = max(p.watermark, min(mark.Watermark, maxTime))
	}
	now := m.sources.watermark() - m.program.lateness
	if now <= m.now {
		return
	}
	m.now = now
	if m.lost != nil && m.now > m.lost.until+m.program.longest {
		m.lost = nil
	}
	m.advance()
}

func (m *Memory) advance() {
	var later []uint32
	for {
		places, bucket, ok := m.calendar.next(m.now)
		if !ok {
			break
		}
		for _, place := range places {
			e := m.table[place]
			if e == nil || floorDiv(e.due, bucketLength) != bucket {
				continue
			}
			if e.due > m.now {
				later = append(later, place)
				continue
			}
			m.expire(place)
		}
	}
	for _, place := range later {
		m.calendar.add(place, m.table[place].due)
	}
}

// expire closes the slots that have ended and forgets what no window reaches.
func (m *Memory) expire(place uint32) {
	e := m.own(place)
	r := m.program.rules[e.rule]
	c := r.clause
	before := e.bytes()
	if e.more != nil {
		for len(e.more.slots) > 0 {
			i := e.ended(m.now)
			if i < 0 {
				break
			}
			m.publish(r, e, e.more.slots[i], true)
			e.more.slots = append(e.more.slots[:i:i], e.more.slots[i+1:]...)
		}
	}
	m.forget(e, r, c.kept(m.now))
	if e.flags&mayLack != 0 && m.states[e.rule].lostUntil < c.kept(m.now) {
		e.flags &^= mayLack
	}
	if e.grid > 1 && len(e.moments) < m.program.limits.MaxMoments/8 {
		e.grid = 0
	}
	if len(e.moments) == 0 {
		e.flags = 0
	}
	if e.more != nil && len(e.more.slots) == 0 && len(e.more.crowds) == 0 {
		e.more = nil
	}
	m.bytes += e.bytes() - before
	if e.more == nil && len(e.moments) == 0 {
		m.drop(place)
		return
	}
	e.due = e.dueAt(c)
	m.calendar.add(place, e.due)
}

// ended is the index of a slot that ends at now or before, or -1.
func (e *entity) ended(now int64) int {
	for i, s := range e.more.slots {
		if s.end <= now {
			return i
		}
	}
	return -1
}
