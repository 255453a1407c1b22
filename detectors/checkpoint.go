package detectors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/internal/varint"
)

// checkpointMagic begins every checkpoint; the byte behind it is the version of its form.
const (
	checkpointMagic   = "klaxon memory"
	checkpointVersion = 1
)

// Frozen is a memory as it was when it was frozen. It may be written by another goroutine while the memory goes on.
type Frozen struct {
	head   []byte // everything but the keys
	states []frozenState
	table  []*entity // not written to any more
}

type frozenState struct {
	id        string
	basis     uint64
	lostUntil int64
}

// Freeze takes the memory as it is, in time that does not depend on what the keys hold: the memory copies a key before it next
// writes to it.
func (m *Memory) Freeze() *Frozen {
	f := &Frozen{head: m.appendHead(nil), table: slices.Clone(m.table)}
	for i, st := range m.states {
		r := m.program.rules[i]
		f.states = append(f.states, frozenState{r.id, r.basis, st.lostUntil})
	}
	m.epoch++
	return f
}

// WriteTo writes the checkpoint: the same memory makes the same bytes.
func (f *Frozen) WriteTo(w io.Writer) (int64, error) {
	b := append([]byte(checkpointMagic), checkpointVersion)
	b = append(b, f.head...)
	b = f.appendStates(b)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	n, err := w.Write(b)
	if err != nil {
		return int64(n), fmt.Errorf("cannot write the checkpoint: %w", err)
	}
	return int64(n), nil
}

func (f *Frozen) appendStates(b []byte) []byte {
	byRule := make([][]*entity, len(f.states))
	for _, e := range f.table {
		if e != nil {
			byRule[e.rule] = append(byRule[e.rule], e)
		}
	}
	var used []int
	for i, st := range f.states {
		if len(byRule[i]) > 0 || st.lostUntil != beginning {
			used = append(used, i)
		}
	}
	slices.SortFunc(used, func(a, c int) int { return strings.Compare(f.states[a].id, f.states[c].id) })
	b = binary.AppendUvarint(b, uint64(len(used)))
	for _, i := range used {
		st := f.states[i]
		b = varint.AppendText(b, st.id)
		b = binary.LittleEndian.AppendUint64(b, st.basis)
		b = binary.AppendVarint(b, st.lostUntil)
		b = binary.AppendUvarint(b, uint64(len(byRule[i])))
		slices.SortFunc(byRule[i], func(a, c *entity) int { return strings.Compare(a.text, c.text) })
		for _, e := range byRule[i] {
			b = appendEntity(b, e)
		}
	}
	return b
}

func (m *Memory) appendHead(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.seed.k0)
	b = binary.LittleEndian.AppendUint64(b, m.seed.k1)
	b = binary.AppendVarint(b, m.now)
	b = binary.AppendUvarint(b, uint64(len(m.names)))
	for _, n := range m.names {
		b = varint.AppendText(b, n)
	}
	b = m.sources.append(b)
	if m.lost == nil {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), m.lost.until)
	for row := range m.lost.cells {
		b = append(b, m.lost.cells[row][:]...)
	}
	return b
}

func (s *sources) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.origins)))
	for _, o := range s.origins {
		b = binary.AppendUvarint(varint.AppendText(b, o.topic), uint64(o.partition))
	}
	b = binary.AppendUvarint(b, uint64(len(s.topics)))
	for _, name := range slices.Sorted(maps.Keys(s.topics)) {
		t := s.topics[name]
		b = varint.AppendText(varint.AppendText(b, name), t.id)
		b = binary.AppendUvarint(b, uint64(t.partitions))
		b = binary.AppendUvarint(b, uint64(len(t.retired)))
		for _, id := range t.retired {
			b = varint.AppendText(b, id)
		}
		b = binary.AppendUvarint(b, uint64(len(t.parts)))
		for _, p := range t.parts {
			b = binary.AppendVarint(binary.AppendVarint(b, p.next), p.watermark)
			b = binary.AppendUvarint(b, uint64(p.origin))
		}
	}
	return b
}

func appendEntity(b []byte, e *entity) []byte {
	b = varint.AppendText(b, e.text)
	b = binary.AppendVarint(b, e.due)
	b = binary.AppendUvarint(b, uint64(e.grid))
	b = append(b, byte(e.flags))
	b = binary.AppendUvarint(b, uint64(e.tail))
	b = binary.AppendUvarint(b, e.inTail)
	b = binary.AppendUvarint(b, uint64(len(e.moments)))
	at := int64(0)
	for _, m := range e.moments {
		b = binary.AppendVarint(b, m.time-at)
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(m.count)), uint64(m.total))
		at = m.time
	}
	b = binary.AppendUvarint(b, uint64(len(e.recs)))
	for i := range e.recs {
		b = appendRecord(b, &e.recs[i])
	}
	if e.more == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(e.more.slots)))
	for _, s := range e.more.slots {
		b = appendSlot(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(e.more.crowds)))
	for _, c := range e.more.crowds {
		b = appendSummary(binary.AppendVarint(b, c.chunk), &c.summary)
	}
	return b
}

func appendSlot(b []byte, s *slot) []byte {
	for _, n := range [...]int64{s.number, s.start, s.end, s.time, s.last, s.first} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.count)), uint64(s.published)), uint64(s.checked))
	b = binary.AppendUvarint(b, uint64(s.revision))
	b = append(b, byte(s.severity), byte(s.flags))
	return appendSummary(b, &s.forgotten)
}

func appendSummary(b []byte, s *summary) []byte {
	if !s.some {
		return append(b, 0)
	}
	b = appendRecord(appendRecord(append(b, 1), &s.first), &s.last)
	b = binary.AppendUvarint(b, uint64(len(s.sample)))
	for i := range s.sample {
		b = appendRecord(b, &s.sample[i].record)
	}
	fields := slices.Clone(s.fields) // they stand in the order of their arrival, which says nothing
	slices.SortFunc(fields, func(a, c valueSet) int { return cmp.Compare(a.name, c.name) })
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(f.name))
		b = append(b, boolByte(f.full))
		b = binary.AppendUvarint(b, uint64(len(f.values)))
		for _, v := range f.values {
			b = varint.AppendText(b, v.text)
		}
	}
	return b
}

func boolByte(x bool) byte {
	if x {
		return 1
	}
	return 0
}

func appendRecord(b []byte, r *record) []byte {
	b = binary.AppendVarint(binary.AppendVarint(b, r.time), r.offset)
	b = binary.AppendVarint(b, r.received-r.time)
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.index)), uint64(r.origin))
	return varint.AppendText(b, r.extra)
}
