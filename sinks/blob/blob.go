// Package blob archives documents as segments in a bucket: a local folder, or what else keeps objects by name. What the files look like
// is package archive's to say.
package blob

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"go.uber.org/zap"
)

// Config says where segments go.
type Config struct {
	Bucket archive.Bucket
	// Workers is how many segments are written at a time; 0: 4.
	Workers int
	Log     *zap.Logger // nil: nothing is logged
}

const (
	defaultWorkers = 4
	// maxIdle is after how many flushes without documents a group is forgotten; its hour is probably over.
	maxIdle = 32
	// maxGroups is how many groups are remembered from flush to flush: records can claim any hour.
	maxGroups  = 1024
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// ReasonLineEnd is the reason of documents that are not one line.
const ReasonLineEnd = "line_end"

// Sink writes what it is given to the archive. It is used by one goroutine. A replay of a partition from any offset stores each document
// once, whatever an earlier sink had stored by then.
type Sink struct {
	writer   *archive.Writer
	workers  int
	log      *zap.Logger
	groups   map[archive.Key]*group
	docs     int
	bytes    int
	rejected []event.Rejection
	stats    Stats
}

// Stats is what a sink has done.
type Stats struct {
	Stored   int64 // documents
	Present  int64 // documents that were there already
	Rejected int64 // documents
	Failures int64 // writes that failed and were tried again
}

// group is the documents of one key since the last flush.
type group struct {
	stream *archive.Stream
	key    archive.Key
	body   []byte
	docs   []place
	idle   int // flushes without a document
}

type place struct {
	id       event.ID
	time     int64
	from, to int
}

// New makes a sink.
func New(cfg Config) (*Sink, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = defaultWorkers
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	w, err := archive.NewWriter(cfg.Bucket, cfg.Workers)
	if err != nil {
		return nil, fmt.Errorf("cannot write an archive: %w", err)
	}
	return &Sink{writer: w, workers: cfg.Workers, log: cfg.Log, groups: map[archive.Key]*group{}}, nil
}

// Add takes a document, and copies what it keeps of it.
func (s *Sink) Add(d *event.Document) {
	if bytes.IndexByte(d.Body, '\n') >= 0 {
		s.rejected = append(s.rejected, event.Rejection{ID: cloneID(d.ID), Reason: ReasonLineEnd, Detail: "the document is not one line"})
		s.stats.Rejected++
		return
	}
	key := archive.Key{Tenant: d.Tenant, Dataset: d.Dataset, Hour: archive.HourOf(d.Received), Topic: d.ID.Topic, Partition: d.ID.Partition}
	g := s.groups[key]
	if g == nil {
		key.Tenant, key.Dataset, key.Topic = strings.Clone(key.Tenant), strings.Clone(key.Dataset), strings.Clone(key.Topic)
		g = &group{stream: s.writer.Stream(key), key: key}
		s.groups[key] = g
	}
	id := d.ID
	id.Topic = g.key.Topic
	from := len(g.body)
	g.body = append(g.body, d.Body...)
	g.docs = append(g.docs, place{id, d.Time, from, len(g.body)})
	s.docs++
	s.bytes += len(d.Body)
}

func cloneID(id event.ID) event.ID {
	id.Topic = strings.Clone(id.Topic)
	return id
}

// Size is how much was added and not flushed.
func (s *Sink) Size() (documents, bytes int) { return s.docs, s.bytes }

// Stats is what the sink has done since it was made.
func (s *Sink) Stats() Stats { return s.stats }

// Flush returns when everything that was added survives a power cut, or was rejected. It tries again for as long as it takes: an error
// means that ctx ended.
func (s *Sink) Flush(ctx context.Context) ([]event.Rejection, error) {
	todo := make(chan *group)
	var workers sync.WaitGroup
	var mu sync.Mutex // over stats
	for range min(s.workers, len(s.groups)) {
		workers.Go(func() {
			for g := range todo {
				s.put(ctx, g, &mu)
			}
		})
	}
	for _, g := range s.sorted() {
		if len(g.docs) > 0 {
			todo <- g
		}
	}
	close(todo)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the archive was not written in time: %w", err)
	}
	rejected := s.rejected
	s.rejected, s.docs, s.bytes = nil, 0, 0
	s.settle()
	return rejected, nil
}

// sorted puts the groups in an order that does not depend on the map.
func (s *Sink) sorted() []*group {
	out := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *group) int { return archive.CompareKeys(a.key, b.key) })
	return out
}

// put writes one group, and tries until ctx ends.
func (s *Sink) put(ctx context.Context, g *group, mu *sync.Mutex) {
	docs := make([]archive.Document, len(g.docs))
	for i, p := range g.docs {
		docs[i] = archive.Document{ID: p.id, Time: p.time, Body: g.body[p.from:p.to]}
	}
	pause := firstPause
	stored := 0
	for {
		n, err := g.stream.Put(ctx, docs)
		stored += n
		if err == nil || ctx.Err() != nil {
			mu.Lock()
			s.stats.Stored += int64(stored)
			if err == nil {
				s.stats.Present += int64(len(docs) - stored)
			}
			mu.Unlock()
			return
		}
		mu.Lock()
		s.stats.Failures++
		mu.Unlock()
		s.log.Error("cannot write to the archive; it is tried again", zap.String("dataset", g.key.Dataset), zap.Duration("pause", pause), zap.Error(err))
		wait(ctx, pause)
		pause = min(2*pause, maxPause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// settle empties the groups and forgets those that nothing comes to.
func (s *Sink) settle() {
	for key, g := range s.groups {
		if len(g.docs) > 0 {
			g.idle = 0
		} else if g.idle++; g.idle > maxIdle || len(s.groups) > maxGroups {
			delete(s.groups, key)
		}
		if cap(g.body) > 4*len(g.body) { // a burst's memory is not kept
			g.body = nil
		}
		g.body, g.docs = g.body[:0], g.docs[:0]
	}
}
