package kafka

import (
	"context"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// FirstOffset, given to [Claim.Seek], stands for the first offset that is still in the log.
const FirstOffset = kafkago.FirstOffset

// bounds are the first offset of a partition's log and the one behind its last.
type bounds struct {
	first, end int64
	code       int16
}

// partitionKey names a partition within one cluster.
type partitionKey struct {
	topic     string
	partition int32
}

// bounds asks a leader for the bounds of partitions that it leads.
func (c *Client) bounds(ctx context.Context, broker int32, parts []partitionKey) (map[partitionKey]bounds, error) {
	out := make(map[partitionKey]bounds, len(parts))
	for _, at := range []int64{kafkago.FirstOffset, kafkago.LastOffset} {
		resp, err := c.listOffsets(ctx, broker, parts, at)
		if err != nil {
			return nil, err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				key := partitionKey{t.Topic, p.Partition}
				b := out[key]
				if p.ErrorCode != 0 {
					b.code = p.ErrorCode
				} else if at == kafkago.FirstOffset {
					b.first = p.Offset
				} else {
					b.end = p.Offset
				}
				out[key] = b
			}
		}
	}
	return out, nil
}

func (c *Client) listOffsets(ctx context.Context, broker int32, parts []partitionKey, at int64) (*listoffsets.Response, error) {
	req := &listoffsets.Request{ReplicaID: -1}
	index := map[string]int{}
	for _, p := range parts {
		i, ok := index[p.topic]
		if !ok {
			i = len(req.Topics)
			index[p.topic] = i
			req.Topics = append(req.Topics, listoffsets.RequestTopic{Topic: p.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, listoffsets.RequestPartition{Partition: p.partition, CurrentLeaderEpoch: -1, Timestamp: at})
	}
	ctx, cancel := call(ctx)
	defer cancel()
	m, err := c.direct(ctx, broker, req)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	resp, ok := m.(*listoffsets.Response)
	if !ok {
		return nil, errMalformedResponse
	}
	return resp, nil
}
