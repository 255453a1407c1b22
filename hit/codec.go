package hit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klaxonhq/klaxon/internal/varint"
)

// version is the first byte of a frame. A frame of a later version is refused, so that an old process stops instead of guessing.
const version = 1

// ErrFrame is what Parse's errors wrap: the record is no frame.
var ErrFrame = errors.New("not a frame of hits")

// Append appends the frame's form on the topic: varints, offsets and times as differences, names once.
func (f *Frame) Append(b []byte) []byte {
	b = append(b, version, byte(f.Kind))
	b = varint.AppendText(b, f.Source.Topic)
	b = varint.AppendText(b, f.Source.TopicID)
	b = binary.AppendUvarint(b, uint64(f.Partitions))
	if f.Kind == Tick {
		b = binary.AppendUvarint(b, uint64(len(f.Marks)))
		for _, m := range f.Marks {
			b = binary.AppendUvarint(b, uint64(m.Partition))
			b = binary.AppendVarint(b, m.Watermark)
		}
		return b
	}
	b = binary.AppendUvarint(b, uint64(f.Source.Partition))
	b = binary.AppendVarint(b, f.First)
	b = binary.AppendVarint(b, f.Last-f.First)
	b = binary.AppendUvarint(b, uint64(len(f.Hits)))
	var names dictionary
	offset, at := f.First, int64(0)
	for i := range f.Hits {
		h := &f.Hits[i]
		b = names.append(b, h.Rule)
		b = binary.LittleEndian.AppendUint64(b, h.Basis)
		b = names.append(b, h.Tenant)
		b = varint.AppendText(b, h.Key)
		b = binary.AppendVarint(b, h.Offset-offset)
		b = binary.AppendUvarint(b, uint64(h.Index))
		b = binary.AppendVarint(b, h.RecordTime-at)
		b = binary.AppendVarint(b, h.Time-h.RecordTime)
		b = binary.AppendUvarint(b, uint64(len(h.Fields)))
		for _, fd := range h.Fields {
			b = names.append(b, fd.Name)
			b = binary.AppendUvarint(b, uint64(len(fd.Values)))
			for _, v := range fd.Values {
				b = varint.AppendText(b, v)
			}
		}
		b = binary.AppendUvarint(b, uint64(len(h.Sample)))
		b = append(b, h.Sample...)
		offset, at = h.Offset, h.RecordTime
	}
	return b
}

// dictionary writes a text the first time and its number later: 0 and the text, or 1 + its number. Few names occur in a frame.
type dictionary struct{ names []string }

func (d *dictionary) append(b []byte, s string) []byte {
	for i, n := range d.names {
		if n == s {
			return binary.AppendUvarint(b, uint64(i+1))
		}
	}
	d.names = append(d.names, s)
	return varint.AppendText(append(b, 0), s)
}

func (d *dictionary) read(r *reader) string {
	i := r.Uvarint()
	if i == 0 {
		s := r.Text()
		d.names = append(d.names, s)
		return s
	}
	if i > uint64(len(d.names)) {
		r.Fail()
		return ""
	}
	return d.names[i-1]
}

type reader struct{ varint.Reader }

func (r *reader) int32() int32 {
	v := r.Uvarint()
	if v > 1<<31-1 {
		r.Fail()
		return 0
	}
	return int32(v)
}

// Parse reads a frame, reusing f's slices. Texts and samples alias b: whoever keeps them copies them. An error wraps ErrFrame.
func (f *Frame) Parse(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("%w: %d bytes", ErrFrame, len(b))
	}
	if b[0] != version {
		return fmt.Errorf("%w that this version reads: version %d", ErrFrame, b[0])
	}
	hits, marks := f.Hits, f.Marks
	*f = Frame{Kind: Kind(b[1]), Hits: hits[:0], Marks: marks[:0]}
	r := &reader{varint.Reader{B: b[2:]}}
	f.Source.Topic, f.Source.TopicID = r.Text(), r.Text()
	f.Partitions = r.int32()
	switch f.Kind {
	case Tick:
		f.parseMarks(r)
	case Hits:
		f.parseHits(r)
	default:
		return fmt.Errorf("%w: kind %d", ErrFrame, f.Kind)
	}
	if r.Bad || len(r.B) > 0 {
		return fmt.Errorf("%w: it is damaged", ErrFrame)
	}
	return nil
}

func (f *Frame) parseMarks(r *reader) {
	for n := r.Count(2); n > 0 && !r.Bad; n-- {
		f.Marks = append(f.Marks, Mark{r.int32(), r.Varint()})
	}
}

func (f *Frame) parseHits(r *reader) {
	f.Source.Partition = r.int32()
	f.First = r.Varint()
	f.Last = f.First + r.Varint()
	var names dictionary
	offset, at := f.First, int64(0)
	for n := r.Count(15); n > 0 && !r.Bad; n-- {
		f.Hits = append(f.Hits, Hit{})
		h := &f.Hits[len(f.Hits)-1]
		h.Rule, h.Basis = names.read(r), r.Fixed64()
		h.Tenant = names.read(r)
		h.Key = r.Text()
		h.Offset = offset + r.Varint()
		h.Index = r.int32()
		h.RecordTime = at + r.Varint()
		h.Time = h.RecordTime + r.Varint()
		if k := r.Count(2); k > 0 {
			h.Fields = make([]Field, k)
			for i := range h.Fields {
				h.Fields[i] = Field{names.read(r), r.texts()}
			}
		}
		if s := r.Bytes(); len(s) > 0 {
			h.Sample = s
		}
		offset, at = h.Offset, h.RecordTime
	}
}

func (r *reader) texts() []string {
	n := r.Count(1)
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.Text()
	}
	return out
}
