package archive

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"pgregory.net/rapid"
)

func testCodec(t testing.TB) (*codec, *summary) {
	t.Helper()
	c, err := newCodec(1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSummary()
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// An index survives its file, and the index made anew from the segment is the same.
func TestIndexRoundTrip(t *testing.T) {
	c, s := testCodec(t)
	rapid.Check(t, func(r *rapid.T) {
		key := Key{Tenant: rapid.String().Draw(r, "tenant"), Dataset: "nginx.access", Hour: HourOf(start), Topic: "logs", Partition: 3}
		b := newBuilder(c, s, key)
		offset := int64(0)
		for range rapid.IntRange(1, 30).Draw(r, "documents") {
			offset += int64(rapid.IntRange(0, 5).Draw(r, "gap"))
			id := event.ID{Topic: "logs", Partition: 3, Offset: offset, Time: start + rapid.Int64Range(0, 1000).Draw(r, "time"), Index: int32(rapid.IntRange(0, 3).Draw(r, "index"))}
			d := docOf(id, start+rapid.Int64Range(-1e9, 1e6).Draw(r, "event time"), fmt.Sprintf(`"message":"%x"`, make([]byte, rapid.SampledFrom([]int{1, 1, 80_000}).Draw(r, "bytes"))))
			b.add(positionOf(d.ID), d.Time, d.Body)
		}
		data, x := b.finish()
		want := x.encode(c.enc)
		got, err := decodeIndex(want, c.dec)
		if err != nil || !bytes.Equal(got.encode(c.enc), want) {
			r.Errorf("read %+v of %+v, %v", got, x, err)
		}
		if got.Count != x.Count || got.Size != int64(len(data)) || got.Event != x.Event || got.Record != x.Record || got.Bytes != x.Bytes {
			r.Errorf("read %+v of %+v", got, x)
		}
		again, err := scan(c, s, key, data)
		if err != nil || !bytes.Equal(again.encode(c.enc), want) {
			r.Errorf("made anew %+v of %+v, %v", again, x, err)
		}
	})
}

// The filter finds every value that is there, and few that are not.
func TestBloom(t *testing.T) {
	hashes := map[uint64]struct{}{}
	for i := range 5000 {
		hashes[hashValue("user.name", fmt.Sprint("user", i))] = struct{}{}
	}
	b := newBloom(hashes)
	for h := range hashes {
		if !b.has(h) {
			t.Fatal("a value that is there is not found")
		}
	}
	wrong := 0
	for i := range 20_000 {
		if b.has(hashValue("user.name", fmt.Sprint("other", i))) {
			wrong++
		}
	}
	if wrong > 400 {
		t.Errorf("%d of 20000 values that are not there are found", wrong)
	}
	if newBloom(nil).has(7) || hashValue("a", "b") == hashValue("ab", "") {
		t.Error("an empty filter finds something, or field and value run together")
	}
}

// Whatever a file holds: it is an index or damaged, and costs no more memory than its bytes may claim.
func FuzzIndex(f *testing.F) {
	c, s := testCodec(f)
	b := newBuilder(c, s, Key{Tenant: "a", Dataset: "d", Hour: HourOf(start), Topic: "logs"})
	for i := range int64(3) {
		d := doc(i, start+i, start, `"source":{"ip":"192.0.2.1"}`)
		b.add(positionOf(d.ID), d.Time, d.Body)
	}
	_, x := b.finish()
	good := x.encode(c.enc)
	plain, err := c.dec.DecodeAll(good[len(indexMagic):len(good)-4], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte{})
	f.Add([]byte("\x01a\x01d\x00\x01t\x00\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeIndex(body, c.dec); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		got, err := decodeIndexBody(body)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		again, err := decodeIndex(got.encode(c.enc), c.dec)
		if err != nil || again.Count != got.Count || again.Key != got.Key || len(again.positions) != len(got.positions) {
			t.Errorf("%+v is written and read as %+v, %v", got, again, err)
		}
	})
}

// Whatever a segment holds: what can be read of it is read, and the rest is damaged.
func FuzzSegment(f *testing.F) {
	c, s := testCodec(f)
	b := newBuilder(c, s, Key{Topic: "logs"})
	for i := range int64(3) {
		d := doc(i, start+i, start, "")
		b.add(positionOf(d.ID), d.Time, d.Body)
		b.closeBlock()
	}
	good, _ := b.finish()
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}, good...)) // a skippable frame
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := scan(c, s, Key{Topic: "logs"}, data)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if x.Size > int64(len(data)) || err == nil && x.Size != int64(len(data)) {
			t.Errorf("%d bytes of %d, %v", x.Size, len(data), err)
		}
	})
}
