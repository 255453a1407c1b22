package kafka

import (
	"sync"
	"sync/atomic"

	"github.com/klaxonhq/klaxon/event"
)

const (
	chunkBytes  = 4 << 20  // a batch handed out ends with the record batch that reaches this
	keepBytes   = 16 << 20 // larger buffers are left to the garbage collector
	keepRecords = 1 << 17
	recordBytes = 128 // what a record costs besides its bytes
	headerBytes = 40

	smallestBlock = 256 << 10
	maxRatio      = 64
)

// memory pools what fetching needs. The zero value is ready; it is safe for concurrent use.
type memory struct {
	raws     sync.Pool // *rawBuffer
	chunks   sync.Pool // *chunk
	decoders sync.Pool // *decoder
}

// rawBuffer holds a response as it came; records of uncompressed batches alias it.
type rawBuffer struct {
	b    []byte
	refs atomic.Int32
	mem  *memory
}

// raw returns a buffer of n bytes with one reference.
func (m *memory) raw(n int) *rawBuffer {
	r, _ := m.raws.Get().(*rawBuffer)
	if r == nil {
		r = &rawBuffer{mem: m}
	}
	if cap(r.b) < n {
		r.b = make([]byte, n, max(n, 64<<10))
	}
	r.b = r.b[:n]
	r.refs.Store(1)
	return r
}

func (r *rawBuffer) release() {
	if r == nil || r.refs.Add(-1) != 0 {
		return
	}
	if cap(r.b) <= keepBytes {
		r.mem.raws.Put(r)
	}
}

// chunk is the memory behind one event.Batch.
type chunk struct {
	batch   event.Batch
	headers []event.Header
	block   []byte // decompressed bytes; replaced, never moved, when it is full
	largest int    // capacity of the largest block so far
	size    int    // bytes of record data, compressed or not, that the batch refers to
	raw     *rawBuffer
	free    func()
	mem     *memory
	held    *account
}

// chunk returns an empty chunk whose records may alias raw, which it keeps until it is released.
func (m *memory) chunk(raw *rawBuffer, held *account) *chunk {
	c, _ := m.chunks.Get().(*chunk)
	if c == nil {
		c = &chunk{mem: m}
		c.free = c.release
	}
	if raw != nil {
		raw.refs.Add(1)
	}
	c.raw, c.held = raw, held
	return c
}

// finish fills in what the batch says about itself and charges its memory.
func (c *chunk) finish(src event.Source, partitions int32, first, next int64) {
	b := &c.batch
	b.Source, b.Partitions, b.First, b.Next = src, partitions, first, next
	b.Bytes = c.size + len(b.Records)*recordBytes + len(c.headers)*headerBytes
	b.Free = c.free
	c.held.add(int64(b.Bytes))
}

// release gives everything back to the pools. It runs once: event.Batch.Release forgets it.
func (c *chunk) release() {
	c.held.add(-int64(c.batch.Bytes))
	c.raw.release()
	c.raw, c.held = nil, nil
	records := c.batch.Records
	clear(records)
	clear(c.headers)
	c.batch = event.Batch{Records: records[:0]}
	c.headers, c.block, c.size = c.headers[:0], c.block[:0], 0
	if cap(c.block) <= keepBytes && cap(records) <= keepRecords && cap(c.headers) <= keepRecords {
		c.mem.chunks.Put(c)
	}
}

// decompress appends the decompressed form of in to the chunk's memory and returns it.
func (c *chunk) decompress(d *decompressor, codec Codec, in []byte) ([]byte, error) {
	expected := min(len(in)*(d.ratio+1), max(4*len(in), 2*chunkBytes))
	if cap(c.block)-len(c.block) < expected {
		c.largest = max(expected, min(2*c.largest, 2*chunkBytes), smallestBlock)
		c.block = make([]byte, 0, c.largest)
	}
	start := len(c.block)
	out, err := d.appendTo(c.block[start:start:cap(c.block)], codec, in)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	d.ratio = min(max(len(out)/max(len(in), 1), d.ratio-1), maxRatio)
	if &out[0] == &c.block[:start+1][start] {
		c.block = c.block[:start+len(out)]
	} else {
		c.block = out // it did not fit and was moved: go on behind it
	}
	return out[:len(out):len(out)], nil
}

// account counts the bytes of batches that were not released yet, and wakes whoever waits for room.
type account struct {
	used  atomic.Int64
	limit int64
	wake  chan struct{}
}

func newAccount(limit int64) *account {
	return &account{limit: limit, wake: make(chan struct{}, 1)}
}

func (a *account) add(n int64) {
	after := a.used.Add(n)
	if n < 0 && after < a.limit {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

func (a *account) full() bool { return a.used.Load() >= a.limit }
