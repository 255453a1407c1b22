package kafka

import "encoding/binary"

// reader reads the primitive types of Kafka's protocol from a buffer. After the first value that does not fit, bad is set and all
// further values are zero.
type reader struct {
	b   []byte
	bad bool
}

// take returns the next n bytes without copying, or nil.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		r.b = nil
		return nil
	}
	x := r.b[:n:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) int8() int8 {
	if x := r.take(1); len(x) == 1 {
		return int8(x[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if x := r.take(2); len(x) == 2 {
		return int16(binary.BigEndian.Uint16(x))
	}
	return 0
}

func (r *reader) int32() int32 {
	if x := r.take(4); len(x) == 4 {
		return int32(binary.BigEndian.Uint32(x))
	}
	return 0
}

func (r *reader) int64() int64 {
	if x := r.take(8); len(x) == 8 {
		return int64(binary.BigEndian.Uint64(x))
	}
	return 0
}

// uvarint reads an unsigned varint.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// varint reads a zigzag varint.
func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length32 reads the number of elements of an array, each of which takes at least size bytes; null is 0.
func (r *reader) length32(size int) int {
	return r.bounded(int64(r.int32()), size)
}

// compactLength is length32 for a compact array of a flexible version.
func (r *reader) compactLength(size int) int {
	n := r.uvarint()
	if n > 1<<31 {
		r.bad = true
		return 0
	}
	return r.bounded(int64(n)-1, size)
}

// bounded refuses a count that cannot fit into what is left, so that a corrupt count never sizes an allocation.
func (r *reader) bounded(n int64, size int) int {
	if n <= 0 || r.bad {
		return 0
	}
	if n > int64(len(r.b)/size) {
		r.bad = true
		r.b = nil
		return 0
	}
	return int(n)
}

// bytes16 reads a string of the older versions; null is empty.
func (r *reader) bytes16() []byte {
	n := r.int16()
	if n <= 0 {
		return nil
	}
	return r.take(int(n))
}

// compactBytes reads a string of the flexible versions; null is empty.
func (r *reader) compactBytes() []byte {
	n := r.uvarint()
	if n <= 1 {
		return nil
	}
	if n > uint64(len(r.b))+1 {
		r.bad = true
		r.b = nil
		return nil
	}
	return r.take(int(n - 1))
}

// varBytes reads the nullable bytes of a record.
func (r *reader) varBytes() []byte {
	n := r.varint()
	if n < 0 || r.bad {
		return nil
	}
	if n > int64(len(r.b)) {
		r.bad = true
		r.b = nil
		return nil
	}
	return r.take(int(n))
}

// tags skips the tagged fields of a flexible version.
func (r *reader) tags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.uvarint()
		size := r.uvarint()
		if size > uint64(len(r.b)) {
			r.bad = true
			return
		}
		r.take(int(size))
	}
}

// appendString appends a string of the older versions.
func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// appendCompactString appends a string of the flexible versions.
func appendCompactString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s))+1)
	return append(b, s...)
}
