package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/rules"
)

// Bounds of what a hit carries, so that the hits of one record fit into one frame.
const (
	maxCarriedValues = 4
	maxCarriedBytes  = 256
	maxSampleBytes   = 8 << 10
	maxFrameBytes    = 300 << 10 // about, before compression: at the record that passes it a frame ends
	maxRecordBytes   = 700 << 10 // what comes after is left out; a broker takes 1 MB a request and partition by default
	maxKeyBytes      = 1 << 10   // a longer key value is told by its beginning and a hash
	keptKeyBytes     = 128
)

// Generation is everything that decides what an event becomes and which rules it meets: schema, datasets and rules that were
// compiled together. It is immutable; every loop makes its own workers of it.
type Generation struct {
	Schema        *event.Schema
	NewNormalizer func() *ingest.Normalizer
	Rules         *rules.Set
}

// Worker is the pure core of the match loop: records in, frames of hits out. It remembers nothing between batches and is not
// safe for concurrent use. Scans and rule tests run it too.
type Worker struct {
	normalizer *ingest.Normalizer
	matcher    *rules.Matcher
	event      *event.Event
	frames     [hit.Shards]hit.Frame
	sizes      [hit.Shards]int
	keep       arena
	doc        []byte
	counts     WorkerCounts
	told       []rules.RuleStats  // what countRules has added
	each       func(*event.Event) // match, so that no closure is made per record
}

// WorkerCounts is what one batch came to.
type WorkerCounts struct {
	Records, Events, DeadLetters, Hits int
	// Top is the greatest event time seen, but never later than the record that it came in: Unix milliseconds, or NoTime.
	Top int64
	// Cut is how many hits left their sample out, and Dropped how many were left out whole, because the hits of their record would
	// not have fit a frame.
	Cut, Dropped int
}

// NoTime is before every time.
const NoTime = int64(-1) << 62

// NewWorker makes a worker of a generation.
func NewWorker(g *Generation) *Worker {
	w := &Worker{normalizer: g.NewNormalizer(), matcher: g.Rules.NewMatcher(), event: event.New(g.Schema)}
	w.each = w.match
	return w
}

// Batch evaluates a batch and gives out the frames that it makes, none for a batch without hits. A frame is valid until out
// returns. The frames of a shard cover the batch in order, and the last of them reaches to the batch's end.
func (w *Worker) Batch(b *event.Batch, out func(shard int32, f *hit.Frame)) WorkerCounts {
	w.begin(b.Source, b.Partitions, b.First)
	for i := range b.Records {
		r := &b.Records[i]
		if _, dead := errors.AsType[*ingest.DeadLetter](w.normalizer.Normalize(r, w.event, w.each)); dead {
			w.counts.DeadLetters++
		}
		w.ended(r.Offset, out)
	}
	w.finish(b.Next, out)
	return w.counts
}

// countRules adds what became of each rule's events since the last call.
func (w *Worker) countRules(to *RuleStats) {
	now := w.matcher.Stats()
	to.since(w.told, now)
	w.told = now
}

// begin begins a batch at an offset.
func (w *Worker) begin(s event.Source, partitions int32, first int64) {
	w.keep.reset()
	w.counts = WorkerCounts{Top: NoTime}
	for shard := range w.frames {
		w.frames[shard] = hit.Frame{Kind: hit.Hits, Source: s, Partitions: partitions, First: first, Hits: w.frames[shard].Hits[:0]}
		w.sizes[shard] = 0
	}
}

// ended says that a record's events were all evaluated: a frame that has grown large may end here.
func (w *Worker) ended(offset int64, out func(shard int32, f *hit.Frame)) {
	w.counts.Records++
	for shard := range w.frames {
		if w.sizes[shard] > maxFrameBytes {
			w.cut(int32(shard), offset, out)
		}
	}
}

// finish ends a batch before an offset.
func (w *Worker) finish(next int64, out func(shard int32, f *hit.Frame)) {
	for shard := range w.frames {
		if f := &w.frames[shard]; len(f.Hits) > 0 {
			f.Last = next - 1
			out(int32(shard), f)
		}
	}
}

// cut gives a frame out that ends with a record, and begins the next one.
func (w *Worker) cut(shard int32, last int64, out func(shard int32, f *hit.Frame)) {
	f := &w.frames[shard]
	f.Last = last
	out(shard, f)
	f.First, f.Hits, w.sizes[shard] = last+1, f.Hits[:0], 0
}

func (w *Worker) match(e *event.Event) {
	w.counts.Events++
	w.counts.Top = max(w.counts.Top, min(e.Time, e.Received))
	if w.normalizer.ArchiveOnly(e) {
		return
	}
	for _, m := range w.matcher.Match(e) {
		w.hit(e, m)
	}
}

func (w *Worker) hit(e *event.Event, m rules.Match) {
	r := m.Rule
	h := hit.Hit{Rule: r.ID, Basis: r.Basis, Tenant: w.keep.text(m.Tenant), Key: w.keep.key(m.Key), Offset: e.ID.Offset, Index: e.ID.Index,
		RecordTime: e.ID.Time, Time: e.Time, Fields: w.fields(r)}
	shard := hit.ShardOf(h.Tenant, h.Rule, h.Key)
	if w.sizes[shard] > maxRecordBytes {
		w.counts.Dropped++
		return
	}
	if r.Count == nil {
		if w.sizes[shard] < maxFrameBytes {
			h.Sample = w.sample(e)
		} else {
			w.counts.Cut++
		}
	}
	w.frames[shard].Hits = append(w.frames[shard].Hits, h)
	w.sizes[shard] += 64 + len(h.Key) + len(h.Sample) + 32*len(h.Fields)
	w.counts.Hits++
}

// fields copies what the rule's texts need. Values beyond the bounds are left out: the texts print three.
func (w *Worker) fields(r *rules.Rule) []hit.Field {
	if len(r.Carry) == 0 {
		return nil
	}
	out := w.keep.fields(len(r.Carry))
	for i, name := range r.Carry {
		f := hit.Field{Name: name}
		for _, v := range w.matcher.Carried(r, i) {
			if len(f.Values) == maxCarriedValues {
				break
			}
			f.Values = append(f.Values, w.keep.text(clip(v, maxCarriedBytes)))
		}
		out = append(out, f)
	}
	return out
}

func (w *Worker) sample(e *event.Event) []byte {
	w.doc = e.AppendDocument(w.doc[:0])
	if len(w.doc) > maxSampleBytes {
		return nil
	}
	return []byte(w.keep.text(event.View(w.doc)))
}

// clip cuts text at a limit, never inside a rune.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// arena keeps texts for the length of a batch: events are reused from record to record.
type arena struct {
	buf    []byte
	slots  []hit.Field
	joined []byte
}

func (a *arena) reset() { a.buf, a.slots = a.buf[:0], a.slots[:0] }

func (a *arena) text(s string) string {
	if s == "" {
		return ""
	}
	if cap(a.buf)-len(a.buf) < len(s) {
		a.buf = make([]byte, 0, max(64<<10, 2*len(s))) // texts in the old one stay valid
	}
	start := len(a.buf)
	a.buf = append(a.buf, s...)
	return event.View(a.buf[start:])
}

// key joins a key's values. A value that is too long is told by its beginning and its hash, so that different ones stay apart.
func (a *arena) key(values []string) string {
	for i, v := range values {
		if len(v) > maxKeyBytes {
			sum := sha256.Sum256([]byte(v))
			values[i] = clip(v, keptKeyBytes) + "… sha256:" + hex.EncodeToString(sum[:])
		}
	}
	a.joined = hit.AppendKey(a.joined[:0], values)
	return a.text(event.View(a.joined))
}

func (a *arena) fields(n int) []hit.Field {
	if cap(a.slots)-len(a.slots) < n {
		a.slots = make([]hit.Field, 0, max(256, n))
	}
	start := len(a.slots)
	a.slots = a.slots[:start+n]
	return a.slots[start : start : start+n]
}
