package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"

	"github.com/klaxonhq/klaxon/event"
)

const (
	allReplicas    = -1
	produceTimeout = 10 * time.Second // for the broker's acknowledgement, where the caller's context ends later
)

// Message is what is written to a topic. It is only read, and not kept after the call.
type Message struct {
	Key, Value []byte // nil is null
	Headers    []event.Header
	Time       int64 // Unix milliseconds; 0: now
}

// Produce writes messages to partitions, in order within each, with one request per leader, and waits for all replicas in sync.
// It tries once. The result has an entry for every partition of parts: nil when all its messages are acknowledged, otherwise a
// *[ProduceError], after which none, or unknown to us all, of them were written.
func (c *Client) Produce(ctx context.Context, topic string, codec Codec, parts map[int32][]Message) map[int32]error {
	ctx, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	result := make(map[int32]error, len(parts))
	byLeader, err := c.groupByLeader(ctx, topic, parts, result)
	if err != nil {
		return c.failAll(topic, parts, err)
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for broker, partitions := range byLeader {
		wg.Go(func() {
			answers := c.produceTo(ctx, broker, topic, codec, partitions, parts)
			mu.Lock()
			defer mu.Unlock()
			for p, err := range answers {
				result[p] = err
			}
		})
	}
	wg.Wait()
	for _, err := range result {
		if err != nil {
			c.forget(topic)
			break
		}
	}
	return result
}

// groupByLeader sorts partitions by who leads them. Those without a leader, or without messages, have their result at once.
func (c *Client) groupByLeader(ctx context.Context, topic string, parts map[int32][]Message, result map[int32]error) (map[int32][]int32, error) {
	t, err := c.cached(ctx, topic)
	if err != nil {
		return nil, err
	}
	byLeader := map[int32][]int32{}
	for p, messages := range parts {
		switch {
		case len(messages) == 0:
			result[p] = nil
		case p < 0 || int(p) >= len(t.leaders):
			result[p] = &ProduceError{Topic: topic, Partition: p, Broker: -1, Err: kafkago.UnknownTopicOrPartition}
		case t.leaders[p].broker < 0:
			result[p] = &ProduceError{Topic: topic, Partition: p, Broker: -1, Err: kafkago.LeaderNotAvailable}
		default:
			byLeader[t.leaders[p].broker] = append(byLeader[t.leaders[p].broker], p)
		}
	}
	return byLeader, nil
}

func (c *Client) failAll(topic string, parts map[int32][]Message, err error) map[int32]error {
	c.forget(topic)
	result := make(map[int32]error, len(parts))
	for p := range parts {
		result[p] = &ProduceError{Topic: topic, Partition: p, Broker: -1, Err: c.access(err, toWrite, onTopic, topic)}
	}
	return result
}

// produceTo makes one request to one broker.
func (c *Client) produceTo(ctx context.Context, broker int32, topic string, codec Codec, partitions []int32, parts map[int32][]Message) map[int32]error {
	req := produce.RequestTopic{Topic: topic, Partitions: make([]produce.RequestPartition, 0, len(partitions))}
	for _, p := range partitions {
		req.Partitions = append(req.Partitions, produce.RequestPartition{Partition: p, RecordSet: recordSet(codec, parts[p])})
	}
	answers := make(map[int32]error, len(partitions))
	fail := func(err error) {
		for _, p := range partitions {
			if _, ok := answers[p]; !ok {
				answers[p] = &ProduceError{Topic: topic, Partition: p, Broker: broker, Err: err}
			}
		}
	}
	timeout := produceTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(deadline)), time.Millisecond)
	}
	m, err := c.direct(ctx, broker, &produce.Request{Acks: allReplicas, Timeout: int32(timeout.Milliseconds()), Topics: []produce.RequestTopic{req}})
	if err != nil {
		fail(err)
		return answers
	}
	resp, ok := m.(*produce.Response)
	if !ok {
		fail(errMalformedResponse)
		return answers
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			answers[p.Partition] = c.produceResult(topic, broker, p)
		}
	}
	fail(fmt.Errorf("%w: the partition is missing", errMalformedResponse))
	return answers
}

func (c *Client) produceResult(topic string, broker int32, p produce.ResponsePartition) error {
	if p.ErrorCode == noError {
		return nil
	}
	err := error(kafkago.Error(p.ErrorCode))
	if p.ErrorMessage != "" {
		err = fmt.Errorf("%w (%s)", err, p.ErrorMessage)
	}
	return &ProduceError{Topic: topic, Partition: p.Partition, Broker: broker, Err: c.access(err, toWrite, onTopic, topic)}
}

// recordSet builds records anew: a reader that was sent once is empty, and a retry with it would write nothing.
func recordSet(codec Codec, messages []Message) protocol.RecordSet {
	records := make([]protocol.Record, len(messages))
	for i := range messages {
		m := &messages[i]
		r := protocol.Record{Key: protocol.NewBytes(m.Key), Value: protocol.NewBytes(m.Value)}
		if m.Time != 0 {
			r.Time = time.UnixMilli(m.Time)
		}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, protocol.Header{Key: h.Key, Value: h.Value})
		}
		records[i] = r
	}
	return protocol.RecordSet{Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(records...)}
}
