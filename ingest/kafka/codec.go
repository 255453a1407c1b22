package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is how the records of a batch are compressed.
type Codec int8

// The codecs that Kafka knows.
const (
	None Codec = iota
	Gzip
	Snappy
	Lz4
	Zstd
)

// String is the codec's name as Kafka's configuration spells it.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case Lz4:
		return "lz4"
	case Zstd:
		return "zstd"
	default:
		return fmt.Sprintf("codec(%d)", int8(c))
	}
}

var (
	errTooLarge = errors.New("records are larger than allowed after decompression")
	errShort    = errors.New("record batch is shorter than it says")
)

// decompressor holds the state of all codecs for reuse. It is not safe for concurrent use.
type decompressor struct {
	limit int // most bytes that one batch may have after decompression
	ratio int // about how much larger batches were after decompression, to size buffers
	src   bytes.Reader
	gzip  *gzip.Reader
	lz4   *lz4.Reader
	zstd  *zstd.Decoder
}

// appendTo appends the decompressed form of in to dst, which may be reallocated.
func (d *decompressor) appendTo(dst []byte, codec Codec, in []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, in...), nil
	case Gzip:
		return d.gunzip(dst, in)
	case Snappy:
		return d.unsnappy(dst, in)
	case Lz4:
		return d.unlz4(dst, in)
	case Zstd:
		return d.unzstd(dst, in)
	default:
		return dst, fmt.Errorf("unknown compression codec %d", int8(codec))
	}
}

func (d *decompressor) gunzip(dst, in []byte) ([]byte, error) {
	d.src.Reset(in)
	if d.gzip == nil {
		zr, err := gzip.NewReader(&d.src)
		if err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
		d.gzip = zr
	} else if err := d.gzip.Reset(&d.src); err != nil {
		return dst, fmt.Errorf("gzip: %w", err)
	}
	return d.readAll(dst, d.gzip, "gzip")
}

func (d *decompressor) unlz4(dst, in []byte) ([]byte, error) {
	d.src.Reset(in)
	if d.lz4 == nil {
		d.lz4 = lz4.NewReader(&d.src)
	} else {
		d.lz4.Reset(&d.src)
	}
	return d.readAll(dst, d.lz4, "lz4")
}

func (d *decompressor) unzstd(dst, in []byte) ([]byte, error) {
	if d.zstd == nil {
		zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(d.limit)))
		if err != nil {
			return dst, fmt.Errorf("zstd: %w", err)
		}
		d.zstd = zr
	}
	out, err := d.zstd.DecodeAll(in, dst)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return dst, errTooLarge
	case err != nil:
		return dst, fmt.Errorf("zstd: %w", err)
	case len(out)-len(dst) > d.limit:
		return dst, errTooLarge
	}
	return out, nil
}

// xerialHeader starts what the Java client writes: a header of 16 bytes, then blocks with their sizes.
const xerialHeader = "\x82SNAPPY\x00"

func (d *decompressor) unsnappy(dst, in []byte) ([]byte, error) {
	if len(in) < 16 || string(in[:len(xerialHeader)]) != xerialHeader {
		return d.snappyBlock(dst, in, d.limit)
	}
	start := len(dst)
	for in = in[16:]; len(in) > 0; {
		if len(in) < 4 {
			return dst, errShort
		}
		size := int64(binary.BigEndian.Uint32(in))
		if in = in[4:]; size > int64(len(in)) {
			return dst, errShort
		}
		var err error
		if dst, err = d.snappyBlock(dst, in[:size], d.limit-(len(dst)-start)); err != nil {
			return dst, err
		}
		in = in[size:]
	}
	return dst, nil
}

func (d *decompressor) snappyBlock(dst, in []byte, limit int) ([]byte, error) {
	size, err := s2.DecodedLen(in)
	if err != nil {
		return dst, fmt.Errorf("snappy: %w", err)
	}
	if size > limit {
		return dst, errTooLarge
	}
	start := len(dst)
	dst = grow(dst, size)
	if _, err := s2.Decode(dst[start:start+size:start+size], in); err != nil {
		return dst[:start], fmt.Errorf("snappy: %w", err)
	}
	return dst[:start+size], nil
}

// readAll appends all of r, at most limit bytes.
func (d *decompressor) readAll(dst []byte, r io.Reader, name string) ([]byte, error) {
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = grow(dst, max(1<<16, len(dst)-start))
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-start > d.limit {
			return dst[:start], errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst[:start], fmt.Errorf("%s: %w", name, err)
		}
	}
}

// grow makes room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := make([]byte, len(b), len(b)+n)
	copy(bigger, b)
	return bigger
}
