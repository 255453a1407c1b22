package hit

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/event"
	"pgregory.net/rapid"
)

func texts(t *rapid.T, label string) []string {
	return rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, label)
}

func TestFrameSurvivesItsCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Frame{Kind: Hits, Source: event.Source{Topic: rapid.String().Draw(t, "topic"), TopicID: "id", Partition: rapid.Int32Range(0, 99).Draw(t, "p")},
			Partitions: 4, First: rapid.Int64Range(0, 1<<40).Draw(t, "first"), Last: rapid.Int64Range(0, 1<<41).Draw(t, "last")}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			h := Hit{Rule: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rule"), Basis: rapid.Uint64().Draw(t, "basis"), Tenant: rapid.SampledFrom([]string{"", "t"}).Draw(t, "tenant"),
				Key: JoinKey(append(texts(t, "key"), "x")), Offset: rapid.Int64Range(0, 1<<50).Draw(t, "offset"), Index: rapid.Int32Range(0, 1<<30).Draw(t, "index"),
				RecordTime: rapid.Int64Range(-1<<50, 1<<50).Draw(t, "record"), Time: rapid.Int64Range(-1<<50, 1<<50).Draw(t, "time")}
			if rapid.Bool().Draw(t, "sampled") {
				h.Sample = []byte("{}")
			}
			for range rapid.IntRange(0, 2).Draw(t, "fields") {
				fd := Field{Name: rapid.SampledFrom([]string{"user.name", "a"}).Draw(t, "name")}
				if v := texts(t, "values"); len(v) > 0 {
					fd.Values = v
				}
				h.Fields = append(h.Fields, fd)
			}
			f.Hits = append(f.Hits, h)
		}
		got := Frame{Hits: make([]Hit, 0, 1), Marks: nil}
		if err := got.Parse(f.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(f, got, cmp.Transformer("nil", func(h []Hit) []Hit { return append([]Hit{}, h...) })); d != "" {
			t.Fatal(d)
		}
	})
}

func TestTickSurvivesItsCodec(t *testing.T) {
	f := Frame{Kind: Tick, Source: event.Source{Topic: "logs", TopicID: "x"}, Partitions: 12, Marks: []Mark{{0, -5}, {11, 1 << 41}}}
	var got Frame
	if err := got.Parse(f.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f, got); d != "" {
		t.Fatal(d)
	}
}

func TestParseRefusesDamage(t *testing.T) {
	f := Frame{Kind: Hits, Source: event.Source{Topic: "logs"}, Hits: []Hit{{Rule: "r", Key: "k", Fields: []Field{{"a", []string{"b"}}}}}}
	b := f.Append(nil)
	for n := range len(b) {
		var got Frame
		if err := got.Parse(b[:n]); !errors.Is(err, ErrFrame) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestKeysNeverCollide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := append(texts(t, "a"), "x"), append(texts(t, "b"), "x")
		if (JoinKey(a) == JoinKey(b)) != cmp.Equal(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
		if got := SplitKey(JoinKey(a)); !cmp.Equal(got, a) {
			t.Fatalf("%q came back as %q", a, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	full := Frame{Kind: Hits, Source: event.Source{Topic: "logs", TopicID: "i", Partition: 3}, First: 5, Last: 9,
		Hits: []Hit{{Rule: "r", Tenant: "t", Key: "k", Offset: 6, Time: 3, Fields: []Field{{"a", []string{"b", "c"}}}, Sample: []byte("{}")}, {Rule: "r", Key: "l", Offset: 7}}}
	f.Add(full.Append(nil))
	tick := Frame{Kind: Tick, Marks: []Mark{{1, 2}}}
	f.Add(tick.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr Frame
		if fr.Parse(b) != nil {
			return
		}
		var again Frame
		if err := again.Parse(fr.Append(nil)); err != nil {
			t.Fatalf("what was parsed cannot be parsed again: %v", err)
		}
	})
}
