package detectors

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/internal/varint"
)

const (
	// crowdSize is from how many hits in one chunk of time on evidence is summarised instead of kept.
	crowdSize = 64
	// sampleSize is how many events an alert names at most, and how many a summary keeps for it.
	sampleSize = 8
	// valuesKept is up to how many different values of a field are known exactly.
	valuesKept = 64
	// maxNames, maxValueBytes and maxSampleBytes bound what a hit can make a memory keep.
	maxNames       = 4096
	maxValueBytes  = 512
	maxSampleBytes = 16 << 10
)

// record is one hit that is kept as evidence. It owns its memory.
type record struct {
	time     int64
	offset   int64
	received int64 // the record time
	index    int32
	origin   uint32
	extra    string // see appendExtra
}

// Sizes for the budget: about what the allocator gives, and the same on every machine.
const (
	recordBytes  = 48
	hashedBytes  = 56
	textBytes    = 24
	momentBytes  = 16
	slotBytes    = 112
	summaryBytes = 176
	entityBytes  = 208 // with its places in the map, the table and the calendar
)

func (r *record) bytes() int64 { return recordBytes + int64(len(r.extra)) }

// appendExtra appends what a hit carries: the number of fields, their names as numbers, their values; then the sample.
func (m *Memory) appendExtra(b []byte, h *hit.Hit) []byte {
	if len(h.Fields) == 0 && len(h.Sample) == 0 {
		return b
	}
	n := 0
	for i := range h.Fields {
		if len(h.Fields[i].Values) > 0 {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range h.Fields {
		f := &h.Fields[i]
		if len(f.Values) == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(m.name(f.Name)))
		b = binary.AppendUvarint(b, uint64(len(f.Values)))
		for _, v := range f.Values {
			b = varint.AppendText(b, clip(v))
		}
	}
	if len(h.Sample) > maxSampleBytes {
		m.counts.samplesDropped++
		return b
	}
	return append(b, h.Sample...)
}

// name is a carried field's number. Number 0 is for all fields beyond the bound.
func (m *Memory) name(s string) uint32 {
	n, ok := m.nameNumbers[s]
	if !ok {
		if len(m.names) >= maxNames {
			return 0
		}
		s = strings.Clone(s)
		n = uint32(len(m.names))
		m.names = append(m.names, s)
		m.nameNumbers[s] = n
	}
	return n
}

// clip cuts a value at the limit, never inside a rune.
func clip(s string) string {
	if len(s) <= maxValueBytes {
		return s
	}
	n := maxValueBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// carried reads a record's extra: one value after the other, and then the sample.
type carried struct {
	reader
	fields, values uint64 // still to come
	name           uint32
}

func readExtra(extra string) carried {
	c := carried{reader: reader{B: view8(extra)}}
	if extra != "" {
		c.fields = c.Uvarint()
	}
	return c
}

// next is the next value and the number of its field's name.
func (c *carried) next() (name uint32, value string, ok bool) {
	for c.values == 0 {
		if c.fields == 0 || c.Bad {
			return 0, "", false
		}
		c.fields--
		c.name, c.values = uint32(c.Uvarint()), c.Uvarint()
	}
	c.values--
	value = c.Text()
	return c.name, value, !c.Bad
}

// sample is the sample of a record's extra, or "".
func sample(extra string) string {
	c := readExtra(extra)
	for {
		if _, _, ok := c.next(); !ok {
			return event.View(c.B)
		}
	}
}

// view8 is a text's bytes, which nobody may write to.
func view8(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// hashed is a record with the hash that decides whether a sample keeps it.
type hashed struct {
	hash uint64
	record
}

// valueSet is a field's different values, of which those with the least hashes are kept: a set of its own, whatever the order.
type valueSet struct {
	name   uint32
	full   bool // there were more than valuesKept
	values []hashedText
}

type hashedText struct {
	hash uint64
	text string
}

// summary is evidence of any size in bounded memory. It depends on the set of its hits only, not on their order.
type summary struct {
	some        bool
	first, last record   // by time and id; set if there is some hit
	sample      []hashed // those with the least hashes, ascending
	fields      []valueSet
	size        int64 // for the budget
}

func (m *Memory) hash(r *record) uint64 {
	return m.seed.words(m.originHash(r.origin), uint64(r.offset), uint64(r.received), uint64(r.index))
}

func (m *Memory) originHash(n uint32) uint64 {
	for int(n) >= len(m.originHashes) {
		o := m.sources.origins[len(m.originHashes)]
		m.originHashes = append(m.originHashes, m.seed.text(o.topic)+uint64(o.partition))
	}
	return m.originHashes[n]
}

// before orders records by time, and those of one time by id, so that first and last do not depend on the order of arrival.
func (m *Memory) before(a, b *record) bool {
	if a.time != b.time {
		return a.time < b.time
	}
	return m.compareIDs(a, b) < 0
}

func (m *Memory) compareIDs(a, b *record) int {
	x, y := &m.sources.origins[a.origin], &m.sources.origins[b.origin]
	return cmp.Or(strings.Compare(x.topic, y.topic), cmp.Compare(x.partition, y.partition), cmp.Compare(a.offset, b.offset),
		cmp.Compare(a.received, b.received), cmp.Compare(a.index, b.index))
}

// addTo adds a hit, and says whether it has a value that was not known. The record's extra may be borrowed: own is asked for a copy
// of what is kept.
func (m *Memory) addTo(s *summary, r record, own func(string) string) (news bool) {
	m.addEvent(s, &r, own)
	for c := readExtra(r.extra); ; {
		name, value, ok := c.next()
		if !ok {
			return news
		}
		news = m.addValue(s, name, value, own) || news
	}
}

// addEvent adds a hit without its values. It makes r own its extra when it keeps it.
func (m *Memory) addEvent(s *summary, r *record, own func(string) string) {
	h := m.hash(r)
	first, last := !s.some || m.before(r, &s.first), !s.some || m.before(&s.last, r)
	sampled := len(s.sample) < sampleSize || h < s.sample[sampleSize-1].hash
	if !first && !last && !sampled {
		return
	}
	if s.some && s.last.extra == r.extra {
		r.extra = s.last.extra // many hits of a key say the same
	} else {
		r.extra = own(r.extra)
	}
	if first {
		s.size += int64(len(r.extra)) - int64(len(s.first.extra))
		s.first = *r
	}
	if last {
		s.size += int64(len(r.extra)) - int64(len(s.last.extra))
		s.last = *r
	}
	s.some = true
	if !sampled {
		return
	}
	if len(s.sample) == sampleSize {
		s.size -= hashedBytes + int64(len(s.sample[sampleSize-1].extra))
		s.sample = s.sample[:sampleSize-1]
	}
	at := len(s.sample)
	for at > 0 && s.sample[at-1].hash > h {
		at--
	}
	s.sample = slices.Insert(s.sample, at, hashed{h, *r})
	s.size += hashedBytes + int64(len(r.extra))
}

func (s *summary) field(name uint32) *valueSet {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	s.fields = append(s.fields, valueSet{name: name})
	s.size += recordBytes
	return &s.fields[len(s.fields)-1]
}

// addValue adds a value, and says whether that changed anything.
func (m *Memory) addValue(s *summary, name uint32, value string, own func(string) string) bool {
	f := s.field(name)
	h := m.seed.text(value)
	n := len(f.values)
	if n == valuesKept && h > f.values[n-1].hash {
		f.full = true
		return false
	}
	lo, hi := 0, n
	for lo < hi {
		if mid := (lo + hi) / 2; f.values[mid].hash < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < n && f.values[lo].hash == h {
		return false
	}
	if n == valuesKept {
		f.full = true
		s.size -= textBytes + int64(len(f.values[n-1].text))
		f.values = f.values[:n-1]
	}
	f.values = slices.Insert(f.values, lo, hashedText{h, own(value)})
	s.size += textBytes + int64(len(value))
	return true
}

// merge adds another summary's hits, as far as in says that their time counts. Values of a summary that counts in part count whole:
// they are known only as a set.
func (m *Memory) merge(s, from *summary, in func(t int64) bool) {
	if !from.some {
		return
	}
	counts := false
	add := func(r record) {
		if in(r.time) {
			counts = true
			if !s.has(&r) { // what is there twice would stand in the sample twice
				m.addEvent(s, &r, owned)
			}
		}
	}
	add(from.first)
	add(from.last)
	for i := range from.sample {
		add(from.sample[i].record)
	}
	if !counts {
		return
	}
	for _, f := range from.fields {
		for _, v := range f.values {
			m.addValue(s, f.name, v.text, owned)
		}
		if f.full {
			s.field(f.name).full = true
		}
	}
}

// owned is for texts that belong to the memory already.
func owned(s string) string { return s }

// has says that a record is in the summary's sample.
func (s *summary) has(r *record) bool {
	for i := range s.sample {
		if s.sample[i].same(r) {
			return true
		}
	}
	return false
}

func (r *record) same(o *record) bool {
	return r.origin == o.origin && r.offset == o.offset && r.index == o.index && r.received == o.received
}
