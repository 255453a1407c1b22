package archive

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/klauspost/compress/zstd"
	"github.com/klaxonhq/klaxon/internal/varint"
)

// An index is the magic, the rest compressed with zstd, and a CRC-32C of both.
const (
	indexMagic    = "klaxidx1"
	maxIndexBytes = 64 << 20 // decompressed
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (x *Index) encode(z *zstd.Encoder) []byte {
	var w fieldWriter
	w.text(x.Key.Tenant)
	w.text(x.Key.Dataset)
	w.signed(x.Key.Hour)
	w.text(x.Key.Topic)
	w.signed(int64(x.Key.Partition))
	w.unsigned(uint64(len(x.Blocks)))
	for _, b := range x.Blocks {
		w.unsigned(uint64(b.Size))
		w.unsigned(uint64(b.Bytes))
		w.unsigned(uint64(b.Count))
		w.unsigned(uint64(b.Sum))
		w.span(b.Event)
		w.span(b.Record)
	}
	w.unsigned(uint64(len(x.positions)))
	last := position{}
	for _, p := range x.positions {
		w.signed(p.offset - last.offset)
		w.signed(int64(p.index))
		w.signed(p.time - last.time)
		last = p
	}
	version := uint64(0)
	if x.filtered {
		version = bloomVersion
	}
	w.unsigned(version)
	w.unsigned(uint64(len(x.filter)))
	for _, word := range x.filter {
		w.b = binary.LittleEndian.AppendUint64(w.b, word)
	}
	out := z.EncodeAll(w.b, []byte(indexMagic))
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// decodeIndex reads an index; the error wraps ErrDamaged.
func decodeIndex(b []byte, z *zstd.Decoder) (*Index, error) {
	end := len(b) - 4
	if end < len(indexMagic) || string(b[:len(indexMagic)]) != indexMagic {
		return nil, damaged("it is no index")
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, damaged("the checksum is another one")
	}
	body, err := z.DecodeAll(b[len(indexMagic):end], nil)
	if err != nil {
		return nil, damaged("%v", err)
	}
	return decodeIndexBody(body)
}

func decodeIndexBody(body []byte) (*Index, error) {
	r := fieldReader{varint.Reader{B: body}}
	x := &Index{Event: emptyRange(), Record: emptyRange()}
	x.Key.Tenant, x.Key.Dataset, x.Key.Hour = r.text(), r.text(), r.Varint()
	x.Key.Topic, x.Key.Partition = r.text(), r.int32()
	x.readBlocks(&r)
	x.readPositions(&r)
	x.filtered = r.Uvarint() == bloomVersion
	x.filter = make(bloom, r.Count(8))
	for i := range x.filter {
		x.filter[i] = r.Fixed64()
	}
	switch {
	case r.Bad || len(r.B) > 0:
		return nil, damaged("its fields do not fit its length")
	case len(x.positions) > 0 && int64(len(x.positions)) != x.Count:
		return nil, damaged("it names %d documents of %d", len(x.positions), x.Count)
	}
	return x, nil
}

func (x *Index) readBlocks(r *fieldReader) {
	x.Blocks = make([]Block, r.Count(8))
	for i := range x.Blocks {
		b := &x.Blocks[i]
		b.At = x.Size
		b.Size, b.Bytes, b.Count = r.length(), r.length(), r.length()
		b.Sum = uint32(r.Uvarint())
		b.Event, b.Record = r.span(), r.span()
		x.Size += b.Size
		x.Bytes += b.Bytes
		x.Count += b.Count
		x.Event.join(b.Event)
		x.Record.join(b.Record)
	}
}

func (x *Index) readPositions(r *fieldReader) {
	x.positions = make([]position, r.Count(3))
	last := position{}
	for i := range x.positions {
		last = position{offset: last.offset + r.Varint(), index: r.int32(), time: last.time + r.Varint()}
		x.positions[i] = last
	}
}

// fieldWriter appends fields as varints and texts with their length.
type fieldWriter struct{ b []byte }

func (w *fieldWriter) unsigned(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *fieldWriter) signed(n int64)    { w.b = binary.AppendVarint(w.b, n) }

func (w *fieldWriter) text(s string) {
	w.b = varint.AppendText(w.b, s)
}

func (w *fieldWriter) span(r Range) {
	w.signed(r.From)
	w.signed(r.To - r.From)
}

// fieldReader is the reverse of fieldWriter.
type fieldReader struct{ varint.Reader }

func (r *fieldReader) int32() int32 {
	n := r.Varint()
	if n != int64(int32(n)) {
		r.Fail()
	}
	return int32(n)
}

// length is a number of bytes or documents of one segment: sums of them do not overflow.
func (r *fieldReader) length() int64 {
	n := r.Uvarint()
	if n > math.MaxInt32 {
		r.Fail()
		return 0
	}
	return int64(n)
}

func (r *fieldReader) text() string {
	return string(r.Bytes())
}

func (r *fieldReader) span() Range {
	from := r.Varint()
	return Range{from, from + r.Varint()}
}
