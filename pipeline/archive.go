package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"go.uber.org/zap"
)

// ArchiveSink stores documents. It is used by one goroutine.
type ArchiveSink interface {
	// Add takes a document; what it keeps of it, it copies.
	Add(*event.Document)
	// Size is how much was added and not flushed.
	Size() (documents, bytes int)
	// Flush returns when everything that was added is durable or rejected for ever. An error means that ctx ended before: then
	// everything is still there to be flushed again.
	Flush(ctx context.Context) ([]event.Rejection, error)
}

// MessageSender writes to a topic and returns when everything is acknowledged.
type MessageSender interface {
	Send(ctx context.Context, topic string, msgs []kafka.Message) error
}

// ArchiveStats counts what an archive loop did. Records = archived + dead-lettered + dropped, by record.
type ArchiveStats struct {
	Records, Archived, DeadLettered, Dropped, Documents, Bytes, Flushes, Rejected, Commits, CommitFailures Counter
	Skipped                                                                                                Counter // records that were gone from the log before they were read
	CutDeadLetters                                                                                         Counter // dead letters that had to be cut to fit their topic
	Lag                                                                                                    TopicGauge
	HeldBytes, Partitions, LastFlush                                                                       Gauge // LastFlush: Unix milliseconds
	FlushTime                                                                                              Latency
	// OldestUncommitted is the time of the oldest record that was read and not committed: Unix milliseconds, 0 for none.
	OldestUncommitted Gauge
	// Reasons is dead letters by reason; OtherReason stands for all that is not named.
	Reasons map[string]*Counter
}

// OtherReason counts the dead letters of reasons that have no counter of their own.
const OtherReason = "other"

// NewArchiveStats makes the statistics of one archive loop.
func NewArchiveStats() *ArchiveStats {
	s := &ArchiveStats{Reasons: map[string]*Counter{}}
	for _, r := range append(ingest.Reasons(), "mapping", "rejected", OtherReason) {
		s.Reasons[r] = &Counter{}
	}
	return s
}

func (s *ArchiveStats) reason(r string) {
	c := s.Reasons[r]
	if c == nil {
		c = s.Reasons[OtherReason]
	}
	if c != nil {
		c.Add(1)
	}
}

// Archive is an archive loop: by source partition, everything goes to one sink, and what can be neither decoded nor stored to
// the dead letters. Only then are offsets committed. The sink being down holds this loop and no other.
type Archive struct {
	Generation  func() *Generation          // the current one; asked at every flush
	NewSink     func() (ArchiveSink, error) // one for each claim
	Sender      MessageSender
	DeadLetters string // topic
	// Undecodable says that this loop writes the dead letters of records that cannot be decoded. Where several archives are on,
	// one of them does.
	Undecodable bool
	Clock       Clock
	Log         *zap.Logger
	Stats       *ArchiveStats

	Every        time.Duration // flush at least this often
	MaxDocuments int           // flush when so many documents wait
	MaxBytes     int           // flush when so many bytes wait
	MaxHeld      int           // flush when the batches held are so many bytes: below the claim's budget, or fetching stops
	Drain        time.Duration // how long the last flush may take after the partitions are lost
}

type archiving struct {
	*Archive
	claim      Claim
	sink       ArchiveSink
	of         *Generation
	normalizer *ingest.Normalizer
	event      *event.Event
	body       []byte
	document   event.Document // what the sink is given, so that none is made per event
	held       []*event.Batch // not flushed yet; their memory is needed for dead letters
	heldBytes  int
	dead       []kafka.Message
	rejected   []event.Rejection // by the last flush, whose dead letters are not written yet
	due        time.Time
	oldest     int64 // record time of the oldest record that is not committed
	lag        map[event.Source]int64
	durable    event.Offsets // of what was flushed and is not committed yet
	documents  int           // of the record under way
	each       func(*event.Event)
	tally      tally
}

// tally is what the batches held came to; it is counted when they are durable.
type tally struct{ records, archived, dead, dropped, documents, bytes int }

// Run archives what the claim gives until ctx ends.
func (a *Archive) Run(ctx context.Context, claim Claim) error {
	sink, err := a.NewSink()
	if err != nil {
		return fmt.Errorf("cannot open the archive: %w", err)
	}
	g := &archiving{Archive: a, claim: claim, sink: sink, lag: map[event.Source]int64{}, durable: event.Offsets{}}
	g.each = g.add
	defer g.release()
	a.Stats.Partitions.Store(int64(len(claim.Owned())))
	defer func() {
		a.Stats.Lag.Store(nil)
		a.Stats.Partitions.Store(0)
		a.Stats.OldestUncommitted.Store(0)
	}()
	g.due = g.Clock().Add(g.Every)
	for ctx.Err() == nil {
		fetchCtx, cancel := context.WithDeadline(ctx, g.due)
		b, err := claim.Fetch(fetchCtx)
		cancel()
		if err == nil {
			g.batch(b)
		}
		if documents, bytes := g.sink.Size(); documents >= g.MaxDocuments || bytes >= g.MaxBytes || g.heldBytes >= g.MaxHeld || !g.Clock().Before(g.due) {
			if err := g.flush(ctx); err != nil {
				break
			}
		}
	}
	last, done := afterwards(ctx, a.Drain)
	defer done()
	return g.flush(last)
}

func (g *archiving) release() {
	for _, b := range g.held {
		b.Release()
	}
	g.held, g.heldBytes = g.held[:0], 0
	g.Stats.HeldBytes.Store(0)
}

func (g *archiving) batch(b *event.Batch) {
	g.lag[b.Source] = max(0, b.End-b.Next)
	if b.Skipped > 0 {
		g.Stats.Skipped.Add(int(b.Skipped))
		g.Log.Error("records are gone from the log before they were archived", zap.String("topic", b.Source.Topic), zap.Int32("partition", b.Source.Partition), zap.Int64("records", b.Skipped))
	}
	if b.Next == b.First {
		b.Release()
		return
	}
	if now := g.Generation(); now != g.of {
		g.of, g.normalizer, g.event = now, now.NewNormalizer(), event.New(now.Schema)
	}
	for i := range b.Records {
		g.record(&b.Records[i])
	}
	g.held = append(g.held, b)
	g.heldBytes += b.Bytes
	g.Stats.HeldBytes.Store(int64(g.heldBytes))
	g.oldest = oldest(g.oldest, b.Records)
	g.Stats.OldestUncommitted.Store(g.oldest)
}

func (g *archiving) record(r *event.Record) {
	g.tally.records++
	g.documents = 0
	dead, undecodable := errors.AsType[*ingest.DeadLetter](g.normalizer.Normalize(r, g.event, g.each))
	switch {
	case undecodable:
		g.tally.dead++
		if g.Undecodable {
			g.dead = append(g.dead, deadLetter(r, "decode", dead.Reason, dead.Detail, dead.Offset))
		}
	case g.documents == 0:
		g.tally.dropped++
	default:
		g.tally.archived++
	}
}

func (g *archiving) add(e *event.Event) {
	g.body = e.AppendDocument(g.body[:0])
	g.documents++
	g.tally.documents++
	g.tally.bytes += len(g.body)
	g.document = event.Document{ID: e.ID, Dataset: e.Dataset, Tenant: e.Tenant, Received: e.Received, Time: e.Time, Body: g.body}
	g.sink.Add(&g.document)
}

// flush makes everything held durable, and then commits it.
func (g *archiving) flush(ctx context.Context) error {
	began := g.Clock()
	rejected, err := g.sink.Flush(ctx)
	if err != nil {
		return fmt.Errorf("the archive did not take everything in time; it is repeated: %w", err)
	}
	g.rejected = append(g.rejected, rejected...)
	letters, lost := g.letters()
	if err := g.bury(ctx, letters); err != nil {
		return fmt.Errorf("cannot write dead letters: %w", err)
	}
	g.count(letters, lost, len(g.rejected), began)
	for _, b := range g.held {
		g.durable[b.Source] = max(g.durable[b.Source], b.Next)
	}
	g.release()
	clear(g.dead)
	g.dead, g.rejected, g.due = g.dead[:0], nil, g.Clock().Add(g.Every)
	g.commit(ctx)
	return nil
}

// commit commits what is durable. What cannot be committed is tried again with the next flush, also when no record follows.
func (g *archiving) commit(ctx context.Context) {
	if len(g.durable) == 0 {
		return
	}
	if err := g.claim.Commit(ctx, g.durable); err != nil {
		g.Stats.CommitFailures.Add(1)
		if ctx.Err() == nil {
			g.Log.Warn("cannot commit offsets of the archive loop; what lies behind them is repeated after a restart, and the archive knows it", zap.Error(err))
		}
		return
	}
	g.durable = event.Offsets{} // another one: the claim may keep what it was given
	g.oldest = 0
	g.Stats.OldestUncommitted.Store(0)
	g.Stats.Commits.Add(1)
}

// count counts what was flushed; lost is how many records had a document rejected.
func (g *archiving) count(letters []kafka.Message, lost, rejected int, began time.Time) {
	s, t := g.Stats, g.tally
	for i := range letters {
		s.reason(headerText(&letters[i], headerReason))
	}
	s.Records.Add(t.records)
	s.Archived.Add(t.archived - lost)
	s.DeadLettered.Add(t.dead + lost)
	s.Dropped.Add(t.dropped)
	s.Documents.Add(t.documents - rejected)
	s.Bytes.Add(t.bytes)
	s.Rejected.Add(rejected)
	s.Flushes.Add(1)
	s.LastFlush.Store(g.Clock().UnixMilli())
	s.FlushTime.Observe(g.Clock().Sub(began))
	lag := map[string]int64{}
	for source, n := range g.lag {
		lag[source.Topic] += n
	}
	s.Lag.Store(lag)
	g.tally = tally{}
}

// letters is the dead letters of what is held: those of records that could not be decoded, and one for each record that has a
// document which the archive will never take; lost is how many of the latter there are.
func (g *archiving) letters() (letters []kafka.Message, lost int) {
	letters = g.dead[:len(g.dead):len(g.dead)]
	seen := map[event.ID]bool{}
	for _, r := range g.rejected {
		whole := r.ID
		whole.Index = 0
		if seen[whole] {
			continue
		}
		seen[whole] = true
		held := g.find(r.ID)
		if held == nil {
			g.Log.Error("the archive rejected a document whose record is not held", zap.Stringer("id", r.ID), zap.String("reason", r.Reason), zap.String("detail", r.Detail))
			continue
		}
		letters = append(letters, deadLetter(held, "archive", r.Reason, r.Detail, -1))
		lost++
	}
	return letters, lost
}

// cutLetters is to how many bytes a dead letter's value is cut that its topic refuses whole: first so many, then none.
var cutLetters = [...]int{256 << 10, 0}

// bury writes dead letters. One that its topic refuses, for its size most likely, is cut: where it came from and why must not be
// lost with it, and it must not hold up the rest. An error means that ctx ended.
func (g *archiving) bury(ctx context.Context, letters []kafka.Message) error {
	for _, limit := range cutLetters {
		if len(letters) == 0 {
			return nil
		}
		err := g.Sender.Send(ctx, g.DeadLetters, letters)
		var refused *kafka.RejectedError
		if !errors.As(err, &refused) {
			return err
		}
		g.Log.Error("the topic of dead letters refused some, and they are cut", zap.String("topic", g.DeadLetters), zap.Int("letters", len(refused.Messages)), zap.Error(err))
		g.Stats.CutDeadLetters.Add(len(refused.Messages))
		cut := make([]kafka.Message, len(refused.Messages))
		for i, n := range refused.Messages {
			cut[i] = cutLetter(letters[n], limit)
		}
		letters = cut
	}
	err := g.Sender.Send(ctx, g.DeadLetters, letters)
	var refused *kafka.RejectedError
	if errors.As(err, &refused) {
		g.Log.Error("the topic of dead letters refuses even what has no value; the records are in their own topic only", zap.String("topic", g.DeadLetters), zap.Error(err))
		return nil
	}
	return err
}

// cutLetter keeps klaxon's own headers and the value's beginning, and says how long the value was.
func cutLetter(m kafka.Message, limit int) kafka.Message {
	out := kafka.Message{Key: m.Key, Value: m.Value[:min(limit, len(m.Value))], Time: m.Time}
	for _, h := range m.Headers {
		if strings.HasPrefix(h.Key, headerPrefix) && len(h.Value) <= maxHeader {
			out.Headers = append(out.Headers, h)
		}
	}
	if headerText(&m, headerCut) == "" {
		out.Headers = append(out.Headers, event.Header{Key: headerCut, Value: strconv.AppendInt(nil, int64(len(m.Value)), 10)})
	}
	return out
}

// Headers of dead letters.
const (
	headerPrefix = "klaxon-"
	headerReason = "klaxon-reason"
	headerCut    = "klaxon-cut-from" // the value's length in bytes, where it was cut
	maxHeader    = 2 << 10
)

func headerText(m *kafka.Message, key string) string {
	for _, h := range m.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func (g *archiving) find(id event.ID) *event.Record {
	for _, b := range g.held {
		if b.Source.Topic != id.Topic || b.Source.Partition != id.Partition || id.Offset < b.First || id.Offset >= b.Next {
			continue
		}
		for i := range b.Records {
			if b.Records[i].Offset == id.Offset {
				return &b.Records[i]
			}
		}
	}
	return nil
}

// deadLetter is the message for a record that could not be decoded or stored: its bytes as they came, where they came from and
// why. Its key is the record's position, so that a repetition can be recognised.
func deadLetter(r *event.Record, stage, reason, detail string, offset int) kafka.Message {
	id := event.ID{Topic: r.Source.Topic, Partition: r.Source.Partition, Offset: r.Offset, Time: r.Time}
	text := func(key, value string) event.Header { return event.Header{Key: key, Value: []byte(value)} }
	headers := []event.Header{
		text("klaxon-id", id.String()), text("klaxon-stage", stage), text(headerReason, reason), text("klaxon-detail", detail),
		text("klaxon-topic", r.Source.Topic), text("klaxon-partition", strconv.Itoa(int(r.Source.Partition))),
		text("klaxon-offset", strconv.FormatInt(r.Offset, 10)), text("klaxon-time", string(event.AppendTime(nil, r.Time))),
	}
	if offset >= 0 {
		headers = append(headers, text("klaxon-byte", strconv.Itoa(offset)))
	}
	for _, h := range r.Headers {
		headers = append(headers, event.Header{Key: h.Key, Value: append([]byte(nil), h.Value...)})
	}
	return kafka.Message{Key: []byte(id.String()), Value: append([]byte(nil), r.Value...), Headers: headers, Time: r.Time}
}
