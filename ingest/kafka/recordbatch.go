package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klaxonhq/klaxon/event"
)

const (
	batchHeader  = 61 // bytes of a record batch before its records
	batchPrefix  = 12 // base offset and length, which the length does not count
	crcStart     = 21
	maxKeys      = 1024 // header keys kept for reuse
	minRecord    = 7    // bytes of the smallest record
	defaultLimit = 64 << 20

	unknownLast = -1

	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

// checksum is the one of a record batch: CRC-32 with Castagnoli's polynomial.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

var (
	errChecksum  = errors.New("checksum does not match")
	errMalformed = errors.New("malformed record")
	// errOldFormat says that the records are in the format of before Kafka 0.11.
	errOldFormat = errors.New("message format older than version 2")
)

// A BatchError says that a batch of records in the log cannot be read.
type BatchError struct {
	Source      event.Source
	First, Last int64 // offsets of the batch, both inclusive; Last is -1 where the batch does not even say that
	Err         error
}

// Error names the partition, the offsets and the cause.
func (e *BatchError) Error() string {
	return fmt.Sprintf("topic %s partition %d: the record batch at offsets %d to %d cannot be read: %v", e.Source.Topic, e.Source.Partition, e.First, e.Last, e.Err)
}

// Unwrap returns the cause.
func (e *BatchError) Unwrap() error { return e.Err }

// abortedTxn is one entry of a fetch response's list of aborted transactions.
type abortedTxn struct{ producer, first int64 }

// cursor is how far the records of one partition of one response were decoded.
type cursor struct {
	src     event.Source
	next    int64        // first offset that is still wanted
	aborted []abortedTxn // ascending by first; those that start later than what was decoded
	removed int64        // offsets between those decoded that no record has any more: compaction took them out
}

// decoder decodes record batches. It is not safe for concurrent use.
type decoder struct {
	decompressor
	keys   map[string]string  // header keys seen, to share their strings
	active map[int64]struct{} // producers within an aborted transaction
}

func newDecoder(limit int) *decoder {
	return &decoder{decompressor: decompressor{limit: limit}, keys: map[string]string{}, active: map[int64]struct{}{}}
}

func (m *memory) decoder() *decoder {
	if d, ok := m.decoders.Get().(*decoder); ok {
		return d
	}
	return newDecoder(defaultLimit)
}

// begin prepares for another partition or response.
func (d *decoder) begin(src event.Source, next int64, aborted []abortedTxn) cursor {
	clear(d.active)
	slices.SortFunc(aborted, func(a, b abortedTxn) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	return cursor{src: src, next: next, aborted: aborted}
}

// header is what stands before the records of a batch.
type header struct {
	base, last int64
	attrs      uint16
	firstTime  int64
	maxTime    int64
	producer   int64
	count      int
	crc        uint32
	whole      []byte
}

// decode appends the records of raw from cur.next on to the chunk until the chunk is full or no whole batch is left, and moves cur.
// It returns what it did not decode. A *BatchError names a batch that cannot be read; cur then stands before it, and rest behind it.
func (d *decoder) decode(c *chunk, raw []byte, cur *cursor) (rest []byte, err error) {
	for c.size < chunkBytes {
		h, size, err := readHeader(raw)
		if err != nil {
			return nil, &BatchError{Source: cur.src, First: cur.next, Last: unknownLast, Err: err}
		}
		if size == 0 {
			return nil, nil
		}
		raw = raw[size:]
		if h.last < cur.next {
			continue
		}
		if err := d.batch(c, &h, cur); err != nil {
			return raw, &BatchError{Source: cur.src, First: max(h.base, cur.next), Last: h.last, Err: err}
		}
		cur.removed += max(h.base-cur.next, 0) + h.last - h.base + 1 - int64(h.count)
		cur.next = h.last + 1
	}
	return raw, nil
}

// readHeader reads the header at the front of raw; size is the batch's, or 0 when raw holds no whole batch.
func readHeader(raw []byte) (h header, size int, err error) {
	if len(raw) < batchPrefix+5 {
		return h, 0, nil
	}
	be := binary.BigEndian
	length := int64(int32(be.Uint32(raw[8:])))
	if magic := raw[16]; magic < 2 {
		return h, 0, errOldFormat
	} else if magic > 2 {
		return h, 0, fmt.Errorf("message format version %d is not known", magic)
	}
	if length < batchHeader-batchPrefix {
		return h, 0, fmt.Errorf("%w: batch of %d bytes", errMalformed, length)
	}
	if length+batchPrefix > int64(len(raw)) {
		return h, 0, nil
	}
	b := raw[:length+batchPrefix]
	h = header{
		base: int64(be.Uint64(b)), attrs: be.Uint16(b[21:]), firstTime: int64(be.Uint64(b[27:])), maxTime: int64(be.Uint64(b[35:])),
		producer: int64(be.Uint64(b[43:])), count: int(int32(be.Uint32(b[57:]))), crc: be.Uint32(b[17:]), whole: b,
	}
	delta := int64(int32(be.Uint32(b[23:])))
	if delta < 0 || h.base < 0 || h.base > 1<<62 {
		return h, 0, fmt.Errorf("%w: offsets %d + %d", errMalformed, h.base, delta)
	}
	h.last = h.base + delta
	return h, len(b), nil
}

// batch appends the records of one batch, unless they are control records or their transaction was aborted.
func (d *decoder) batch(c *chunk, h *header, cur *cursor) error {
	if checksum(h.whole[crcStart:]) != h.crc {
		return errChecksum
	}
	if !d.visible(h, cur) {
		return nil
	}
	body := h.whole[batchHeader:]
	if codec := Codec(h.attrs & attrCodec); codec != None {
		var err error
		if body, err = c.decompress(&d.decompressor, codec, body); err != nil {
			return err
		}
	}
	if h.count < 0 || h.count > len(body)/minRecord {
		return fmt.Errorf("%w: %d records in %d bytes", errMalformed, h.count, len(body))
	}
	records, headers := len(c.batch.Records), len(c.headers)
	if err := d.records(c, h, body, cur); err != nil {
		c.batch.Records, c.headers = c.batch.Records[:records], c.headers[:headers]
		return err
	}
	c.size += len(body)
	return nil
}

// visible says whether the batch's records are to be read, and keeps account of aborted transactions.
func (d *decoder) visible(h *header, cur *cursor) bool {
	for len(cur.aborted) > 0 && cur.aborted[0].first <= h.last {
		d.active[cur.aborted[0].producer] = struct{}{}
		cur.aborted = cur.aborted[1:]
	}
	if h.attrs&attrControl != 0 {
		delete(d.active, h.producer) // while a producer is active here, its next marker is the one that aborts
		return false
	}
	if h.attrs&attrTransactional == 0 {
		return true
	}
	_, aborted := d.active[h.producer]
	return !aborted
}

// records appends the records of a body to the chunk.
func (d *decoder) records(c *chunk, h *header, body []byte, cur *cursor) error {
	r := reader{b: body}
	previous := int64(-1)
	c.batch.Records = slices.Grow(c.batch.Records, h.count)
	for range h.count {
		length := r.varint()
		if r.bad || length < minRecord-1 || length > int64(len(r.b)) {
			return errMalformed
		}
		rec := reader{b: r.take(int(length))}
		rec.take(1) // attributes, none of which exists
		time, delta := h.firstTime+rec.varint(), rec.varint()
		if h.attrs&attrLogAppendTime != 0 {
			time = h.maxTime
		}
		if delta <= previous || h.base+delta > h.last {
			return errMalformed
		}
		previous = delta
		key, value := rec.varBytes(), rec.varBytes()
		if h.base+delta < cur.next {
			continue
		}
		headers, err := d.headers(c, &rec)
		if err != nil {
			return err
		}
		c.batch.Records = append(c.batch.Records, event.Record{Source: cur.src, Offset: h.base + delta, Time: time, Key: key, Value: value, Headers: headers})
	}
	return nil
}

// headers appends a record's headers to the chunk and returns them.
func (d *decoder) headers(c *chunk, rec *reader) ([]event.Header, error) {
	count := rec.varint()
	if rec.bad || count < 0 || count > int64(len(rec.b)/2) {
		return nil, errMalformed
	}
	if count == 0 {
		return nil, nil
	}
	start := len(c.headers)
	for range count {
		key, value := rec.varBytes(), rec.varBytes()
		if rec.bad {
			return nil, errMalformed
		}
		c.headers = append(c.headers, event.Header{Key: d.key(key), Value: value})
	}
	return c.headers[start:len(c.headers):len(c.headers)], nil
}

// key returns a string of those bytes. Few keys occur, so they are kept; beyond maxKeys each costs an allocation.
func (d *decoder) key(b []byte) string {
	if s, ok := d.keys[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.keys) < maxKeys && len(s) <= 256 {
		d.keys[s] = s
	}
	return s
}
