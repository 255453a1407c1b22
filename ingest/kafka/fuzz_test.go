package kafka

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/klaxonhq/klaxon/event"
)

// Whatever a broker sends, decoding ends, keeps offsets in order and within the batch, and holds nothing afterwards.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, int64(0), int64(-1))
	for codec := None; codec <= Zstd; codec++ {
		b := built{base: 5, time: 1_700_000_000_000, codec: codec, producer: 3, attrs: attrTransactional, records: values(4, "seed")}
		b.records[1].Headers = []event.Header{{Key: "a", Value: []byte("b")}, {Key: "", Value: nil}}
		f.Add(b.bytes(f), int64(0), int64(3))
		f.Add(append(b.bytes(f), b.bytes(f)[:90]...), int64(7), int64(-1))
	}
	f.Add(built{attrs: attrControl | attrTransactional, records: values(1, "x")}.bytes(f), int64(0), int64(0))
	f.Add(built{codec: Snappy, xerial: true, records: values(3, "x")}.bytes(f), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, raw []byte, from, producer int64) {
		from &= 1<<62 - 1
		repairChecksums(raw)
		got, next, err := decodeAll(&memory{}, newDecoder(1<<20), raw, from, abortedTxn{producer, 0})
		var bad *BatchError
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		if next < from {
			t.Errorf("next %d is before %d", next, from)
		}
		previous := from - 1
		for _, r := range got {
			if r.Offset <= previous || r.Offset >= next {
				t.Fatalf("offset %d after %d, next is %d", r.Offset, previous, next)
			}
			previous = r.Offset
		}
	})
}

// repairChecksums lets the fuzzer reach what stands behind the checksum.
func repairChecksums(raw []byte) {
	for len(raw) > batchHeader {
		length := int64(int32(binary.BigEndian.Uint32(raw[8:]))) + batchPrefix
		if length < batchHeader || length > int64(len(raw)) {
			return
		}
		binary.BigEndian.PutUint32(raw[17:], checksum(raw[crcStart:length]))
		raw = raw[length:]
	}
}

// fetchBody encodes a response body as a broker does.
func fetchBody(parts ...fetched) []byte {
	be := binary.BigEndian
	b := make([]byte, 10)
	b = be.AppendUint32(b, uint32(len(parts)))
	for _, p := range parts {
		b = appendString(b, p.topic)
		b = be.AppendUint32(b, 1)
		b = be.AppendUint32(b, uint32(p.partition))
		b = be.AppendUint16(b, uint16(p.code))
		b = be.AppendUint64(b, uint64(p.high))
		b = be.AppendUint64(b, uint64(p.stable))
		b = be.AppendUint64(b, uint64(p.start))
		if p.aborted == nil {
			b = be.AppendUint32(b, 0xffffffff)
		} else {
			b = be.AppendUint32(b, uint32(len(p.aborted)))
		}
		for _, a := range p.aborted {
			b = be.AppendUint64(b, uint64(a.producer))
			b = be.AppendUint64(b, uint64(a.first))
		}
		b = be.AppendUint32(b, 0xffffffff)
		if p.records == nil {
			b = be.AppendUint32(b, 0xffffffff)
		} else {
			b = be.AppendUint32(b, uint32(len(p.records)))
			b = append(b, p.records...)
		}
	}
	return b
}

func FuzzFetchResponse(f *testing.F) {
	f.Add([]byte{})
	f.Add(fetchBody())
	f.Add(fetchBody(fetched{topic: "t", partition: 1, high: 9, stable: 8, records: []byte("abc")}, fetched{topic: "u", code: 6, high: -1}))
	f.Add(fetchBody(fetched{topic: "t", aborted: []abortedTxn{{1, 2}, {3, 4}}, records: []byte{}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var resp fetchResponse
		if resp.parse(b) != nil {
			return
		}
		for _, p := range resp.parts {
			if len(p.records) > len(b) || len(p.aborted) > len(b)/abortedSize {
				t.Errorf("more than there is: %d bytes, %d transactions of %d", len(p.records), len(p.aborted), len(b))
			}
		}
	})
}

// metadataBody encodes a response as a broker does.
func metadataBody(id int32, topics ...topicMeta) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, uint32(id))
	b = append(b, 0)
	b = be.AppendUint32(b, 0)
	b = append(b, 2) // one broker
	b = be.AppendUint32(b, 1)
	b = appendCompactString(b, "host")
	b = be.AppendUint32(b, 9092)
	b = append(b, 0, 0)
	b = appendCompactString(b, "cluster")
	b = be.AppendUint32(b, 1)
	b = binary.AppendUvarint(b, uint64(len(topics)+1))
	for _, t := range topics {
		b = be.AppendUint16(b, uint16(t.code))
		b = appendCompactString(b, t.name)
		id, _ := hex.DecodeString(t.id)
		b = append(b, append(id, make([]byte, topicIDBytes)...)[:topicIDBytes]...)
		b = append(b, 0)
		b = binary.AppendUvarint(b, uint64(len(t.leaders)+1))
		for i, l := range t.leaders {
			b = be.AppendUint16(b, uint16(l.code))
			b = be.AppendUint32(b, uint32(i))
			b = be.AppendUint32(b, uint32(l.broker))
			b = be.AppendUint32(b, uint32(l.epoch))
			b = append(b, byte(l.copies+1))
			b = append(b, make([]byte, replicaBytes*l.copies)...)
			b = append(b, 2, 0, 0, 0, 1, 1, 0) // one in sync, none offline, no tags
		}
		b = be.AppendUint32(b, 0)
		b = append(b, 1, 9, 3, 'a', 'b', 'c') // a tag that is not known
	}
	return append(b, 0)
}

func FuzzMetadataResponse(f *testing.F) {
	f.Add([]byte{})
	f.Add(metadataBody(0))
	f.Add(metadataBody(0, topicMeta{name: "t", id: "0123456789abcdef0123456789abcdef", leaders: []leader{{1, 2, 0, 1}, {-1, -1, 5, 0}}}, topicMeta{name: "gone", code: 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var resp metadataResponse
		if resp.parse(b, 0) != nil {
			return
		}
		for _, topic := range resp.topics {
			if len(topic.leaders) > len(b) {
				t.Errorf("%d partitions in %d bytes", len(topic.leaders), len(b))
			}
		}
	})
}

func TestParseFetchResponse(t *testing.T) {
	var resp fetchResponse
	want := []fetched{
		{topic: "a", partition: 4, high: 100, stable: 90, start: 10, aborted: []abortedTxn{{7, 50}}, records: []byte("records")},
		{topic: "b", code: 29, high: -1, stable: -1, start: -1},
	}
	if err := resp.parse(fetchBody(want...)); err != nil {
		t.Fatal(err)
	}
	for i, p := range resp.parts {
		w := want[i]
		if p.topic != w.topic || p.partition != w.partition || p.code != w.code || p.high != w.high || p.stable != w.stable || p.start != w.start ||
			len(p.aborted) != len(w.aborted) || !bytes.Equal(p.records, w.records) {
			t.Errorf("%+v, want %+v", p, w)
		}
	}
	body := fetchBody(want...)
	for n := range body {
		if err := new(fetchResponse).parse(body[:n]); !errors.Is(err, errMalformedResponse) {
			t.Fatalf("cut at %d of %d: %v", n, len(body), err)
		}
	}
}

func TestParseMetadataResponse(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	var resp metadataResponse
	body := metadataBody(9, topicMeta{name: "t", id: id, leaders: []leader{{1, 2, 0, 3}, {-1, 6, 5, 2}}}, topicMeta{name: "gone", code: 3})
	if err := resp.parse(body, 9); err != nil {
		t.Fatal(err)
	}
	if got := resp.topics[0].shape(); got != (Shape{id, 2}) {
		t.Errorf("shape %+v", got)
	}
	if l := resp.topics[0].leaders; l[0] != (leader{1, 2, 0, 3}) || l[1] != (leader{-1, 6, 5, 2}) || resp.topics[0].topic().Replication != 2 {
		t.Errorf("leaders %+v", l)
	}
	if err := resp.topics[1].err(); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("error %v", err)
	}
	if err := new(metadataResponse).parse(body, 8); err == nil {
		t.Error("an answer to another question was taken")
	}
	for n := range body {
		if err := new(metadataResponse).parse(body[:n], 9); !errors.Is(err, errMalformedResponse) {
			t.Fatalf("cut at %d of %d: %v", n, len(body), err)
		}
	}
}
