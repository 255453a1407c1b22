package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/klaxonhq/klaxon/event"
)

// Partition is one that a claim owns.
type Partition struct {
	Source     event.Source
	Partitions int32 // how many the topic has
	Offset     int64 // the committed offset, or the log's first when nothing was committed: the next one to read
}

// PartitionLag is how far reading has come.
type PartitionLag struct {
	Source event.Source
	Next   int64 // first offset that was not handed out yet
	End    int64 // of the log, as the last fetch saw it
}

// A Claim is what one generation of the group owns. Fetch and Seek belong to one goroutine; Commit and Lag may be called from any.
type Claim struct {
	client  *Client
	cfg     *GroupConfig
	ctx     context.Context // ends with the claim
	cancel  context.CancelFunc
	gen     *kafkago.Generation
	tell    *reporter
	held    *account
	onShape func(topic string) // told when a topic has another id than the claim was made for
	topics  []Topic            // of the whole group

	parts   []*partition // in the order in which they are asked for
	byKey   map[partitionKey]*partition
	ready   []*chunk
	started bool
	busy    map[slot]bool
	results chan outcome
	found   chan topicsFound
	bounded chan boundsFound
	wg      sync.WaitGroup

	asking  bool      // leaders are being asked for
	staleAt time.Time // when to ask for leaders again
	lostAt  time.Time // since when nobody tells who leads

	lagMu sync.Mutex // guards what Lag reads: delivered and end of each partition
}

// slot is what at most one request is under way for.
type slot struct {
	broker int32
	old    bool // for partitions with messages in an old format
}

// partition is the state of one owned partition. It belongs to the goroutine that calls Fetch, except delivered and end.
type partition struct {
	src       event.Source
	count     int32
	leader    int32
	epoch     int32
	next      int64 // first offset to ask for; FirstOffset until it is known
	asked     int64 // the offset that was asked for when it turned out not to be in the log
	gone      bool  // asked is to be looked up
	skipped   int64 // to be told with the next batch
	maxBytes  int32
	old       bool
	busy      bool
	failures  int
	since     time.Time // of the first of these failures
	retryAt   time.Time
	idleAt    time.Time // when an empty batch was last handed out
	committed int64
	delivered int64 // -2: not known yet
	end       int64 // -1: not seen yet
	starved   int   // responses in a row without room for this partition's next batch
}

type topicsFound struct {
	topics []topicMeta
	err    error
}

type boundsFound struct {
	parts  []*partition
	bounds map[partitionKey]bounds
	err    error
}

func (p *partition) key() partitionKey { return partitionKey{p.src.Topic, p.src.Partition} }

// Topics is every topic that the group reads, whoever owns its partitions, sorted by name. It must not be changed.
func (c *Claim) Topics() []Topic { return c.topics }

// Owned returns the claim's partitions, sorted.
func (c *Claim) Owned() []Partition {
	out := make([]Partition, 0, len(c.byKey))
	for _, p := range c.byKey {
		out = append(out, Partition{Source: p.src, Partitions: p.count, Offset: p.committed})
	}
	slices.SortFunc(out, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Source.Topic, b.Source.Topic), cmp.Compare(a.Source.Partition, b.Source.Partition))
	})
	return out
}

// Seek makes reading of a partition go on at offset instead of the committed one; FirstOffset stands for the log's first. It is to
// be called before the first Fetch.
func (c *Claim) Seek(src event.Source, offset int64) error {
	p := c.byKey[partitionKey{src.Topic, src.Partition}]
	if p == nil || p.src != src {
		return fmt.Errorf("seek in topic %s partition %d: %w", src.Topic, src.Partition, ErrNotOwned)
	}
	if c.started {
		return errors.New("seek after the first fetch")
	}
	if offset < 0 {
		offset, p.asked, p.gone = FirstOffset, FirstOffset, true
	}
	p.next, p.delivered = offset, offset
	return nil
}

// Fetch returns the next batch of any owned partition. It blocks until there is one; a partition whose end was reached gives an
// empty batch with AtEnd every MaxWait. An open transaction holds reading back, so such a partition is not at its end.
//
// No request goes out while batches of more than Budget bytes are not released, so whoever keeps them must not wait for Fetch.
// Batch.Skipped counts offsets before First that will never be handed out: removed by retention, lost with a truncated log, or in a
// record batch that cannot be read; OnError has told which.
//
// The error is ctx's, or ErrRevoked once the claim has ended.
func (c *Claim) Fetch(ctx context.Context) (*event.Batch, error) {
	c.started = true
	for {
		c.collect()
		now := time.Now()
		wait := c.schedule(now)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c.ctx.Err() != nil {
			return nil, ErrRevoked
		}
		if b := c.pop(); b != nil {
			return b, nil
		}
		if err := c.await(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// collect takes what requests have brought so far, without waiting.
func (c *Claim) collect() {
	for {
		select {
		case o := <-c.results:
			c.apply(o)
		case f := <-c.found:
			c.applyTopics(f)
		case b := <-c.bounded:
			c.applyBounds(b)
		default:
			return
		}
	}
}

// await waits until there is something to do, at most for wait.
func (c *Claim) await(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case o := <-c.results:
		c.apply(o)
	case f := <-c.found:
		c.applyTopics(f)
	case b := <-c.bounded:
		c.applyBounds(b)
	case <-c.held.wake:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return ErrRevoked
	}
	return nil
}

// pop hands out the oldest chunk.
func (c *Claim) pop() *event.Batch {
	if len(c.ready) == 0 {
		return nil
	}
	b := &c.ready[0].batch
	c.ready[0] = nil
	c.ready = c.ready[1:]
	if p := c.byKey[partitionKey{b.Source.Topic, b.Source.Partition}]; p != nil {
		c.lagMu.Lock()
		p.delivered = b.Next
		c.lagMu.Unlock()
	}
	return b
}

// Lag returns how far reading of each partition has come, sorted; partitions that were not fetched from yet are left out.
func (c *Claim) Lag() []PartitionLag {
	c.lagMu.Lock()
	out := make([]PartitionLag, 0, len(c.byKey))
	for _, p := range c.byKey {
		if p.end >= 0 && p.delivered >= 0 {
			out = append(out, PartitionLag{Source: p.src, Next: p.delivered, End: p.end})
		}
	}
	c.lagMu.Unlock()
	slices.SortFunc(out, func(a, b PartitionLag) int {
		return cmp.Or(cmp.Compare(a.Source.Topic, b.Source.Topic), cmp.Compare(a.Source.Partition, b.Source.Partition))
	})
	return out
}

// close ends the claim's requests, waits for their goroutines and releases what was not handed out.
func (c *Claim) close() {
	c.cancel()
	c.wg.Wait()
	c.collect()
	for _, ch := range c.ready {
		ch.batch.Release()
	}
	c.ready = nil
}
