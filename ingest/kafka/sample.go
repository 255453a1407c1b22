package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/klaxonhq/klaxon/event"
)

const (
	sampleTries   = 3
	sampleRounds  = 100 // requests to one leader that a sample may cost
	sampleWait    = 100 * time.Millisecond
	sampleWidens  = 3        // times that the look goes further back, by a factor of
	sampleWiden   = 16       // where records were taken out of the log
	sampleAtLeast = 64 << 10 // bytes of one fetch
	rateWindow    = time.Hour
)

// SampleLimits bounds a sample, over all partitions.
type SampleLimits struct {
	Records int
	Bytes   int // of records' keys, values and headers
}

// Sample is the newest records of a topic, and what the brokers say of its log.
type Sample struct {
	Records  []event.Record // sorted by partition and offset; their memory is the caller's
	Retained int64          // offsets that the log spans, about as many records
	Ever     bool           // there were records once, even where none is left
	Removed  int64          // offsets among those looked at whose records are gone: the topic is compacted
	TooLarge int            // records that were left out because one alone exceeds the limits
	Rate     float64        // records a second in the hour before the newest one, about; 0: unknown
}

// Sample reads about the newest records of a topic, spread over its partitions. It joins no group, commits nothing and sends nothing
// that changes anything. Where it fails in part, what was read is returned beside the error. A topic that is gone gives
// [ErrUnknownTopic].
func (c *Client) Sample(ctx context.Context, topic string, limits SampleLimits) (Sample, error) {
	var out Sample
	var err error
	for try := range sampleTries {
		if try > 0 && pause(ctx, metadataPause<<try) != nil {
			break
		}
		out, err = c.sampleOnce(ctx, topic, limits)
		if err == nil || len(out.Records) > 0 || !retryable(err) || errors.Is(err, ErrUnknownTopic) {
			break
		}
	}
	return out, c.explained("sample topic "+topic, err)
}

func (c *Client) sampleOnce(ctx context.Context, topic string, limits SampleLimits) (Sample, error) {
	metaCtx, cancel := call(ctx)
	t, err := c.topic(metaCtx, topic)
	cancel()
	if err != nil {
		return Sample{}, err
	}
	s := sampler{client: c, topic: &t, limits: limits, held: newAccount(int64(limits.Bytes))}
	s.bounds(ctx)
	s.share()
	for round := 0; round < sampleRounds && s.fetch(ctx); round++ {
	}
	s.rate(ctx)
	s.collect()
	return s.out, s.err
}

// sampler is one sample under way.
type sampler struct {
	client *Client
	topic  *topicMeta
	limits SampleLimits
	held   *account
	kept   int        // bytes of records
	parts  []*sampled // those with records in their log
	out    Sample
	err    error // the first
}

// sampled is a partition of which records are read.
type sampled struct {
	partition
	log     bounds
	from    int64 // where the look at its log begins
	want    int   // records
	budget  int   // bytes
	read    int   // bytes, of everything that was looked at
	widened int
	stalled bool // the last response brought nothing
	done    bool
	records []event.Record
	sizes   []int // of records
	kept    int   // the sum of sizes
	removed int64
	large   int // records that alone exceed the budget
}

func (s *sampler) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// byLeader groups partitions by who serves them.
func byLeader(parts []*sampled) map[int32][]*sampled {
	out := map[int32][]*sampled{}
	for _, p := range parts {
		if !p.done {
			out[p.leader] = append(out[p.leader], p)
		}
	}
	return out
}

func keysOf(parts []*sampled) []partitionKey {
	out := make([]partitionKey, len(parts))
	for i, p := range parts {
		out[i] = p.key()
	}
	return out
}

// bounds asks where the partitions' logs begin and end, and leaves out those that hold nothing.
func (s *sampler) bounds(ctx context.Context) {
	var all []*sampled
	for i, l := range s.topic.leaders {
		if l.broker < 0 {
			s.fail(kafkago.LeaderNotAvailable)
			continue
		}
		src := event.Source{Topic: s.topic.name, TopicID: s.topic.id, Partition: int32(i)}
		all = append(all, &sampled{partition: partition{src: src, count: int32(len(s.topic.leaders)), leader: l.broker, epoch: l.epoch}})
	}
	for broker, parts := range byLeader(all) {
		found, err := s.client.bounds(ctx, broker, keysOf(parts))
		if err != nil {
			s.fail(fmt.Errorf("broker %d: %w", broker, err))
			continue
		}
		for _, p := range parts {
			s.bound(p, found[p.key()])
		}
	}
	slices.SortFunc(s.parts, func(a, b *sampled) int { return int(a.src.Partition - b.src.Partition) })
}

func (s *sampler) bound(p *sampled, b bounds) {
	if b.code != noError {
		s.fail(codeError(p.src.Topic, b.code))
		return
	}
	p.log = b
	s.out.Retained += b.end - b.first
	s.out.Ever = s.out.Ever || b.end > 0
	if b.end > b.first {
		s.parts = append(s.parts, p)
	}
}

// codeError is a broker's error about a topic.
func codeError(topic string, code int16) error {
	t := topicMeta{name: topic, code: code}
	return t.err()
}

// share gives each partition its part of the limits. Where there are more partitions than records, some are not read.
func (s *sampler) share() {
	limits, n := s.limits, max(min(len(s.parts), s.limits.Records), 1)
	for i, p := range s.parts {
		p.done = i >= n
		p.want = max(limits.Records/n, 1)
		if i < limits.Records%n {
			p.want++
		}
		p.budget = max(limits.Bytes/n, 1)
		p.maxBytes = int32(min(max(p.budget, sampleAtLeast), partitionBytes))
		s.start(p, p.log.end-int64(p.want))
	}
}

// start makes reading of a partition begin at an offset, or where the log does.
func (s *sampler) start(p *sampled, at int64) {
	s.kept -= p.kept
	p.from = max(p.log.first, at)
	p.next, p.records, p.sizes, p.kept, p.removed, p.large = p.from, nil, nil, 0, 0, 0
}

// fetch sends a request to every leader that has more to give, and answers whether any had.
func (s *sampler) fetch(ctx context.Context) bool {
	leaders := byLeader(s.parts)
	for broker, parts := range leaders {
		s.fetchFrom(ctx, broker, parts)
	}
	return len(leaders) > 0
}

// fetchFrom asks one leader for as many partitions as one response has room for; the others wait until these are done.
func (s *sampler) fetchFrom(ctx context.Context, broker int32, parts []*sampled) {
	old, room := parts[0].old, responseBytes
	var asks []ask
	var asked []*sampled
	for _, p := range parts {
		if room -= int(p.maxBytes); p.old != old || room < 0 && len(asks) > 0 {
			continue
		}
		asks = append(asks, ask{&p.partition, wanted{p.src.Topic, p.src.Partition, p.epoch, p.next, p.maxBytes}})
		asked = append(asked, p)
	}
	o := s.client.fetch(ctx, slot{broker, old}, asks, sampleWait, s.held)
	defer o.release()
	for _, p := range asked {
		i := slices.IndexFunc(o.answers, func(a answer) bool { return a.part == &p.partition })
		switch {
		case o.err != nil:
			p.done = true
			s.fail(fmt.Errorf("broker %d: %w", broker, o.err))
		case i < 0: // the response does not speak of it
			p.done = true
			s.fail(errMalformedResponse)
		default:
			s.apply(p, &o.answers[i])
		}
	}
}

// apply takes over what a fetch brought of one partition.
func (s *sampler) apply(p *sampled, a *answer) {
	switch {
	case a.code == noError:
	case kafkago.Error(a.code) == kafkago.OffsetOutOfRange: // removed by retention meanwhile
		p.done = true
		return
	default:
		p.done = true
		s.fail(codeError(p.src.Topic, a.code))
		return
	}
	for _, ch := range a.chunks {
		p.read += ch.batch.Bytes
		for i := range ch.batch.Records {
			s.keep(p, &ch.batch.Records[i])
		}
	}
	p.removed += a.removed
	stalled := p.stalled
	p.stalled = a.next == p.next
	p.next = a.next
	switch {
	case errors.Is(a.err, errOldFormat) && !p.old:
		p.old = true
	case a.err != nil && a.behind > p.next:
		p.next = a.behind
	case a.err != nil:
		p.done = true
		s.fail(a.err)
	case p.read > 4*p.budget+partitionBytes:
		p.done = true
	case a.incomplete:
		p.maxBytes = min(2*p.maxBytes, mostPartition)
	case p.next >= p.log.end || p.stalled && stalled: // once, others may have filled the response; twice, an open transaction holds the rest back
		s.reached(p)
	}
}

// reached ends a look at the log, or begins one from further back where too few records were found.
func (s *sampler) reached(p *sampled) {
	if len(p.records) >= p.want || p.from <= p.log.first || p.widened >= sampleWidens {
		p.done = true
		return
	}
	p.widened++
	s.start(p, p.from-(p.log.end-p.from)*sampleWiden)
}

// keep copies a record, and gives up older ones of its partition that there is no room for. One record may be larger than its
// partition's part, as long as all of them are within the limits.
func (s *sampler) keep(p *sampled, r *event.Record) {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if s.kept-p.kept+size > s.limits.Bytes {
		p.large++
		return
	}
	for len(p.records) > 0 && (len(p.records) == p.want || p.kept+size > p.budget) {
		p.kept, s.kept = p.kept-p.sizes[0], s.kept-p.sizes[0]
		p.records, p.sizes = p.records[1:], p.sizes[1:]
	}
	p.records, p.sizes = append(p.records, cloneRecord(r)), append(p.sizes, size)
	p.kept, s.kept = p.kept+size, s.kept+size
}

// cloneRecord copies a record with all its memory.
func cloneRecord(r *event.Record) event.Record {
	out := *r
	out.Key, out.Value, out.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
	for i := range out.Headers {
		out.Headers[i].Value = bytes.Clone(out.Headers[i].Value)
	}
	return out
}

func (s *sampler) collect() {
	for _, p := range s.parts {
		s.out.Records = append(s.out.Records, p.records...)
		s.out.Removed += p.removed
		s.out.TooLarge += p.large
	}
}

// rate asks how many records came in the hour before the newest. It is a bonus: where it fails, nothing is known.
func (s *sampler) rate(ctx context.Context) {
	newest := int64(-1)
	for _, p := range s.parts {
		for i := range p.records {
			newest = max(newest, p.records[i].Time)
		}
		p.done = false
	}
	if newest < 0 {
		return
	}
	count, oldest := int64(0), newest
	for broker, parts := range byLeader(s.parts) {
		resp, err := s.client.listOffsets(ctx, broker, keysOf(parts), max(newest-rateWindow.Milliseconds(), 0))
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, r := range t.Partitions {
				i := slices.IndexFunc(parts, func(p *sampled) bool { return p.src.Partition == r.Partition })
				if i < 0 || r.ErrorCode != noError || r.Offset < 0 {
					continue // no record is so new
				}
				count += parts[i].log.end - r.Offset
				oldest = min(oldest, r.Timestamp)
			}
		}
	}
	if span := newest - oldest; span > 0 {
		s.out.Rate = float64(count-1) * 1000 / float64(span)
	}
}
