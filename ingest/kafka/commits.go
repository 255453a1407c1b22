package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"

	"github.com/klaxonhq/klaxon/event"
)

const brokersRetention = -1 // of committed offsets, where brokers still ask

// Commit stores, for the group, the next offsets to read. The error is ErrRevoked when the partitions belong to somebody else now,
// which harms nothing: what was not committed is read again there.
//
// The topic's id is stored beside the offset: a late commit for a topic that was deleted must not hide the first records of one
// that was created under its name.
func (c *Claim) Commit(ctx context.Context, offsets event.Offsets) error {
	req := &offsetcommit.Request{GroupID: c.cfg.ID, GenerationID: c.gen.ID, MemberID: c.gen.MemberID, RetentionTimeMs: brokersRetention}
	for src, next := range offsets {
		p := c.byKey[partitionKey{src.Topic, src.Partition}]
		if p == nil || p.src != src || next < 0 {
			return fmt.Errorf("commit offset %d of topic %s partition %d: %w", next, src.Topic, src.Partition, ErrNotOwned)
		}
		i := slices.IndexFunc(req.Topics, func(t offsetcommit.RequestTopic) bool { return t.Name == src.Topic })
		if i < 0 {
			i = len(req.Topics)
			req.Topics = append(req.Topics, offsetcommit.RequestTopic{Name: src.Topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, offsetcommit.RequestPartition{
			PartitionIndex: src.Partition, CommittedOffset: next, CommittedLeaderEpoch: -1, CommittedMetadata: src.TopicID,
		})
	}
	if len(req.Topics) == 0 {
		return ctx.Err()
	}
	ctx, cancel := call(ctx)
	defer cancel()
	m, err := c.client.roundTrip(ctx, req)
	if err != nil {
		return c.commitError(err)
	}
	resp, ok := m.(*offsetcommit.Response)
	if !ok {
		return c.commitError(errMalformedResponse)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != noError {
				return c.commitError(kafkago.Error(p.ErrorCode))
			}
		}
	}
	return nil
}

// commitError tells revocation from trouble.
func (c *Claim) commitError(err error) error {
	var code kafkago.Error
	if errors.As(err, &code) {
		switch code {
		case kafkago.IllegalGeneration, kafkago.UnknownMemberId, kafkago.RebalanceInProgress, kafkago.FencedInstanceID:
			return fmt.Errorf("commit offsets of group %s: %w (%w)", c.cfg.ID, ErrRevoked, err)
		}
	}
	return c.client.explained("commit offsets of group "+c.cfg.ID, c.client.access(err, toRead, onGroup, c.cfg.ID))
}

// loadCommitted reads where to begin. kafka-go has read it too, but does not show what was stored beside the offsets. It reports
// whether it could before ctx ended.
func (c *Claim) loadCommitted(ctx context.Context) bool {
	req := &offsetfetch.Request{GroupID: c.cfg.ID}
	for _, p := range c.parts { // sorted by topic
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Name != p.src.Topic {
			req.Topics = append(req.Topics, offsetfetch.RequestTopic{Name: p.src.Topic})
		}
		t := &req.Topics[len(req.Topics)-1]
		t.PartitionIndexes = append(t.PartitionIndexes, p.src.Partition)
	}
	start := time.Now()
	for backoff := fetchBackoff; ; backoff = min(2*backoff, maxFetchBackoff) {
		resp, err := c.committed(ctx, req)
		if err == nil {
			c.begin(resp)
			return true
		}
		if !retryable(err) || time.Since(start) >= tolerated {
			c.report(c.client.explained("read the offsets of group "+c.cfg.ID, c.client.access(err, toRead, onGroup, c.cfg.ID)))
		}
		if pause(ctx, backoff) != nil {
			return false
		}
	}
}

// committed reads the group's offsets.
func (c *Claim) committed(ctx context.Context, req *offsetfetch.Request) (*offsetfetch.Response, error) {
	ctx, cancel := call(ctx)
	defer cancel()
	m, err := c.client.roundTrip(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := m.(*offsetfetch.Response)
	if !ok {
		return nil, errMalformedResponse
	}
	if resp.ErrorCode != noError {
		return nil, kafkago.Error(resp.ErrorCode)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != noError {
				return nil, kafkago.Error(p.ErrorCode)
			}
		}
	}
	return resp, nil
}

// begin sets where partitions begin. An offset that was committed for another topic id is not used; offsets without an id, which
// other tools commit, are.
func (c *Claim) begin(resp *offsetfetch.Response) {
	for _, t := range resp.Topics {
		for _, at := range t.Partitions {
			p := c.byKey[partitionKey{t.Name, at.PartitionIndex}]
			if p == nil || at.CommittedOffset < 0 {
				continue
			}
			if isTopicID(at.Metadata) && p.src.TopicID != "" && at.Metadata != p.src.TopicID {
				c.report(c.client.explained(fmt.Sprintf("group %s: topic %s partition %d", c.cfg.ID, t.Name, at.PartitionIndex),
					fmt.Errorf("the committed offset, %d, is of an earlier topic of that name: beginning with the first record", at.CommittedOffset)))
				continue
			}
			p.next, p.delivered, p.committed, p.gone = at.CommittedOffset, at.CommittedOffset, at.CommittedOffset, false
		}
	}
}

// isTopicID says whether a commit's metadata can be what Commit writes, and not what another program put there.
func isTopicID(s string) bool {
	if len(s) != 2*topicIDBytes {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}
