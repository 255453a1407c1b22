package blob

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 24, 9, 59, 0, 0, time.UTC).UnixMilli()

func document(id event.ID, tenant, dataset string) *event.Document {
	body := fmt.Sprintf(`{"@timestamp":%q,"event":{"dataset":%q,"original":"x"},"klaxon":{"id":%q,"tenant":%q}}`,
		event.AppendTime(nil, id.Time), dataset, id, tenant)
	return &event.Document{ID: id, Tenant: tenant, Dataset: dataset, Received: id.Time, Time: id.Time, Body: []byte(body)}
}

// record is what one offset of a partition holds: no document, one, or several.
type record []*event.Document

// drawLog draws a partition: its records' times run back and forth over two hours' border.
func drawLog(t *rapid.T, topic string, partition int32) []record {
	log := make([]record, rapid.IntRange(1, 40).Draw(t, "records"))
	for i := range log {
		n := rapid.SampledFrom([]int{0, 1, 1, 1, 3}).Draw(t, "documents")
		at := start + int64(rapid.IntRange(0, 100_000).Draw(t, "time"))
		for index := range n {
			id := event.ID{Topic: topic, Partition: partition, Offset: int64(i), Time: at, Index: int32(index)}
			dataset := rapid.SampledFrom([]string{"nginx.access", "json"}).Draw(t, "dataset")
			log[i] = append(log[i], document(id, "acme", dataset))
		}
	}
	return log
}

// source is a partition, how far it was committed, and every offset that ever was.
type source struct {
	log       []record
	committed []int
}

func (s *source) last() int { return s.committed[len(s.committed)-1] }

// feed gives a sink the next records from one on, and answers the next offset.
func (s *source) feed(sink *Sink, from, n int) int {
	to := min(from+n, len(s.log))
	for _, r := range s.log[from:to] {
		for _, d := range r {
			sink.Add(d)
		}
	}
	return to
}

func open(t testing.TB, b archive.Bucket) *Sink {
	t.Helper()
	s, err := New(Config{Bucket: b, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever is killed wherever, whatever is read again from wherever, and if two sinks believe that a partition is theirs: in the end each
// document is there once.
func TestReplayStoresOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		bucket := newMemory()
		// The last of them is the first topic made anew, which repeats its offsets.
		sources := []*source{{log: drawLog(r, "logs", 0)}, {log: drawLog(r, "logs", 1)}, {log: drawLog(r, "logs", 0)}}
		for i := range sources {
			sources[i].committed = []int{0}
		}
		for _, d := range sources[2].log {
			for _, d := range d {
				*d = *document(event.ID{Topic: "logs", Offset: d.ID.Offset, Index: d.ID.Index, Time: d.ID.Time + 200_001}, d.Tenant, d.Dataset)
			}
		}
		for range rapid.IntRange(0, 12).Draw(r, "runs") {
			s := rapid.SampledFrom(sources).Draw(r, "source")
			switch rapid.IntRange(0, 3).Draw(r, "what") {
			case 0:
				loseIndices(r, bucket)
			case 1:
				twoAtOnce(t, r, bucket, s)
			default:
				run(t, r, bucket, s)
			}
		}
		for _, s := range sources { // and in the end all goes well
			sink := open(t, bucket)
			s.feed(sink, s.last(), len(s.log))
			flush(t, sink)
		}
		check(t, r, bucket, sources)
	})
}

// run is the life of one sink: from a committed offset over some flushes, in one of which the process may be killed.
func run(t *testing.T, r *rapid.T, bucket *memory, s *source) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink := open(t, bucket)
	at := s.committed[rapid.IntRange(0, len(s.committed)-1).Draw(r, "from")]
	for range rapid.IntRange(1, 4).Draw(r, "flushes") {
		at = s.feed(sink, at, rapid.IntRange(1, 15).Draw(r, "records"))
		if rapid.IntRange(0, 2).Draw(r, "killed") == 0 {
			bucket.crashAfter(rapid.IntRange(0, 20).Draw(r, "operations"), rapid.Bool().Draw(r, "carried out"), cancel)
		}
		_, err := sink.Flush(ctx)
		bucket.crashAfter(-1, false, nil)
		if err != nil {
			return
		}
		if rapid.Bool().Draw(r, "commits") {
			s.committed = append(s.committed, at)
		}
	}
}

// twoAtOnce is an owner that does not know yet that it is none, and its successor.
func twoAtOnce(t *testing.T, r *rapid.T, bucket *memory, s *source) {
	var sinks sync.WaitGroup
	for range 2 {
		at := s.committed[rapid.IntRange(0, len(s.committed)-1).Draw(r, "from")]
		var sizes []int
		for range rapid.IntRange(1, 3).Draw(r, "flushes") {
			sizes = append(sizes, rapid.IntRange(1, 15).Draw(r, "records"))
		}
		sinks.Go(func() {
			sink := open(t, bucket)
			for _, n := range sizes {
				at = s.feed(sink, at, n)
				flush(t, sink)
			}
		})
	}
	sinks.Wait()
}

func flush(t *testing.T, sink *Sink) {
	if rejected, err := sink.Flush(t.Context()); err != nil || len(rejected) > 0 {
		t.Errorf("Flush: %v, %v", rejected, err)
	}
}

// loseIndices removes some indices: a process was killed before it wrote them.
func loseIndices(r *rapid.T, bucket *memory) {
	for _, name := range bucket.names() {
		if strings.HasSuffix(name, ".index") && rapid.Bool().Draw(r, "lost") {
			delete(bucket.objects, name)
		}
	}
}

func check(t *testing.T, r *rapid.T, bucket *memory, sources []*source) {
	want := map[string]bool{}
	for _, s := range sources {
		for _, record := range s.log {
			for _, d := range record {
				want[d.ID.String()] = true
			}
		}
	}
	reader, err := archive.NewReader(bucket)
	if err != nil {
		r.Fatal(err)
	}
	report, err := reader.Search(t.Context(), archive.Query{}, func(doc []byte, e *event.Event) error {
		id := e.Text(event.EventID)
		if !want[id] || id != e.ID.String() {
			r.Errorf("%s is there twice, or was never written: %s", id, doc)
		}
		delete(want, id)
		return nil
	})
	if err != nil || len(report.Damages) > 0 {
		r.Errorf("Search: %v, %v", err, report.Damages)
	}
	for id := range want {
		r.Errorf("%s is lost", id)
	}
	if n, err := reader.Count(t.Context()); n != report.Found || err != nil {
		r.Errorf("Count says %d of %d, %v", n, report.Found, err)
	}
}
