package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

const (
	blockBytes = 256 << 10 // a block is closed once it has so many bytes of documents
	// maxSegmentBytes bounds the documents of a segment, and so what a search holds of it. One document more may fit.
	maxSegmentBytes = 16 << 20
	maxBlockBytes   = 64 << 20 // that a reader believes in
)

// codec compresses and decompresses. It is safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec(concurrency int) (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(concurrency), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("cannot make a zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(concurrency), zstd.WithDecoderMaxMemory(maxBlockBytes))
	if err != nil {
		return nil, fmt.Errorf("cannot make a zstd decoder: %w", err)
	}
	return &codec{enc, dec}, nil
}

// builder makes a segment and its index.
type builder struct {
	codec   *codec
	summary *summary
	index   *Index
	data    []byte // of the segment, compressed
	raw     []byte // of the block
	block   Block
	hashes  map[uint64]struct{}
}

func newBuilder(c *codec, s *summary, key Key) *builder {
	return &builder{codec: c, summary: s, hashes: map[uint64]struct{}{},
		index: &Index{Key: key, Event: emptyRange(), Record: emptyRange(), filtered: true}, block: newBlock()}
}

func newBlock() Block { return Block{Event: emptyRange(), Record: emptyRange()} }

// add appends a document, one line of JSON without its end. Event time is what @timestamp says, and at where it says nothing: a reader
// sees the same.
func (b *builder) add(p position, at int64, doc []byte) {
	b.describe(p, at, doc)
	b.raw = append(append(b.raw, doc...), '\n')
	if len(b.raw) >= blockBytes {
		b.closeBlock()
	}
}

func (b *builder) describe(p position, at int64, doc []byte) {
	if err := b.summary.read(doc); err == nil {
		at = b.summary.time(at)
		b.summary.collect(b.hashes)
	}
	b.block.Count++
	b.block.Event.add(at)
	b.block.Record.add(p.time)
	b.index.positions = append(b.index.positions, p)
}

func (b *builder) closeBlock() {
	if len(b.raw) == 0 {
		return
	}
	before := len(b.data)
	b.data = b.codec.enc.EncodeAll(b.raw, b.data)
	b.endBlock(b.data[before:], int64(len(b.raw)))
	b.raw = b.raw[:0]
}

// endBlock notes a block whose compressed bytes are known.
func (b *builder) endBlock(compressed []byte, raw int64) {
	x, n := b.index, b.block
	n.At, n.Size, n.Bytes, n.Sum = x.Size, int64(len(compressed)), raw, crc32.Checksum(compressed, castagnoli)
	x.Blocks = append(x.Blocks, n)
	x.Size += n.Size
	x.Bytes += n.Bytes
	x.Count += n.Count
	x.Event.join(n.Event)
	x.Record.join(n.Record)
	b.block = newBlock()
}

// finish returns the segment and its index; the builder is done.
func (b *builder) finish() ([]byte, *Index) {
	b.closeBlock()
	b.index.filter = newBloom(b.hashes)
	return b.data, b.index
}

// scan makes the index of a segment anew. Where a part of it is damaged, the index of what comes before is answered too. A document
// without its id makes an index without positions.
func scan(c *codec, s *summary, key Key, data []byte) (*Index, error) {
	b := newBuilder(c, s, key)
	known := true
	var failure error
	for at := 0; at < len(data); {
		size, err := frameSize(data[at:])
		if err == nil {
			b.raw, err = c.dec.DecodeAll(data[at:at+size], b.raw[:0])
		}
		if err != nil {
			failure = damaged("at byte %d: %v", at, err)
			break
		}
		for line := range bytes.Lines(b.raw) {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			p, ok := b.positionIn(line)
			known = known && ok
			b.describe(p, p.time, line)
		}
		b.endBlock(data[at:at+size], int64(len(b.raw)))
		at += size
	}
	b.raw = nil
	_, x := b.finish()
	if !known {
		x.positions = nil
	}
	return x, failure
}

// positionIn reads a document's position out of its id.
func (b *builder) positionIn(doc []byte) (position, bool) {
	if err := b.summary.read(doc); err != nil {
		return position{}, false
	}
	return parsePosition(b.summary.id(), b.index.Key.Topic, b.index.Key.Partition)
}

// frameSize is the length of the zstd frame that b begins with.
func frameSize(b []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return 0, fmt.Errorf("no zstd frame: %w", err)
	}
	if h.Skippable {
		return fits(b, int64(h.HeaderSize)+int64(h.SkippableSize))
	}
	at := int64(h.HeaderSize)
	for last := false; !last; {
		if at+3 > int64(len(b)) {
			return 0, damaged("a block lies behind the end")
		}
		head := uint32(b[at]) | uint32(binary.LittleEndian.Uint16(b[at+1:]))<<8
		last = head&1 != 0
		size := int64(head >> 3)
		if head>>1&3 == 1 { // one byte, many times
			size = 1
		}
		at += 3 + size
	}
	if h.HasCheckSum {
		at += 4
	}
	return fits(b, at)
}

func fits(b []byte, n int64) (int, error) {
	if n > int64(len(b)) {
		return 0, damaged("a frame of %d bytes has %d", n, len(b))
	}
	return int(n), nil
}
