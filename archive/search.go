package archive

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"sync"

	"github.com/klaxonhq/klaxon/event"
)

// candidate is a segment that may hold what is wanted.
type candidate struct {
	name string
	span Range // of the time that the order is by
}

// found is what one segment had: documents one behind the other, and where each of them is.
type found struct {
	key    Key
	body   []byte
	docs   []foundDoc
	read   int64
	damage []Damage
	err    error
}

type foundDoc struct {
	time     int64
	from, to int
}

// Search calls each with every document that q asks for, in the order of time, one at a time and from the goroutine that called Search.
// doc is one line without its end; doc and e are valid until each returns. An error of each ends the search and is returned, ErrStop
// as nil. Damaged segments are reported and left out. The report is never nil.
func (r *Reader) Search(ctx context.Context, q Query, each func(doc []byte, e *event.Event) error) (*Report, error) {
	report := &Report{}
	p, err := newPlan(q)
	if err != nil {
		return report, err
	}
	if p.Schema == nil {
		if p.Schema, err = defaultSchema(); err != nil {
			return report, err
		}
	}
	segments, err := r.candidates(ctx, p, report)
	if err != nil {
		return report, err
	}
	s := &search{reader: r, plan: p, decoder: newDecoder(p.Schema), report: report, each: each}
	s.event = event.New(p.Schema)
	err = s.run(ctx, segments)
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return report, err
}

// candidates reads the indices and sorts what is left.
func (r *Reader) candidates(ctx context.Context, p *plan, report *Report) ([]candidate, error) {
	var out []candidate
	err := r.walk(ctx, p, func(name string, _ Key) error {
		x, damage, err := r.index(ctx, name)
		if damage != nil {
			report.Damages = append(report.Damages, *damage)
		}
		switch {
		case err != nil || x == nil:
			return err
		case !p.wants(x):
			report.Skipped++
			return nil
		}
		out = append(out, candidate{name, p.times(x.Event, x.Record)})
		return nil
	})
	slices.SortFunc(out, func(a, b candidate) int {
		if p.Newest {
			return cmp.Or(cmp.Compare(b.span.To, a.span.To), strings.Compare(b.name, a.name))
		}
		return cmp.Or(cmp.Compare(a.span.From, b.span.From), strings.Compare(a.name, b.name))
	})
	return out, err
}

// search is a search under way: workers read segments in their order, a few ahead, and one goroutine puts the documents in order.
type search struct {
	reader  *Reader
	plan    *plan
	decoder *decoder
	report  *Report
	each    func(doc []byte, e *event.Event) error
	event   *event.Event
	events  sync.Pool // of *event.Event
	waiting queue
	held    int // bytes that wait
	order   int64
}

func (s *search) run(ctx context.Context, segments []candidate) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	s.waiting.newest = s.plan.Newest
	pending := make(chan chan found, s.plan.Workers-1)
	workers.Go(func() {
		defer close(pending)
		for _, c := range segments {
			result := make(chan found, 1)
			select {
			case pending <- result:
			case <-ctx.Done():
				return
			}
			workers.Go(func() { result <- s.read(ctx, c) })
		}
	})
	next := 0
	for result := range pending {
		f := <-result
		if f.err != nil {
			return f.err
		}
		next++
		s.take(f)
		if err := s.give(segments[next:]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// take puts what a segment had into the queue.
func (s *search) take(f found) {
	s.report.Segments++
	s.report.Documents += f.read
	s.report.Damages = append(s.report.Damages, f.damage...)
	for _, d := range f.docs {
		s.order++
		heap.Push(&s.waiting, waiting{time: d.time, order: s.order, key: &f.key, body: f.body[d.from:d.to]})
		s.held += d.to - d.from
	}
}

// give calls back with the documents that no later segment can come before.
func (s *search) give(later []candidate) error {
	for s.waiting.Len() > 0 {
		ready := len(later) == 0 || !s.plan.Newest && s.waiting.docs[0].time <= later[0].span.From ||
			s.plan.Newest && s.waiting.docs[0].time >= later[0].span.To
		if !ready {
			if s.held <= s.plan.MaxHeld {
				return nil
			}
			s.report.Disordered = true
		}
		w := heap.Pop(&s.waiting).(waiting)
		s.held -= len(w.body)
		if err := s.decoder.decode(w.key, w.body, s.event); err != nil {
			return err // it was read before: this cannot be
		}
		s.report.Found++
		if err := s.each(w.body, s.event); err != nil {
			return err
		}
	}
	return nil
}

// read reads what is wanted of a segment.
func (s *search) read(ctx context.Context, c candidate) found {
	x, _, err := s.reader.index(ctx, c.name) // its damage was told when it was listed
	if err != nil || x == nil {
		return found{err: err}
	}
	f := found{key: x.Key}
	e, ok := s.events.Get().(*event.Event)
	if !ok {
		e = event.New(s.plan.Schema)
	}
	defer s.events.Put(e)
	for i := 0; i < len(x.Blocks) && ctx.Err() == nil; {
		from := i
		for ; i < len(x.Blocks) && s.wants(&x.Blocks[i]); i++ {
		}
		if from == i {
			i++
			continue
		}
		s.blocks(ctx, c.name, x.Blocks[from:i], e, &f)
	}
	if f.err == nil {
		f.err = ctx.Err()
	}
	return f
}

func (s *search) wants(b *Block) bool {
	return b.Count > 0 && s.plan.times(b.Event, b.Record).overlaps(s.plan.span)
}

// blocks reads blocks that stand one behind the other.
func (s *search) blocks(ctx context.Context, name string, blocks []Block, e *event.Event, f *found) {
	last := blocks[len(blocks)-1]
	data, err := s.reader.bucket.Get(ctx, name, blocks[0].At, last.At+last.Size-blocks[0].At)
	whole := err == nil
	var raw []byte
	for _, b := range blocks {
		if ctx.Err() != nil {
			return
		}
		var part []byte
		if whole {
			part = data[b.At-blocks[0].At:][:b.Size]
		} else if part, err = s.reader.bucket.Get(ctx, name, b.At, b.Size); err != nil { // what is there of it can be read
			f.damage = append(f.damage, Damage{name, b.Count, err})
			continue
		}
		if raw, err = s.block(part, &b, raw[:0]); err != nil {
			f.damage = append(f.damage, Damage{name, b.Count, err})
			continue
		}
		s.lines(name, raw, e, f)
	}
}

func (s *search) block(data []byte, b *Block, raw []byte) ([]byte, error) {
	if crc32.Checksum(data, castagnoli) != b.Sum {
		return raw, damaged("the checksum of the block at byte %d is another one", b.At)
	}
	raw, err := s.reader.codec.dec.DecodeAll(data, raw)
	if err != nil {
		return raw, damaged("the block at byte %d: %v", b.At, err)
	}
	return raw, nil
}

// lines decodes the documents of a block and keeps those that are wanted.
func (s *search) lines(name string, raw []byte, e *event.Event, f *found) {
	for line := range bytes.Lines(raw) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		f.read++
		if err := s.decoder.decode(&f.key, line, e); err != nil {
			f.damage = append(f.damage, Damage{name, 1, err})
			continue
		}
		at := s.plan.timeOf(e)
		if !s.plan.span.contains(at) || s.plan.Match != nil && !s.plan.Match(e) {
			continue
		}
		from := len(f.body)
		f.body = append(f.body, line...)
		f.docs = append(f.docs, foundDoc{at, from, len(f.body)})
	}
}

// waiting is a document whose turn has not come.
type waiting struct {
	time, order int64
	key         *Key
	body        []byte
}

// queue is a heap of documents, the next one first.
type queue struct {
	docs   []waiting
	newest bool
}

func (q *queue) Len() int      { return len(q.docs) }
func (q *queue) Swap(i, j int) { q.docs[i], q.docs[j] = q.docs[j], q.docs[i] }
func (q *queue) Push(x any)    { q.docs = append(q.docs, x.(waiting)) }

func (q *queue) Less(i, j int) bool {
	a, b := &q.docs[i], &q.docs[j]
	if a.time != b.time {
		return (a.time < b.time) != q.newest
	}
	return a.order < b.order
}

func (q *queue) Pop() any {
	last := len(q.docs) - 1
	x := q.docs[last]
	q.docs[last] = waiting{}
	q.docs = q.docs[:last]
	return x
}
