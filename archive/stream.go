package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/klaxonhq/klaxon/event"
)

// Writer writes segments. It is safe for concurrent use; each of its streams belongs to one goroutine at a time.
type Writer struct {
	bucket Bucket
	codec  *codec
	idle   sync.Pool // of *summary
}

// NewWriter makes a writer that compresses with at most so many goroutines at a time.
func NewWriter(b Bucket, concurrency int) (*Writer, error) {
	c, err := newCodec(max(1, concurrency))
	if err != nil {
		return nil, err
	}
	return &Writer{bucket: b, codec: c}, nil
}

func (w *Writer) summary() (*summary, error) {
	if s, ok := w.idle.Get().(*summary); ok {
		return s, nil
	}
	return newSummary()
}

// Document is a document for a segment. Body is one line of JSON without its end; nobody writes to it before Put returns.
type Document struct {
	ID   event.ID
	Time int64 // event time, Unix milliseconds, where the document's @timestamp says none
	Body []byte
}

// Stream is the segments of one key. It remembers which of them were there when it first looked.
type Stream struct {
	writer   *Writer
	key      Key
	known    bool
	segments []stored
}

// stored is a segment that was there.
type stored struct {
	name      string // without the suffix
	first     int64  // offset
	read      bool
	last      position   // of what was read
	positions []position // sorted; nil until read, once a stream has passed them, and where they cannot be read
}

func (t *stored) set(positions []position) {
	t.read, t.positions, t.last = true, positions, position{offset: -1}
	if len(positions) > 0 {
		t.last = positions[len(positions)-1]
	}
}

// Stream is the stream of a key. The key's texts must be the stream's to keep.
func (w *Writer) Stream(k Key) *Stream { return &Stream{writer: w, key: k} }

// Put stores the documents that are not stored yet, and returns when they are durable. They are stored in the order of their positions; a
// document that is given twice is stored once. written says how many were stored. After an error, what was stored by then is, and Put may
// be called again with the same documents.
func (s *Stream) Put(ctx context.Context, docs []Document) (written int, err error) {
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b Document) int { return positionOf(a.ID).compare(positionOf(b.ID)) })
	docs = slices.CompactFunc(docs, func(a, b Document) bool { return positionOf(a.ID) == positionOf(b.ID) })
	for range maxTries {
		if docs, err = s.missing(ctx, docs); err != nil || len(docs) == 0 {
			return written, err
		}
		n := segmentLength(docs)
		err := s.putSegment(ctx, docs[:n])
		switch {
		case errors.Is(err, fs.ErrExist):
			s.known = false // somebody else was here: look again
		case err != nil:
			return written, err
		default:
			written += n
			docs = docs[n:]
		}
	}
	return written, fmt.Errorf("%s/%s…: others keep taking the names of segments: %w", s.key.folder(), s.key.prefix(), fs.ErrExist)
}

// maxTries bounds the segments of one Put and the conflicts on the way.
const maxTries = 10_000

// segmentLength is how many documents the next segment takes.
func segmentLength(docs []Document) int {
	bytes := 0
	for i := range docs {
		if bytes += len(docs[i].Body) + 1; bytes > maxSegmentBytes && i > 0 {
			return i
		}
	}
	return len(docs)
}

// putSegment writes one segment and its index. The segment is what counts: an index that a crash left out is made anew.
func (s *Stream) putSegment(ctx context.Context, docs []Document) error {
	sum, err := s.writer.summary()
	if err != nil {
		return err
	}
	defer s.writer.idle.Put(sum)
	b := newBuilder(s.writer.codec, sum, s.key)
	for i := range docs {
		b.add(positionOf(docs[i].ID), docs[i].Time, docs[i].Body)
	}
	data, index := b.finish()
	name, err := s.freeName(positionOf(docs[0].ID))
	if err != nil {
		return err
	}
	if err := s.writer.bucket.PutIfAbsent(ctx, name+dataSuffix, data); err != nil {
		return err
	}
	s.segments = append(s.segments, stored{name: name, first: docs[0].ID.Offset})
	s.segments[len(s.segments)-1].set(index.positions)
	return s.putIndex(ctx, name, index)
}

func (s *Stream) putIndex(ctx context.Context, name string, x *Index) error {
	err := s.writer.bucket.PutIfAbsent(ctx, name+indexSuffix, x.encode(s.writer.codec.enc))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// maxIncarnations bounds how many segments may begin with the same position: more than one only if others are damaged.
const maxIncarnations = 64

// freeName is the first name for a position that no known segment has. Those that have the earlier names were asked before, and do not
// hold the document. Some file systems do not tell letters' case apart.
func (s *Stream) freeName(first position) (string, error) {
	for n := range maxIncarnations {
		name := s.key.base(first, n)
		if !slices.ContainsFunc(s.segments, func(t stored) bool { return strings.EqualFold(t.name, name) }) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%d segments called %s are damaged: move them away", maxIncarnations, s.key.base(first, 0))
}

// missing answers the documents that no stored segment holds; it reuses docs.
func (s *Stream) missing(ctx context.Context, docs []Document) ([]Document, error) {
	if !s.known {
		if err := s.look(ctx); err != nil {
			return docs, err
		}
	}
	for i := range s.segments {
		t := &s.segments[i]
		if len(docs) == 0 {
			break
		}
		if t.first > docs[len(docs)-1].ID.Offset || t.read && t.last.compare(positionOf(docs[0].ID)) < 0 {
			continue
		}
		if t.positions == nil {
			if err := s.readPositions(ctx, t); err != nil {
				return docs, err
			}
		}
		docs = subtract(docs, t.positions)
	}
	s.forget(docs)
	return docs, nil
}

// subtract removes the documents at the positions, which are sorted.
func subtract(docs []Document, positions []position) []Document {
	return slices.DeleteFunc(docs, func(d Document) bool {
		_, found := slices.BinarySearchFunc(positions, positionOf(d.ID), position.compare)
		return found
	})
}

// forget drops the positions of segments that the stream has passed. Should it go back all the same, they are read again.
func (s *Stream) forget(docs []Document) {
	for i := range s.segments {
		if t := &s.segments[i]; len(docs) == 0 || t.read && t.last.compare(positionOf(docs[0].ID)) < 0 {
			t.positions = nil
		}
	}
}

// look lists the segments that are there.
func (s *Stream) look(ctx context.Context) error {
	folder, prefix := s.key.folder(), s.key.prefix()
	entries, err := s.writer.bucket.List(ctx, folder)
	if err != nil {
		return err
	}
	s.segments = s.segments[:0]
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name, dataSuffix)
		first, fits := firstOffset(e.Name, prefix)
		if ok && fits && !e.Folder {
			s.segments = append(s.segments, stored{name: folder + "/" + base, first: first})
		}
	}
	slices.SortFunc(s.segments, func(a, b stored) int {
		return cmp.Or(cmp.Compare(a.first, b.first), strings.Compare(a.name, b.name))
	})
	s.known = true
	return nil
}

// readPositions reads which documents a segment holds, out of its index, and out of the segment itself if that is lost. What of a
// segment is damaged holds nothing: its documents are stored once more, since a document twice is better than none.
func (s *Stream) readPositions(ctx context.Context, t *stored) error {
	x, err := getIndex(ctx, s.writer.bucket, s.writer.codec.dec, t.name)
	if err == nil && len(x.positions) > 0 && slices.IsSortedFunc(x.positions, position.compare) {
		t.set(x.positions)
		return nil
	}
	lost := errors.Is(err, fs.ErrNotExist)
	if err != nil && !lost && !errors.Is(err, ErrDamaged) {
		return err
	}
	data, err := s.writer.bucket.Get(ctx, t.name+dataSuffix, 0, -1)
	if err != nil {
		return err
	}
	sum, err := s.writer.summary()
	if err != nil {
		return err
	}
	defer s.writer.idle.Put(sum)
	x, err = scan(s.writer.codec, sum, s.key, data)
	slices.SortFunc(x.positions, position.compare)
	t.set(x.positions)
	if lost && err == nil && len(x.positions) > 0 {
		return s.putIndex(ctx, t.name, x)
	}
	return nil
}

func getIndex(ctx context.Context, b Bucket, dec *zstd.Decoder, base string) (*Index, error) {
	data, err := b.Get(ctx, base+indexSuffix, 0, -1)
	if err != nil {
		return nil, err
	}
	return decodeIndex(data, dec)
}
