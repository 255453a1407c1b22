package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
)

func TestSink(t *testing.T) {
	dir, err := archive.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	buffer := make([]byte, 0, 1000) // reused, as the loop does
	add := func(partition int32, offset int64, at int64, tenant, dataset string) {
		d := document(event.ID{Topic: "logs", Partition: partition, Offset: offset, Time: at}, tenant, dataset)
		buffer = append(buffer[:0], d.Body...)
		d.Body = buffer
		s.Add(d)
	}
	add(0, 1, start, "acme", "json")
	add(0, 2, start+120_000, "acme", "json") // another hour
	add(0, 3, start, "acme", "nginx.access")
	add(1, 1, start, "acme", "json")
	add(0, 4, start, "other", "json")
	add(0, 5, start, "acme", "json")
	bad := document(event.ID{Topic: "logs", Offset: 6, Time: start}, "acme", "json")
	bad.Body = []byte("{\n}")
	s.Add(bad)
	if docs, bytes := s.Size(); docs != 6 || bytes == 0 {
		t.Errorf("Size: %d, %d", docs, bytes)
	}
	rejected, err := s.Flush(t.Context())
	if err != nil || len(rejected) != 1 || rejected[0].ID != bad.ID || rejected[0].Reason != ReasonLineEnd {
		t.Errorf("Flush: %v, %v", rejected, err)
	}
	if docs, bytes := s.Size(); docs != 0 || bytes != 0 {
		t.Errorf("Size after Flush: %d, %d", docs, bytes)
	}
	if st := s.Stats(); st != (Stats{Stored: 6, Rejected: 1}) {
		t.Errorf("%+v", st)
	}
	r, err := archive.NewReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if _, err := r.Segments(t.Context(), archive.Query{}, func(seg archive.Segment) error {
		names = append(names, fmt.Sprint(seg.Name, " ", seg.Index.Count))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"tenant=acme/dataset=json/dt=2026-11-24/hour=09/logs-0-00000000000000000001.ndjson.zst 2",
		"tenant=acme/dataset=json/dt=2026-11-24/hour=09/logs-1-00000000000000000001.ndjson.zst 1",
		"tenant=acme/dataset=json/dt=2026-11-24/hour=10/logs-0-00000000000000000002.ndjson.zst 1",
		"tenant=acme/dataset=nginx.access/dt=2026-11-24/hour=09/logs-0-00000000000000000003.ndjson.zst 1",
		"tenant=other/dataset=json/dt=2026-11-24/hour=09/logs-0-00000000000000000004.ndjson.zst 1",
	}
	if !slices.Equal(names, want) {
		t.Errorf("segments %q", names)
	}
	var found []string
	if _, err := r.Search(t.Context(), archive.Query{Tenants: []string{"acme"}}, func(_ []byte, e *event.Event) error {
		found = append(found, e.ID.String())
		return nil
	}); err != nil || len(found) != 5 {
		t.Errorf("found %v, %v", found, err)
	}
}

// failing is a bucket whose first writes fail.
type failing struct {
	archive.Bucket
	left int
}

func (f *failing) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if f.left--; f.left >= 0 {
		return errors.New("no space left on device")
	}
	return f.Bucket.PutIfAbsent(ctx, name, data)
}

func TestFlushTriesAgain(t *testing.T) {
	bucket := &failing{newMemory(), 2}
	s, err := New(Config{Bucket: bucket, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Add(document(event.ID{Topic: "logs", Offset: 1, Time: start}, "acme", "json"))
	if _, err := s.Flush(t.Context()); err != nil || s.Stats() != (Stats{Stored: 1, Failures: 2}) {
		t.Errorf("%v, %+v", err, s.Stats())
	}
	bucket.left = 1 << 30
	s.Add(document(event.ID{Topic: "logs", Offset: 2, Time: start}, "acme", "json"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
}

// Records may claim any hour; what a sink remembers of hours is bounded.
func TestGroupsAreForgotten(t *testing.T) {
	s := open(t, newMemory())
	for round := range 4 {
		for i := range 700 {
			at := int64(round*700+i) * time.Hour.Milliseconds()
			s.Add(document(event.ID{Topic: "logs", Offset: int64(round*700 + i), Time: at}, "acme", "json"))
		}
		if _, err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(s.groups) > maxGroups+700 {
			t.Errorf("%d groups", len(s.groups))
		}
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	s := open(t, newMemory())
	docs := make([]*event.Document, 200)
	for i := range docs {
		docs[i] = document(event.ID{Topic: "logs", Offset: int64(i), Time: start}, "acme", "json")
	}
	fill := func() {
		for _, d := range docs {
			s.Add(d)
		}
		for _, g := range s.groups {
			g.body, g.docs = g.body[:0], g.docs[:0]
		}
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 0 {
		t.Errorf("%v allocations for %d documents", n, len(docs))
	}
}

func BenchmarkSink(b *testing.B) {
	dir, err := archive.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, dir)
	d := document(event.ID{Topic: "logs", Time: start}, "acme", "json")
	for n := 0; b.Loop(); n++ {
		d.ID.Offset = int64(n)
		if s.Add(d); n%5000 == 4999 {
			if _, err := s.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
