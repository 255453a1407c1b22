package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	responseBytes  = 8 << 20           // of one response, unless a single batch is larger
	partitionBytes = 1<<20 + 100<<10   // at least what a broker accepts as one batch by default
	mostPartition  = 128 << 20         // as far as partitionBytes grows
	fetchGrace     = 3 * time.Second   // for a response, on top of the time that the broker may wait
	decodedBytes   = 4 * responseBytes // of one response; what would be more is fetched again
	farEnough      = decodedBytes / 4  // of one partition of one response
	fetchByKafkaGo = "kafka-go's own Fetch"
)

// ask is one partition of a request under way. The request's goroutine only reads it.
type ask struct {
	*partition
	wanted
}

// answer is what a request brought of one partition.
type answer struct {
	part       *partition
	code       int16
	high       int64
	next       int64 // first offset that was not looked at
	removed    int64 // see cursor
	chunks     []*chunk
	incomplete bool  // there is more, but not one whole batch of it was sent
	err        error // a *BatchError at next, after the chunks
	behind     int64 // first offset behind the batch that cannot be read
}

// outcome is what a request brought.
type outcome struct {
	slot    slot
	asks    []ask
	asked   time.Time
	answers []answer
	err     error
}

// fetch sends one request to one leader and decodes what comes. It runs on a goroutine of its own.
func (c *Client) fetch(ctx context.Context, s slot, asks []ask, maxWait time.Duration, held *account) outcome {
	out := outcome{slot: s, asks: asks, asked: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, maxWait+fetchGrace)
	defer cancel()
	api, err := c.versions(ctx)
	switch {
	case err != nil:
		out.err = err
	case api.fetchMin > fetchVersion:
		out.err = fmt.Errorf("the broker accepts Fetch from version %d on, %d is known here: %w", api.fetchMin, fetchVersion, kafkago.UnsupportedVersion)
	case c.cfg.OldFetch || s.old || api.fetchMax < fetchVersion:
		out.answers, out.err = c.fetchOld(ctx, s.broker, asks, maxWait, held)
	default:
		out.answers, out.err = c.fetchRaw(ctx, s.broker, asks, maxWait, held)
	}
	return out
}

// fetchRaw is the usual way: one request written by hand.
func (c *Client) fetchRaw(ctx context.Context, broker int32, asks []ask, maxWait time.Duration, held *account) ([]answer, error) {
	wants := make([]wanted, len(asks))
	for i := range asks {
		wants[i] = asks[i].wanted
	}
	m, err := c.roundTrip(ctx, &fetchRequest{
		broker: broker, clientID: c.cfg.ClientID, maxWait: maxWait, minBytes: 1, maxBytes: responseBytes, wants: wants, id: &c.correlation, mem: &c.mem,
	})
	if err != nil {
		return nil, err
	}
	resp, ok := m.(*fetchResponse)
	if !ok {
		return nil, errMalformedResponse
	}
	defer resp.raw.release()
	if resp.code != noError {
		return nil, kafkago.Error(resp.code)
	}
	dec := c.mem.decoder()
	defer c.mem.decoders.Put(dec)
	answers := make([]answer, 0, len(resp.parts))
	room := decodedBytes
	for i := range resp.parts {
		f := &resp.parts[i]
		a := find(asks, f.topic, f.partition)
		if a == nil {
			continue
		}
		ans := answer{part: a.partition, code: f.code, high: f.high, next: a.offset}
		if f.code == noError {
			room -= c.decode(dec, a, f, resp.raw, &ans, min(room, farEnough), held)
		}
		answers = append(answers, ans)
	}
	return answers, nil
}

// find returns the ask for a partition. A request has few, in the order of the response.
func find(asks []ask, topic string, partition int32) *ask {
	for i := range asks {
		if asks[i].wanted.partition == partition && asks[i].topic == topic {
			return &asks[i]
		}
	}
	return nil
}

// decode turns the records of one partition into chunks and returns their size. What does not fit into room is left for another
// request, but a first chunk is always made, so that every response makes progress.
func (c *Client) decode(dec *decoder, a *ask, f *fetched, raw *rawBuffer, ans *answer, room int, held *account) (used int) {
	cur := dec.begin(a.src, a.offset, f.aborted)
	rest := f.records
	for len(rest) > 0 && ans.err == nil && (used < room || len(ans.chunks) == 0) {
		ch := c.mem.chunk(raw, held)
		first := cur.next
		rest, ans.err = dec.decode(ch, rest, &cur)
		if cur.next == first {
			ch.finish(a.src, a.count, first, first)
			ch.release()
			break
		}
		ch.finish(a.src, a.count, first, cur.next)
		ans.chunks = append(ans.chunks, ch)
		used += ch.batch.Bytes
	}
	ans.next, ans.removed = cur.next, cur.removed
	var bad *BatchError
	if errors.As(ans.err, &bad) {
		ans.behind = bad.Last + 1
	}
	ans.incomplete = ans.err == nil && cur.next == a.offset && len(f.records) > 0
	return used
}
