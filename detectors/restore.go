package detectors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/alert"
)

// ErrCheckpoint is what Restore's errors about the checkpoint itself wrap: it is foreign, damaged or of a later version.
var ErrCheckpoint = errors.New("not a checkpoint of this version")

// Restore makes a memory of a checkpoint. What belongs to rules that the program lacks, or has with another basis, is dropped and
// reported. A memory restored with the program that it was frozen with goes on as if nothing had happened.
func Restore(from io.Reader, p *Program) (*Memory, Report, error) {
	b, err := io.ReadAll(from)
	if err != nil {
		return nil, Report{}, fmt.Errorf("cannot read the checkpoint: %w", err)
	}
	head := len(checkpointMagic) + 1
	if len(b) < head+4 || string(b[:len(checkpointMagic)]) != checkpointMagic {
		return nil, Report{}, fmt.Errorf("%w: %d bytes of something else", ErrCheckpoint, len(b))
	}
	if v := b[head-1]; v != checkpointVersion {
		return nil, Report{}, fmt.Errorf("%w: it has version %d; run the version of klaxon that wrote it, or give the checkpoint up", ErrCheckpoint, v)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, Report{}, fmt.Errorf("%w: its checksum is wrong", ErrCheckpoint)
	}
	m := NewMemory(p, 0)
	r := &restorer{reader: reader{B: bytes.Clone(body[head:])}, m: m}
	r.head()
	report := r.states()
	if r.Bad || len(r.B) > 0 {
		return nil, Report{}, fmt.Errorf("%w: it is damaged", ErrCheckpoint)
	}
	return m, report, nil
}

type restorer struct {
	reader
	m *Memory
}

func (r *restorer) byte() byte {
	if len(r.B) == 0 {
		r.Fail()
		return 0
	}
	v := r.B[0]
	r.B = r.B[1:]
	return v
}

// below reads a number that must be less than a limit.
func (r *restorer) below(limit uint64) uint64 {
	n := r.Uvarint()
	if n >= limit {
		r.Fail()
		return 0
	}
	return n
}

// time reads a time that adds up.
func (r *restorer) time() int64 {
	t := r.Varint()
	if t > 2*maxTime || t < -2*maxTime {
		r.Fail()
		return 0
	}
	return t
}

// must fails unless something holds that the memory relies on.
func (r *restorer) must(ok bool) {
	if !ok {
		r.Fail()
	}
}

func (r *restorer) own() string { return strings.Clone(r.Text()) }

func (r *restorer) head() {
	m := r.m
	m.seed = seed{r.Fixed64(), r.Fixed64()}
	m.now = r.Varint()
	r.must(m.now <= maxTime && m.now >= beginning-maxTime)
	m.names = m.names[:0]
	for n := r.Count(1); n > 0 && !r.Bad; n-- {
		s := r.own()
		if len(m.names) > 0 {
			m.nameNumbers[s] = uint32(len(m.names))
		}
		m.names = append(m.names, s)
	}
	r.must(len(m.names) > 0 && len(m.names) <= maxNames && len(m.nameNumbers) == len(m.names)-1)
	r.sources()
	switch r.byte() {
	case 0:
	case 1:
		m.lost = &sketch{until: r.Varint()}
		for row := range m.lost.cells {
			r.B = r.B[copy(m.lost.cells[row][:], r.B):]
		}
	default:
		r.Fail()
	}
}

func (r *restorer) sources() {
	s := &r.m.sources
	for n := r.Count(2); n > 0 && !r.Bad; n-- {
		known := len(s.origins)
		s.number(r.own(), int32(r.below(maxPartitions)))
		r.must(len(s.origins) == known+1)
	}
	for n := r.Count(5); n > 0 && !r.Bad; n-- {
		name, t := r.own(), &topic{id: r.own()}
		t.partitions = int32(r.below(maxPartitions + 1))
		for n := r.Count(1); n > 0 && !r.Bad; n-- {
			t.retired = append(t.retired, r.own())
		}
		r.must(len(t.retired) <= maxRetired)
		for n := r.Count(3); n > 0 && !r.Bad; n-- {
			p := part{next: r.Varint(), watermark: r.Varint(), origin: uint32(r.below(uint64(len(s.origins)) + 1))}
			r.must(p.watermark <= maxTime && p.watermark >= beginning)
			t.parts = append(t.parts, p)
		}
		r.must(len(t.parts) <= maxPartitions)
		s.topics[name] = t
	}
}

func (r *restorer) states() (report Report) {
	m := r.m
	for n := r.Count(11); n > 0 && !r.Bad; n-- {
		id, basis := r.own(), r.Fixed64()
		lostUntil := r.Varint()
		rule, why := m.program.memoryOf(id, basis)
		part := RuleReport{Rule: id, Why: why}
		if rule != nil {
			m.states[rule.number].lostUntil = lostUntil
		}
		for n := r.Count(9); n > 0 && !r.Bad; n-- {
			e := r.entity()
			part.add(e)
			if rule != nil && !r.Bad {
				r.adopt(e, rule)
			}
		}
		report.add(part)
	}
	return report
}

// adopt gives an entity its place in the memory.
func (r *restorer) adopt(e *entity, rule *rule) {
	m := r.m
	st := &m.states[rule.number]
	if st.keys == nil {
		st.keys = map[string]uint32{}
	}
	if _, ok := st.keys[e.text]; ok {
		r.Fail()
		return
	}
	e.rule = int32(rule.number)
	place := m.place(e)
	st.keys[e.text] = place
	m.calendar.add(place, e.due)
	m.keys++
	m.bytes += e.bytes()
}

func (r *restorer) entity() *entity {
	e := &entity{text: r.own(), due: r.Varint()}
	tenant, size := binary.Uvarint(view8(e.text))
	r.must(size > 0 && tenant <= uint64(len(e.text)-max(size, 0)))
	r.must(e.due >= -4*maxTime) // none is in order, at the other end
	e.grid = int64(r.below(maxTime))
	e.flags = flags(r.byte())
	tail := r.Uvarint()
	e.inTail = r.Uvarint()
	at := int64(0)
	for n := r.Count(3); n > 0 && !r.Bad; n-- {
		t := at + r.time()
		r.must(len(e.moments) == 0 || t > at)
		r.must(t <= 2*maxTime && t >= -2*maxTime)
		e.moments = append(e.moments, moment{t, uint32(r.below(1 << 32)), uint32(r.below(1 << 32))})
		at = t
	}
	r.must(tail <= uint64(len(e.moments)))
	e.tail = int32(tail)
	for n := r.Count(6); n > 0 && !r.Bad; n-- {
		e.recs = append(e.recs, r.record())
		k := len(e.recs)
		r.must(k == 1 || e.recs[k-2].time <= e.recs[k-1].time)
	}
	switch r.byte() {
	case 0:
	case 1:
		e.more = r.more()
	default:
		r.Fail()
	}
	return e
}

func (r *restorer) more() *more {
	m := &more{}
	for n := r.Count(13); n > 0 && !r.Bad; n-- {
		m.slots = append(m.slots, r.slot())
	}
	for n := r.Count(2); n > 0 && !r.Bad; n-- {
		m.crowds = append(m.crowds, &crowd{chunk: r.time(), summary: r.summary()})
		k := len(m.crowds)
		r.must(k == 1 || m.crowds[k-2].chunk < m.crowds[k-1].chunk)
	}
	return m
}

func (r *restorer) slot() *slot {
	s := &slot{number: r.time(), start: r.time(), end: r.time(), time: r.time(), last: r.time(), first: r.Varint()}
	r.must(s.first == none || s.first <= 2*maxTime && s.first >= -2*maxTime)
	r.must(s.start < s.end)
	s.count, s.published, s.checked = uint32(r.below(1<<32)), uint32(r.below(1<<32)), uint32(r.below(1<<32))
	s.revision = int64(r.below(math.MaxInt64))
	s.severity, s.flags = int8(r.byte()), flags(r.byte())
	r.must(s.severity >= 0 && s.severity <= int8(alert.Urgent))
	s.forgotten = r.summary()
	return s
}

func (r *restorer) summary() (s summary) {
	switch r.byte() {
	case 0:
		return s
	case 1:
	default:
		r.Fail()
	}
	s.some, s.first, s.last = true, r.record(), r.record()
	s.size = int64(len(s.first.extra)) + int64(len(s.last.extra))
	for n := r.Count(6); n > 0 && !r.Bad; n-- {
		one := r.record()
		if r.Bad {
			return s
		}
		s.sample = append(s.sample, hashed{r.m.hash(&one), one})
		s.size += hashedBytes + int64(len(one.extra))
	}
	r.must(len(s.sample) <= sampleSize && slices.IsSortedFunc(s.sample, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) }))
	for n := r.Count(3); n > 0 && !r.Bad; n-- {
		s.fields = append(s.fields, r.values())
		f := &s.fields[len(s.fields)-1]
		s.size += recordBytes
		for _, v := range f.values {
			s.size += textBytes + int64(len(v.text))
		}
	}
	return s
}

func (r *restorer) values() valueSet {
	f := valueSet{name: uint32(r.below(uint64(len(r.m.names)))), full: r.byte() == 1}
	for n := r.Count(1); n > 0 && !r.Bad; n-- {
		text := r.own()
		f.values = append(f.values, hashedText{r.m.seed.text(text), text})
	}
	r.must(len(f.values) <= valuesKept && (!f.full || len(f.values) == valuesKept))
	r.must(slices.IsSortedFunc(f.values, func(a, b hashedText) int { return cmp.Compare(a.hash, b.hash) }))
	return f
}

func (r *restorer) record() record {
	x := record{time: r.time(), offset: r.Varint()}
	x.received = x.time + r.Varint()
	x.index = int32(r.below(math.MaxInt32))
	x.origin = uint32(r.below(uint64(len(r.m.sources.origins))))
	x.extra = r.own()
	if x.extra != "" {
		r.must(validExtra(x.extra, len(r.m.names)))
	}
	return x
}

// validExtra says that what a record carries can be read.
func validExtra(extra string, names int) bool {
	c := readExtra(extra)
	for {
		name, _, ok := c.next()
		if !ok {
			return !c.Bad
		}
		if name >= uint32(names) {
			return false
		}
	}
}
