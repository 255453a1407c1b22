// Package records cuts files into records: lines of text or NDJSON, a JSON array, or JSON objects one behind the other; plain,
// gzip or zstd.
package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Reader gives the records of one input in their order.
type Reader struct {
	in    *bufio.Reader
	json  bool // objects that may span lines; else lines
	array bool
	limit int
	buf   []byte
	close func()

	at     int64   // bytes of JSON that were read
	wanted wanted  // in an array
	broken *Broken // the first that was found
}

// Broken says that an array, or objects one behind the other, are not what they should be: something may be missing.
type Broken struct {
	At   int64 // byte, from 0
	What string
}

// Error says what and where.
func (b *Broken) Error() string { return fmt.Sprintf("%s, at byte %d", b.What, b.At) }

// wanted is what may come next in an array.
type wanted int

const (
	wantArray wanted = iota
	wantFirst        // an object, or the end
	wantMore         // a comma, or the end
	wantObject
)

// peekBytes is how much of an input is looked at to find out what it is.
const peekBytes = 64 << 10

const byteOrderMark = "\xef\xbb\xbf"

// NewReader looks at the input's beginning to find out what it is. Records longer than limit bytes are given cut at limit + 1
// bytes, so that the caller sees that they are too long and memory stays bounded.
func NewReader(in io.Reader, limit int) (*Reader, error) {
	b := bufio.NewReaderSize(in, peekBytes)
	r := &Reader{limit: limit, close: func() {}}
	switch magic, _ := b.Peek(4); {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("cannot read gzip: %w", err)
		}
		b = bufio.NewReaderSize(z, peekBytes)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, fmt.Errorf("cannot read zstd: %w", err)
		}
		r.close = z.Close
		b = bufio.NewReaderSize(z, peekBytes)
	}
	r.in = b
	head, err := b.Peek(peekBytes)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("cannot read the input: %w", err)
	}
	err = nil
	if r.json, r.array = spansLines(head); r.json && bytes.HasPrefix(head, []byte(byteOrderMark)) {
		_, err = b.Discard(len(byteOrderMark))
		r.at = int64(len(byteOrderMark))
	}
	return r, err
}

// Close gives the decompressor's memory back.
func (r *Reader) Close() { r.close() }

// spansLines says whether an input's head is that of JSON which is not one object a line: an array of objects, or an object whose
// first line is only its beginning. A log line may begin with a bracket too, so an array must go on with an object.
func spansLines(head []byte) (json, array bool) {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), " \t\r\n")
	if len(head) == 0 {
		return false, false
	}
	if head[0] == '[' {
		next := bytes.TrimLeft(head[1:], " \t\r\n")
		return len(next) > 0 && next[0] == '{', true
	}
	if head[0] != '{' {
		return false, false
	}
	line, _, more := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimSpace(line)
	last := line[len(line)-1]
	return more && (last == '{' || last == ',' || last == '['), false
}

// Next is the next record, valid until the next call. Blank lines are records only in text, where they are given as they are.
// At the end it answers io.EOF, or a *Broken where JSON was cut off or malformed.
func (r *Reader) Next() ([]byte, error) {
	if r.json {
		return r.object()
	}
	return r.line()
}

func (r *Reader) line() ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if room := r.limit + 1 - len(r.buf); len(part) > room {
			part = part[:max(room, 0)]
		}
		r.buf = append(r.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil:
			return bytes.TrimSuffix(bytes.TrimSuffix(r.buf, []byte("\n")), []byte("\r")), nil
		case errors.Is(err, io.EOF) && len(r.buf) > 0:
			return r.buf, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		}
		return nil, fmt.Errorf("cannot read the input: %w", err)
	}
}

// object reads to the brace that closes the object which begins next. What is broken comes to the input's end as one record, so
// that nothing is lost without a word.
func (r *Reader) object() ([]byte, error) {
	r.buf = r.buf[:0]
	depth, inString, escaped := 0, false, false
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return r.end(err)
		}
		r.at++
		if len(r.buf) == 0 && (c == ' ' || c == '\n' || c == '\t' || c == '\r' || r.between(c)) {
			continue
		}
		if len(r.buf) <= r.limit {
			r.buf = append(r.buf, c)
		}
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth <= 0 {
				return r.buf, nil
			}
		}
	}
}

// end is the answer when there is nothing more to read.
func (r *Reader) end(err error) ([]byte, error) {
	switch {
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("cannot read the input: %w", err)
	case len(r.buf) > 0:
		r.report(r.at, "it ends in the middle of a record")
		return r.buf, nil
	case r.array && r.wanted != wantArray:
		r.report(r.at, "it ends before the array does")
	}
	if r.broken != nil {
		return nil, r.broken
	}
	return nil, io.EOF
}

func (r *Reader) report(at int64, what string) {
	if r.broken == nil {
		r.broken = &Broken{at, what}
	}
}

// between looks at what stands where an object may begin, and says whether it is of the array instead.
func (r *Reader) between(c byte) bool {
	before, at := r.wanted, r.at-1
	switch {
	case r.array && c == '[':
		if r.wanted = wantFirst; before != wantArray {
			r.report(at, "an array begins within the array")
		}
	case r.array && c == ']':
		if r.wanted = wantArray; before != wantFirst && before != wantMore {
			r.report(at, "the array ends where it should not")
		}
	case r.array && c == ',':
		if r.wanted = wantObject; before != wantMore {
			r.report(at, "there is a comma too many")
		}
	default:
		switch {
		case c != '{':
			r.report(at, "there is something that is no object")
		case r.array && before == wantMore:
			r.report(at, "a comma is missing")
		case r.array && before == wantArray:
			r.report(at, "something follows the array")
		}
		r.wanted = wantMore
		return false
	}
	return true
}
