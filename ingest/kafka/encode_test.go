package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/klaxonhq/klaxon/event"
)

// helper is what tests of both testing and rapid have.
type helper interface {
	Helper()
	Fatal(args ...any)
}

// built is a record batch as a test wants it. The zero value of most fields is what a plain producer writes.
type built struct {
	base     int64
	attrs    uint16
	time     int64
	maxTime  int64
	producer int64
	last     int // delta of the last offset when it is behind the last record
	count    int // when it is to be a lie
	codec    Codec
	xerial   bool
	body     []byte // instead of records
	records  []event.Record
}

// bytes encodes the batch, independently of the decoder.
func (b built) bytes(t helper) []byte {
	t.Helper()
	body := b.body
	if body == nil {
		for i, r := range b.records {
			body = appendRecord(body, r, i, b.time)
		}
		body = compress(t, b.codec, b.xerial, body)
	}
	last := max(len(b.records)-1, b.last)
	count := len(b.records)
	if b.count != 0 {
		count = b.count
	}
	be := binary.BigEndian
	out := be.AppendUint64(nil, uint64(b.base))
	out = be.AppendUint32(out, uint32(49+len(body)))
	out = be.AppendUint32(out, 7) // leader epoch
	out = append(out, 2)
	out = be.AppendUint32(out, 0)
	out = be.AppendUint16(out, b.attrs|uint16(b.codec))
	out = be.AppendUint32(out, uint32(last))
	out = be.AppendUint64(out, uint64(b.time))
	out = be.AppendUint64(out, uint64(b.maxTime))
	out = be.AppendUint64(out, uint64(b.producer))
	out = be.AppendUint16(out, 0)
	out = be.AppendUint32(out, 0)
	out = be.AppendUint32(out, uint32(count))
	out = append(out, body...)
	be.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func appendRecord(body []byte, r event.Record, delta int, base int64) []byte {
	rec := []byte{0}
	rec = binary.AppendVarint(rec, r.Time-base)
	rec = binary.AppendVarint(rec, int64(delta))
	rec = appendVarBytes(rec, r.Key)
	rec = appendVarBytes(rec, r.Value)
	rec = binary.AppendVarint(rec, int64(len(r.Headers)))
	for _, h := range r.Headers {
		rec = appendVarBytes(rec, []byte(h.Key))
		rec = appendVarBytes(rec, h.Value)
	}
	body = binary.AppendVarint(body, int64(len(rec)))
	return append(body, rec...)
}

func appendVarBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	b = binary.AppendVarint(b, int64(len(v)))
	return append(b, v...)
}

func compress(t helper, codec Codec, xerial bool, in []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	write := func(w interface {
		Write([]byte) (int, error)
		Close() error
	}) {
		if _, err = w.Write(in); err == nil {
			err = w.Close()
		}
	}
	switch codec {
	case Gzip:
		write(gzip.NewWriter(&out))
	case Snappy:
		if !xerial {
			return snappy.Encode(nil, in)
		}
		out.WriteString("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
		for len(in) > 0 {
			n := min(len(in), 32<<10)
			block := s2.EncodeSnappy(nil, in[:n])
			out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
			out.Write(block)
			in = in[n:]
		}
	case Lz4:
		write(lz4.NewWriter(&out))
	case Zstd:
		var zw *zstd.Encoder
		if zw, err = zstd.NewWriter(&out); err == nil {
			write(zw)
		}
	default:
		return in
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
