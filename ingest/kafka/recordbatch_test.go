package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/klaxonhq/klaxon/event"
)

var testSource = event.Source{Topic: "t", TopicID: "id", Partition: 3}

// decodeAll decodes raw from an offset on and returns copies, the next offset and the error.
func decodeAll(mem *memory, dec *decoder, raw []byte, from int64, aborted ...abortedTxn) (got []event.Record, next int64, err error) {
	cur := dec.begin(testSource, from, aborted)
	held := newAccount(math.MaxInt64)
	buf := mem.raw(len(raw))
	defer buf.release()
	copy(buf.b, raw)
	for rest := buf.b; len(rest) > 0 && err == nil; {
		c := mem.chunk(buf, held)
		rest, err = dec.decode(c, rest, &cur)
		for _, r := range c.batch.Records {
			r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
			r.Headers = append([]event.Header(nil), r.Headers...)
			for i := range r.Headers {
				r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
			}
			got = append(got, r)
		}
		c.finish(testSource, 4, from, cur.next)
		c.batch.Release()
	}
	if used := held.used.Load(); used != 0 && err == nil {
		err = fmt.Errorf("%d bytes are still held", used)
	}
	return got, cur.next, err
}

func values(n int, tag string) []event.Record {
	out := make([]event.Record, n)
	for i := range out {
		out[i] = event.Record{Value: fmt.Appendf(nil, "%s %d %s", tag, i, strings.Repeat("x", i%50))}
	}
	return out
}

func tags(records []event.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, fmt.Sprintf("%d:%s", r.Offset, strings.Fields(string(r.Value))[0]))
	}
	return strings.Join(out, " ")
}

// What is encoded is decoded, with every codec, from every offset, however it is cut into batches.
func TestDecodeRoundTrip(t *testing.T) {
	mem, dec := &memory{}, newDecoder(defaultLimit)
	rapid.Check(t, func(t *rapid.T) {
		var raw []byte
		var want []event.Record
		offset := rapid.Int64Range(0, 1<<40).Draw(t, "base")
		start := offset
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			b := built{base: offset, time: rapid.Int64Range(0, 1<<42).Draw(t, "time"), codec: Codec(rapid.IntRange(0, 4).Draw(t, "codec")), xerial: rapid.Bool().Draw(t, "xerial")}
			n := rapid.IntRange(0, 8).Draw(t, "records")
			for i := range n {
				r := event.Record{Source: testSource, Offset: offset + int64(i), Time: b.time + rapid.Int64Range(-1000, 1000).Draw(t, "delta")}
				r.Key, r.Value = drawBytes(t, "key"), drawBytes(t, "value")
				for range rapid.IntRange(0, 3).Draw(t, "headers") {
					r.Headers = append(r.Headers, event.Header{Key: rapid.StringN(0, 5, 20).Draw(t, "name"), Value: drawBytes(t, "header")})
				}
				b.records = append(b.records, r)
			}
			b.last = rapid.IntRange(0, 3).Draw(t, "compacted") + max(n-1, 0)
			raw = append(raw, b.bytes(t)...)
			want = append(want, b.records...)
			offset += int64(b.last) + 1
		}
		from := rapid.Int64Range(start, offset).Draw(t, "from")
		tail := rapid.IntRange(0, 80).Draw(t, "tail") // of a batch that was cut off
		raw = append(raw, built{base: offset, records: values(20, "tail")}.bytes(t)[:tail]...)
		for len(want) > 0 && want[0].Offset < from {
			want = want[1:]
		}
		got, next, err := decodeAll(mem, dec, raw, from)
		if err != nil {
			t.Fatal(err)
		}
		if next != offset {
			t.Errorf("next is %d, want %d", next, offset)
		}
		if len(got)+len(want) > 0 {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func drawBytes(t *rapid.T, name string) []byte {
	if rapid.IntRange(0, 4).Draw(t, name+" is null") == 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, name)
}

func TestDecodeLogAppendTime(t *testing.T) {
	raw := built{time: 100, maxTime: 777, attrs: attrLogAppendTime, records: []event.Record{{Time: 100}, {Time: 101}}}.bytes(t)
	got, _, err := decodeAll(&memory{}, newDecoder(defaultLimit), raw, 0)
	if err != nil || len(got) != 2 || got[0].Time != 777 || got[1].Time != 777 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDecodeAbortedTransactions(t *testing.T) {
	const a, b, c = 11, 12, 13
	txn := func(base int64, producer int64, tag string) []byte {
		return built{base: base, producer: producer, attrs: attrTransactional, records: values(2, tag)}.bytes(t)
	}
	marker := func(base int64, producer int64) []byte {
		return built{base: base, producer: producer, attrs: attrTransactional | attrControl, records: values(1, "MARKER")}.bytes(t)
	}
	plain := func(base int64) []byte { return built{base: base, producer: -1, records: values(2, "plain")}.bytes(t) }
	log := bytes.Join([][]byte{
		plain(0), txn(2, a, "A1"), txn(4, b, "B1"), plain(6), txn(8, a, "A1"), marker(10, a), // a aborts
		txn(11, a, "A2"), marker(13, b), marker(14, a), // b commits, a commits
		txn(15, c, "C1"), txn(17, a, "A3"), marker(19, c), plain(20), marker(22, a), // both abort
	}, nil)
	all := []abortedTxn{{c, 15}, {a, 17}, {a, 2}} // in no order
	for name, test := range map[string]struct {
		from    int64
		aborted []abortedTxn
		want    string
	}{
		"all":                     {0, all, "0:plain 1:plain 4:B1 5:B1 6:plain 7:plain 11:A2 12:A2 20:plain 21:plain"},
		"from within a's":         {9, all, "11:A2 12:A2 20:plain 21:plain"},
		"from within a batch":     {5, all, "5:B1 6:plain 7:plain 11:A2 12:A2 20:plain 21:plain"},
		"from after a's marker":   {11, all[:2], "11:A2 12:A2 20:plain 21:plain"},
		"from within a's third":   {18, all[:2], "20:plain 21:plain"},
		"nothing aborted":         {15, nil, "15:C1 16:C1 17:A3 18:A3 20:plain 21:plain"},
		"the list ends elsewhere": {0, append([]abortedTxn{{99, 3}}, all...), "0:plain 1:plain 4:B1 5:B1 6:plain 7:plain 11:A2 12:A2 20:plain 21:plain"},
	} {
		t.Run(name, func(t *testing.T) {
			got, next, err := decodeAll(&memory{}, newDecoder(defaultLimit), log, test.from, append([]abortedTxn(nil), test.aborted...)...)
			if err != nil || next != 23 {
				t.Fatalf("next %d, %v", next, err)
			}
			if tags(got) != test.want {
				t.Errorf("\n got %s\nwant %s", tags(got), test.want)
			}
		})
	}
}

// An abort list belongs to one response of one partition: nothing of it is left for the next.
func TestDecodeForgetsAbortedProducers(t *testing.T) {
	mem, dec := &memory{}, newDecoder(defaultLimit)
	raw := built{producer: 5, attrs: attrTransactional, records: values(2, "x")}.bytes(t)
	if got, _, err := decodeAll(mem, dec, raw, 0, abortedTxn{5, 0}); err != nil || len(got) != 0 {
		t.Fatalf("%v %v", got, err)
	}
	if got, _, err := decodeAll(mem, dec, raw, 0); err != nil || len(got) != 2 {
		t.Fatalf("%v %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := built{base: 40, records: values(3, "good")}
	corrupt := func(at int, to byte) []byte {
		b := good.bytes(t)
		b[at] = to
		return b
	}
	bomb := bytes.Repeat([]byte{0}, 3<<20)
	for name, test := range map[string]struct {
		raw  []byte
		want error
		last int64
	}{
		"checksum":           {corrupt(70, 'X'), errChecksum, 42},
		"magic 1":            {corrupt(16, 1), errOldFormat, unknownLast},
		"magic 9":            {corrupt(16, 9), nil, unknownLast},
		"negative length":    {corrupt(8, 0xff), errMalformed, unknownLast},
		"negative delta":     {corrupt(23, 0xff), errMalformed, unknownLast},
		"negative offset":    {corrupt(0, 0xff), errMalformed, unknownLast},
		"too many records":   {built{base: 40, last: 2, count: 1 << 30, records: values(3, "x")}.bytes(t), errMalformed, 42},
		"negative count":     {built{base: 40, last: 2, count: -5, records: values(3, "x")}.bytes(t), errMalformed, 42},
		"one record missing": {built{base: 40, last: 3, count: 4, records: values(3, strings.Repeat("x", 20))}.bytes(t), errMalformed, 43},
		"garbage":            {built{base: 40, last: 2, count: 1, body: bytes.Repeat([]byte{0x80}, 40)}.bytes(t), errMalformed, 42},
		"unknown codec":      {built{base: 40, last: 2, codec: 6, body: []byte("abc"), count: 1}.bytes(t), nil, 42},
		"broken gzip":        {built{base: 40, last: 2, codec: Gzip, body: []byte("abcdefghijklmnopqrstuvwxyz"), count: 1}.bytes(t), nil, 42},
		"broken snappy":      {built{base: 40, last: 2, codec: Snappy, body: []byte("\xff\xff\xff\xff\xff\xff"), count: 1}.bytes(t), nil, 42},
		"broken xerial":      {built{base: 40, last: 2, codec: Snappy, body: []byte(xerialHeader + "12345678\xff\xff\xff\xffabc"), count: 1}.bytes(t), errShort, 42},
		"broken lz4":         {built{base: 40, last: 2, codec: Lz4, body: []byte("abcdefghijklmnopqrstuvwxyz"), count: 1}.bytes(t), nil, 42},
		"broken zstd":        {built{base: 40, last: 2, codec: Zstd, body: []byte("abcdefghijklmnopqrstuvwxyz"), count: 1}.bytes(t), nil, 42},
		"gzip bomb":          {built{base: 40, last: 2, codec: Gzip, body: compress(t, Gzip, false, bomb), count: 1}.bytes(t), errTooLarge, 42},
		"snappy bomb":        {built{base: 40, last: 2, codec: Snappy, body: compress(t, Snappy, false, bomb), count: 1}.bytes(t), errTooLarge, 42},
		"xerial bomb":        {built{base: 40, last: 2, codec: Snappy, body: compress(t, Snappy, true, bomb), count: 1}.bytes(t), errTooLarge, 42},
		"lz4 bomb":           {built{base: 40, last: 2, codec: Lz4, body: compress(t, Lz4, false, bomb), count: 1}.bytes(t), errTooLarge, 42},
		"zstd bomb":          {built{base: 40, last: 2, codec: Zstd, body: compress(t, Zstd, false, bomb), count: 1}.bytes(t), errTooLarge, 42},
	} {
		t.Run(name, func(t *testing.T) {
			before := built{base: 35, last: 4, records: values(2, "before")}.bytes(t)
			dec := newDecoder(1 << 20)
			got, next, err := decodeAll(&memory{}, dec, append(before, test.raw...), 0)
			var bad *BatchError
			if !errors.As(err, &bad) || bad.First != 40 || bad.Last != test.last || bad.Source != testSource {
				t.Fatalf("error %v", err)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if next != 40 || tags(got) != "35:before 36:before" {
				t.Errorf("next %d, got %s", next, tags(got))
			}
			if again, _, err := decodeAll(&memory{}, dec, good.bytes(t), 0); err != nil || len(again) != 3 {
				t.Errorf("the decoder is of no use afterwards: %v", err)
			}
		})
	}
}

// Many small batches become few chunks, and a chunk ends when it is large enough.
func TestDecodeCutsChunks(t *testing.T) {
	mem, dec := &memory{}, newDecoder(defaultLimit)
	var raw []byte
	value := bytes.Repeat([]byte("v"), 1<<20)
	for i := range 11 {
		raw = append(raw, built{base: int64(i), records: []event.Record{{Value: value}}}.bytes(t)...)
	}
	cur := dec.begin(testSource, 0, nil)
	held := newAccount(math.MaxInt64)
	var sizes []int
	for rest := raw; len(rest) > 0; {
		c := mem.chunk(nil, held)
		var err error
		if rest, err = dec.decode(c, rest, &cur); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(c.batch.Records))
	}
	if fmt.Sprint(sizes) != "[4 4 3]" {
		t.Errorf("chunks of %v records", sizes)
	}
}

// Decoding costs no allocation per record once buffers have grown.
func TestDecodeDoesNotAllocatePerRecord(t *testing.T) {
	for codec := None; codec <= Zstd; codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			raw, _ := sample(t, codec)
			mem, dec, held := &memory{}, newDecoder(defaultLimit), newAccount(math.MaxInt64)
			run := func() {
				cur := dec.begin(testSource, 0, nil)
				c := mem.chunk(nil, held)
				if _, err := dec.decode(c, raw, &cur); err != nil {
					t.Fatal(err)
				}
				if len(c.batch.Records) != 2000 {
					t.Fatalf("%d records", len(c.batch.Records))
				}
				c.finish(testSource, 1, 0, cur.next)
				c.batch.Release()
			}
			run()
			if n := testing.AllocsPerRun(50, run); n > 60 { // a collection, or the race detector, may empty the pools
				t.Errorf("%v allocations for 2000 records in 10 batches", n)
			}
		})
	}
}

// sample is 2000 records in 10 batches.
func sample(t testing.TB, codec Codec) (raw []byte, size int) {
	line := `203.0.113.9 - - [10/Oct/2026:13:55:36 +0000] "GET /admin/%d HTTP/1.1" 404 162 "-" "curl/8.1 (%d)" some more text to make it as long as such lines are`
	for i := range 10 {
		b := built{base: int64(i * 200), codec: codec}
		for j := range 200 {
			b.records = append(b.records, event.Record{
				Key: fmt.Appendf(nil, "key %d", j), Value: fmt.Appendf(nil, line, j*i, j*j),
				Headers: []event.Header{{Key: "log.type", Value: []byte("nginx")}, {Key: "tenant", Value: []byte("acme")}},
			})
			size += len(b.records[j].Value)
		}
		raw = append(raw, b.bytes(t)...)
	}
	return raw, size
}

func BenchmarkDecode(b *testing.B) {
	for codec := None; codec <= Zstd; codec++ {
		b.Run(codec.String(), func(b *testing.B) {
			raw, size := sample(b, codec)
			mem, dec, held := &memory{}, newDecoder(defaultLimit), newAccount(math.MaxInt64)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				cur := dec.begin(testSource, 0, nil)
				c := mem.chunk(nil, held)
				if _, err := dec.decode(c, raw, &cur); err != nil {
					b.Fatal(err)
				}
				c.finish(testSource, 1, 0, cur.next)
				c.batch.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
		})
	}
}
