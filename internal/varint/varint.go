// Package varint writes and reads the numbers and texts of binary formats: variable-length integers, and texts behind their length.
package varint

import (
	"encoding/binary"
	"unsafe"
)

// AppendText appends a text behind its length.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Reader reads what was appended. After the first damage Bad is set, and everything that is read is zero, so that callers need to
// look only at the end.
type Reader struct {
	B   []byte // what is left
	Bad bool
}

// Fail marks what is read as damaged.
func (r *Reader) Fail() { r.Bad, r.B = true, nil }

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.B)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Fixed64 reads eight bytes, the least significant first.
func (r *Reader) Fixed64() uint64 {
	if len(r.B) < 8 {
		r.Fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.B)
	r.B = r.B[8:]
	return v
}

// Count reads how many items follow. Each takes at least size bytes, so that a damaged or hostile number costs nothing.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(len(r.B)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Bytes reads bytes behind their length. They alias what is read.
func (r *Reader) Bytes() []byte {
	n := r.Count(1)
	x := r.B[:n:n]
	r.B = r.B[n:]
	return x
}

// Text is Bytes as a string that aliases what is read, too: it is valid as long as that does not change.
func (r *Reader) Text() string {
	b := r.Bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}
