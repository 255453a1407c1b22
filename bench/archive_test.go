package bench

import (
	"context"
	"runtime"
	"testing"
	"time"

	segments "github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/blob"
	"go.uber.org/zap"
)

// The archive loop flushes as it does by default; see the command's configuration.
const (
	flushDocuments = 50_000
	flushBytes     = 8 << 20
	heldBytes      = 32 << 20
)

// endless is a claim that gives the batches of a lane round and round, each time with new offsets, until its benchmark has enough.
type endless struct {
	b     *testing.B
	lane  lane
	tally tally
	stop  context.CancelFunc
	n     int
}

func (c *endless) Owned() []kafka.Partition                    { return nil }
func (c *endless) Commit(context.Context, event.Offsets) error { return nil }
func (c *endless) Fetch(ctx context.Context) (*event.Batch, error) {
	if c.n == 0 {
		c.tally.resume()
	}
	if !c.b.Loop() {
		c.tally.pause()
		c.stop()
		return nil, ctx.Err()
	}
	one := c.lane.batches[c.n%len(c.lane.batches)]
	if c.n >= len(c.lane.batches) {
		again(one)
	}
	c.n++
	c.tally.bytes += one.Bytes
	return one, nil
}

// again moves a batch on: an archive knows what it has stored by its offset.
func again(b *event.Batch) {
	const far = 1 << 30
	b.First, b.Next, b.End = b.First+far, b.Next+far, b.End+far
	for i := range b.Records {
		b.Records[i].Offset += far
	}
}

// nobody takes dead letters.
type nobody struct{}

func (nobody) Send(context.Context, string, []kafka.Message) error { return nil }

// bulk is a sink that makes bodies as Elasticsearch takes them, and sends them to nobody.
type bulk struct {
	body      []byte
	documents int
}

func (s *bulk) Add(d *event.Document) {
	s.body = append(s.body, `{"create":{"_index":"logs-`...)
	s.body = append(s.body, d.Dataset...)
	s.body = append(s.body, `-`...)
	s.body = append(s.body, d.Tenant...)
	s.body = append(s.body, `","_id":"`...)
	s.body = d.ID.Append(s.body)
	s.body = append(s.body, "\"}}\n"...)
	s.body = append(s.body, d.Body...)
	s.body = append(s.body, '\n')
	s.documents++
}

func (s *bulk) Size() (documents, bytes int) { return s.documents, len(s.body) }

func (s *bulk) Flush(context.Context) ([]event.Rejection, error) {
	s.body, s.documents = s.body[:0], 0
	return nil, nil
}

// archive is the loop of a sink, with the defaults of the command.
func archive(g *pipeline.Generation, sink pipeline.ArchiveSink) *pipeline.Archive {
	return &pipeline.Archive{
		Generation: func() *pipeline.Generation { return g }, NewSink: func() (pipeline.ArchiveSink, error) { return sink, nil },
		Sender: nobody{}, Undecodable: true, Clock: time.Now, Log: zap.NewNop(), Stats: &pipeline.ArchiveStats{},
		Every: time.Second, MaxDocuments: flushDocuments, MaxBytes: flushBytes, MaxHeld: heldBytes, Drain: time.Second,
	}
}

func benchmarkArchive(b *testing.B, sink func(*testing.B) pipeline.ArchiveSink) {
	g := shipped(b)
	for _, l := range lanes() {
		b.Run(l.name, func(b *testing.B) {
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			claim := &endless{b: b, lane: l, stop: stop}
			loop := archive(g, sink(b))
			runtime.GC() // of what was there before
			if err := loop.Run(ctx, claim); err != nil {
				b.Fatal(err)
			}
			if n := loop.Stats.Rejected.Load(); n > 0 {
				b.Fatalf("%d documents were rejected", n)
			}
			claim.tally.events = int(loop.Stats.Documents.Load())
			claim.tally.report(b)
		})
	}
}

// BenchmarkArchiveLoop is fetched batch -> body of a bulk request: the whole loop, but for the network.
func BenchmarkArchiveLoop(b *testing.B) {
	benchmarkArchive(b, func(*testing.B) pipeline.ArchiveSink { return &bulk{body: make([]byte, 0, 2*flushBytes)} })
}

// BenchmarkArchiveLocal is fetched batch -> segments in a folder, compressed and with their indexes.
func BenchmarkArchiveLocal(b *testing.B) {
	benchmarkArchive(b, func(b *testing.B) pipeline.ArchiveSink {
		dir, err := segments.OpenDir(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		s, err := blob.New(blob.Config{Bucket: dir, Workers: 1})
		if err != nil {
			b.Fatal(err)
		}
		return s
	})
}
