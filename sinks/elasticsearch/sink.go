package elasticsearch

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// Sink archives documents. It is used by one goroutine; several sinks share a client.
type Sink struct {
	client   *Client
	batch    batch
	heads    map[headKey][]byte // action lines up to the id
	scratch  []byte
	rejected []event.Rejection
	now      time.Time // when the batch began
	docs     int
	bytes    int
	workers  []*worker
}

// headKey names an index: the dataset, and the day of record time.
type headKey struct {
	dataset string
	day     int64 // since 1970
}

const (
	maxHeads  = 1024
	dayMillis = int64(24 * time.Hour / time.Millisecond)
	maxID     = 512 // bytes of an id that the server takes; one more fails the whole request
)

// NewSink makes a sink.
func (c *Client) NewSink() *Sink { return &Sink{client: c, heads: map[headKey][]byte{}} }

// batch is action lines and documents one behind the other, ready to be sent.
type batch struct {
	buf   []byte
	lines []line
}

// line is one document of a batch, with its action.
type line struct {
	from, to int
	id       event.ID
	failures int // times that the server failed on it
}

// Add takes a document, and copies what it keeps of it.
func (s *Sink) Add(d *event.Document) {
	s.docs++
	s.bytes += len(d.Body)
	switch {
	case len(d.Body) > s.client.cfg.MaxDocumentBytes:
		s.reject(d, ReasonTooLarge, fmt.Sprintf("%d bytes; the limit is %d", len(d.Body), s.client.cfg.MaxDocumentBytes))
		return
	case len(d.Body) < 2 || d.Body[0] != '{' || d.Body[len(d.Body)-1] != '}' || bytes.IndexByte(d.Body, '\n') >= 0:
		s.reject(d, ReasonNotAnObject, "the document is not one JSON object on one line")
		return
	}
	s.scratch = d.ID.Append(s.scratch[:0])
	if len(s.scratch) > maxID {
		s.reject(d, ReasonIDTooLong, fmt.Sprintf("the id has %d bytes; the server takes %d", len(s.scratch), maxID))
		return
	}
	if len(s.batch.lines) == 0 {
		s.begin()
	}
	b := &s.batch
	from := len(b.buf)
	b.buf = append(b.buf, s.head(d)...)
	b.buf = event.AppendString(b.buf, event.View(s.scratch))
	b.buf = append(b.buf, "}}\n"...)
	b.buf = append(b.buf, d.Body...)
	b.buf = append(b.buf, '\n')
	b.lines = append(b.lines, line{from: from, to: len(b.buf), id: d.ID})
}

// begin asks what time it is: all documents of a batch are judged by the same.
func (s *Sink) begin() {
	now := s.client.cfg.Now()
	if now.Unix()/60 != s.now.Unix()/60 || len(s.heads) >= maxHeads {
		clear(s.heads)
	}
	s.now = now
}

// head is the action line for a document up to its id. It depends on the day of record time alone, but for the day in which lies what is
// too far ahead.
func (s *Sink) head(d *event.Document) []byte {
	key := headKey{d.Dataset, dayOf(d.Received)}
	exact := key.day == dayOf(s.now.Add(maxAhead).UnixMilli())
	if line := s.heads[key]; line != nil && !exact {
		return line
	}
	line := []byte(`{"create":{"_index":"` + s.client.indexName(d.Dataset, d.Received, s.now) + `","_id":`)
	if !exact && len(s.heads) < maxHeads {
		key.dataset = strings.Clone(key.dataset)
		s.heads[key] = line
	}
	return line
}

func dayOf(ms int64) int64 {
	day := ms / dayMillis
	if ms%dayMillis < 0 {
		day--
	}
	return day
}

func (s *Sink) reject(d *event.Document, reason, detail string) {
	s.client.stats.rejected.Add(1)
	s.rejected = append(s.rejected, rejection(d.ID, reason, detail))
}

// Size is how much was added and not flushed.
func (s *Sink) Size() (documents, bytes int) { return s.docs, s.bytes }

// Flush returns when every document that was added is stored, or rejected for good. It tries for as long as it takes: an error means
// that ctx ended.
func (s *Sink) Flush(ctx context.Context) ([]event.Rejection, error) {
	for len(s.workers) < s.client.cfg.Concurrency {
		s.workers = append(s.workers, newWorker(s.client))
	}
	rejected, err := s.client.deliver(ctx, &s.batch, s.workers)
	if err != nil {
		return nil, err
	}
	rejected = append(s.rejected, rejected...)
	s.rejected, s.docs, s.bytes = nil, 0, 0
	s.batch.reset()
	return rejected, nil
}

// maxKept is how much memory a batch keeps for the next one.
const maxKept = 64 << 20

func (b *batch) reset() {
	if cap(b.buf) > maxKept {
		b.buf = nil
	}
	b.buf, b.lines = b.buf[:0], b.lines[:0]
}

// bodies cuts lines into requests: it answers where in todo each begins, and the end.
func (b *batch) bodies(todo []int, maxBytes int) []int {
	var starts []int
	size := 0
	for i, index := range todo {
		n := b.lines[index].to - b.lines[index].from
		if i == 0 || size+n > maxBytes {
			starts, size = append(starts, i), 0
		}
		size += n
	}
	return append(starts, len(todo))
}

// deliver sends a batch, and returns when every line is stored or rejected; an error means that ctx ended.
func (c *Client) deliver(ctx context.Context, b *batch, workers []*worker) (rejected []event.Rejection, err error) {
	todo := make([]int, len(b.lines))
	for i := range todo {
		todo[i] = i
	}
	for _, w := range workers {
		w.batch, w.rejected = b, nil
	}
	for before := 0; len(todo) > 0; {
		suspects := c.round(ctx, b, todo, workers)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("not everything was stored in Elasticsearch in time: %w", err)
		}
		// Documents are to blame for their failures if the server takes others, or answers at least, and fails on them once more.
		others := len(suspects) < len(b.lines) || len(b.lines) == 1 && c.healthy(ctx)
		if len(suspects) == before && others {
			for _, s := range suspects {
				workers[0].reject(s.index, ReasonRefused, s.detail)
			}
			break
		}
		before = len(suspects)
		todo = todo[:0]
		for _, s := range suspects {
			todo = append(todo, s.index)
		}
	}
	for _, w := range workers {
		rejected = append(rejected, w.rejected...)
	}
	return rejected, nil
}

// round sends lines, several requests at a time. It answers those that the server failed on again and again.
func (c *Client) round(ctx context.Context, b *batch, todo []int, workers []*worker) []suspect {
	starts := b.bodies(todo, c.cfg.MaxBodyBytes)
	var next atomic.Int64
	var running sync.WaitGroup
	for _, w := range workers {
		w.suspects = w.suspects[:0]
		running.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				if n >= len(starts) {
					return
				}
				w.deliver(ctx, todo[starts[n-1]:starts[n]])
			}
		})
	}
	running.Wait()
	var out []suspect
	for _, w := range workers {
		out = append(out, w.suspects...)
	}
	return out
}
