package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	longestIdle      = time.Second            // Fetch looks around at least this often
	metadataPause    = 100 * time.Millisecond // between two questions for leaders after errors
	fetchBackoff     = 50 * time.Millisecond
	maxFetchBackoff  = 2 * time.Second
	tolerated        = 2 * time.Second // failures that a failover explains are told only after this long
	checksumTries    = 3
	starvedTolerated = 2
)

// schedule starts every request that may go out, and returns how long nothing else is due.
func (c *Claim) schedule(now time.Time) time.Duration {
	due := now.Add(longestIdle)
	if !c.asking {
		if !now.Before(c.staleAt) {
			c.askTopics()
		} else if c.staleAt.Before(due) {
			due = c.staleAt
		}
	}
	full := c.held.full()
	asks, lost := map[slot][]ask{}, map[int32][]*partition{}
	for _, p := range c.parts {
		if p.busy || p.leader < 0 {
			continue
		}
		if now.Before(p.retryAt) {
			if p.retryAt.Before(due) {
				due = p.retryAt
			}
			continue
		}
		if p.gone {
			lost[p.leader] = append(lost[p.leader], p)
			continue
		}
		if s := (slot{p.leader, p.old}); !full && !c.busy[s] {
			asks[s] = append(asks[s], ask{p, wanted{p.src.Topic, p.src.Partition, p.epoch, p.next, p.maxBytes}})
		}
	}
	for s, a := range asks {
		c.askRecords(s, a)
	}
	for broker, parts := range lost {
		c.askBounds(broker, parts)
	}
	return due.Sub(now)
}

// askRecords starts a fetch. The longest not served partition comes first: a leader fills a response in the order of the request.
func (c *Claim) askRecords(s slot, asks []ask) {
	order := map[string]int{}
	for i := range asks {
		if _, ok := order[asks[i].topic]; !ok {
			order[asks[i].topic] = len(order)
		}
		asks[i].busy = true
	}
	slices.SortStableFunc(asks, func(a, b ask) int { return order[a.topic] - order[b.topic] })
	c.busy[s] = true
	c.wg.Go(func() {
		o := c.client.fetch(c.ctx, s, asks, c.cfg.MaxWait, c.held)
		select {
		case c.results <- o:
		case <-c.ctx.Done():
			o.release()
		}
	})
}

// release gives back what nobody will read.
func (o *outcome) release() {
	for _, a := range o.answers {
		for _, ch := range a.chunks {
			ch.batch.Release()
		}
	}
}

// askBounds starts looking up where the logs of partitions begin and end.
func (c *Claim) askBounds(broker int32, parts []*partition) {
	keys := make([]partitionKey, len(parts))
	for i, p := range parts {
		p.busy = true
		keys[i] = p.key()
	}
	c.wg.Go(func() {
		found, err := c.client.bounds(c.ctx, broker, keys)
		select {
		case c.bounded <- boundsFound{parts, found, err}:
		case <-c.ctx.Done():
		}
	})
}

// askTopics starts reading who leads the partitions.
func (c *Claim) askTopics() {
	c.asking = true
	var names []string
	for key := range c.byKey {
		names = append(names, key.topic)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	c.wg.Go(func() {
		ctx, cancel := call(c.ctx)
		defer cancel()
		topics, err := c.client.metadata(ctx, names)
		select {
		case c.found <- topicsFound{topics, err}:
		case <-c.ctx.Done():
		}
	})
}

// applyTopics takes over new leaders, and ends the claim when a topic is another one by now.
func (c *Claim) applyTopics(f topicsFound) {
	c.asking = false
	c.staleAt = time.Now().Add(leadersTTL)
	if f.err != nil {
		c.staleAt = time.Now().Add(maxFetchBackoff / 4)
		if c.lostAt.IsZero() {
			c.lostAt = time.Now()
		}
		if !retryable(f.err) || time.Since(c.lostAt) >= tolerated {
			c.report(c.client.explained("read the leaders for group "+c.cfg.ID, f.err))
		}
		return
	}
	c.lostAt = time.Time{}
	for i := range f.topics {
		t := &f.topics[i]
		for index := range t.leaders {
			if p := c.byKey[partitionKey{t.name, int32(index)}]; p != nil {
				if p.src.TopicID != t.id {
					c.onShape(t.name)
					return
				}
				p.leader, p.epoch = t.leaders[index].broker, t.leaders[index].epoch
				if p.leader < 0 {
					c.failed(p, time.Now(), kafkago.LeaderNotAvailable)
				}
			}
		}
		if err := t.err(); err != nil {
			c.report(c.client.explained("read the leaders for group "+c.cfg.ID, err))
		}
	}
}

// applyBounds decides where to go on in logs that do not have the offset that was asked for.
func (c *Claim) applyBounds(f boundsFound) {
	now := time.Now()
	for _, p := range f.parts {
		p.busy = false
		b, ok := f.bounds[p.key()]
		switch {
		case f.err != nil:
			c.failed(p, now, f.err)
			continue
		case !ok:
			c.failed(p, now, errMalformedResponse)
			continue
		case b.code != noError:
			c.failed(p, now, kafkago.Error(b.code))
			continue
		}
		p.gone = false
		switch {
		case p.asked < 0:
			p.next = b.first
		case p.asked < b.first:
			c.skip(p, b.first-p.asked, b.first, fmt.Errorf("offset %d is no longer in the log, which begins at %d: retention removed it before it was read", p.asked, b.first))
		case p.asked > b.end:
			c.skip(p, p.asked-b.end, b.first, fmt.Errorf("offset %d is behind the end of the log, %d: the log was truncated; reading it again from its start, %d", p.asked, b.end, b.first))
		default: // it is there (again): a leader that was not up to date
			p.next = p.asked
			p.retryAt = now.Add(fetchBackoff)
		}
		if p.delivered < 0 {
			c.lagMu.Lock()
			p.delivered = p.next
			c.lagMu.Unlock()
		}
	}
}

// skip moves on to next and remembers to say so with the next batch.
func (c *Claim) skip(p *partition, count, next int64, why error) {
	p.skipped += count
	p.next = next
	p.idleAt = time.Time{}
	c.report(c.client.explained(fmt.Sprintf("group %s: topic %s partition %d", c.cfg.ID, p.src.Topic, p.src.Partition), why))
}

// apply takes over what a request brought.
func (c *Claim) apply(o outcome) {
	now := time.Now()
	delete(c.busy, o.slot)
	for i := range o.asks {
		o.asks[i].busy = false
	}
	if o.err != nil {
		if c.ctx.Err() == nil {
			for i := range o.asks {
				c.failed(o.asks[i].partition, now, fmt.Errorf("broker %d: %w", o.slot.broker, o.err))
			}
		}
		return
	}
	for i := range o.answers {
		c.applyAnswer(&o.answers[i], o.asked, now)
	}
}

func (c *Claim) applyAnswer(a *answer, asked, now time.Time) {
	p := a.part
	switch kafkago.Error(a.code) {
	case noError:
	case kafkago.OffsetOutOfRange:
		p.asked, p.gone = p.next, true
		c.staleAt = now // the offset may be in the log of another leader, or of a new topic of that name
		p.retryAt = now.Add(metadataPause)
		return
	default:
		c.failed(p, now, kafkago.Error(a.code))
		return
	}
	progress := a.next > p.next
	p.next = a.next
	c.lagMu.Lock()
	p.end = max(a.high, a.next)
	c.lagMu.Unlock()
	for _, ch := range a.chunks {
		c.queue(p, ch, asked)
	}
	switch {
	case a.err != nil:
		c.unreadable(p, a, now)
		return
	case progress:
		p.starved = 0
		c.moveBack(p)
	case a.incomplete:
		p.maxBytes = min(2*p.maxBytes, mostPartition)
	case a.next < a.high:
		if p.starved++; p.starved > starvedTolerated { // or held back by an open transaction: a larger limit is harmless
			p.maxBytes = min(2*p.maxBytes, mostPartition)
		}
	case p.skipped > 0 || now.Sub(p.idleAt) >= c.cfg.MaxWait:
		ch := c.client.mem.chunk(nil, c.held)
		ch.finish(p.src, p.count, p.next, p.next)
		c.queue(p, ch, asked)
		p.idleAt = now
	}
	p.failures = 0
}

// queue makes a chunk ready to be handed out.
func (c *Claim) queue(p *partition, ch *chunk, asked time.Time) {
	b := &ch.batch
	b.End = p.end
	b.AtEnd = b.Next >= b.End
	b.Asked = asked.UnixMilli()
	b.Skipped, p.skipped = p.skipped, 0
	c.ready = append(c.ready, ch)
}

// moveBack puts a partition that was served behind all others.
func (c *Claim) moveBack(p *partition) {
	if i := slices.Index(c.parts, p); i >= 0 {
		c.parts = append(slices.Delete(c.parts, i, i+1), p)
	}
}

// unreadable goes around a batch that cannot be read: old formats through kafka-go, checksums by trying again, others by skipping.
func (c *Claim) unreadable(p *partition, a *answer, now time.Time) {
	switch {
	case errors.Is(a.err, errOldFormat) && !p.old:
		p.old = true
	case errors.Is(a.err, errChecksum) && p.failures < checksumTries, a.behind <= p.next:
		c.failed(p, now, a.err)
	default:
		p.failures = 0
		c.skip(p, a.behind-p.next, a.behind, fmt.Errorf("skipped: %w", a.err))
	}
}

// failed makes a partition wait, longer each time, and tells errors that do not pass by themselves.
func (c *Claim) failed(p *partition, now time.Time, err error) {
	if p.failures == 0 {
		p.since = now
	}
	p.retryAt = now.Add(min(fetchBackoff<<min(p.failures, 10), maxFetchBackoff))
	p.failures++
	if next := now.Add(metadataPause); next.Before(c.staleAt) {
		c.staleAt = next
	}
	var bad *BatchError
	if retryable(err) && !errors.As(err, &bad) && now.Sub(p.since) < tolerated {
		return
	}
	c.report(c.client.explained(fmt.Sprintf("group %s: read topic %s partition %d", c.cfg.ID, p.src.Topic, p.src.Partition), c.client.access(err, toRead, onTopic, p.src.Topic)))
}

// report tells an error through OnError, unless the claim is ending.
func (c *Claim) report(err error) {
	if c.ctx.Err() == nil {
		c.tell.report(err)
	}
}
