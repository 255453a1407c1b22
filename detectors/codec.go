package detectors

import (
	"encoding/binary"

	"github.com/klaxonhq/klaxon/event"
)

func appendUvarint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }
func appendVarint(b []byte, n int64) []byte   { return binary.AppendVarint(b, n) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader reads what the append functions wrote. After the first damage it is bad and everything is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// text aliases what is read.
func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := event.View(r.b[:n:n])
	r.b = r.b[n:]
	return s
}

// count reads how many items follow; each takes at least size bytes, so that a damaged number costs nothing.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}
