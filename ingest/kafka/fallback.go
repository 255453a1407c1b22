package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/klaxonhq/klaxon/event"
)

// fetchOld asks with the request that kafka-go's Client.Fetch sends, at the version that the broker accepts, and makes the same
// answers. It serves brokers before Kafka 2.3 and partitions with messages in the formats of before Kafka 0.11.
func (c *Client) fetchOld(ctx context.Context, broker int32, asks []ask, maxWait time.Duration, held *account) ([]answer, error) {
	req := &fetchapi.Request{
		ReplicaID: -1, MaxWaitTime: int32(maxWait.Milliseconds()), MinBytes: 1, MaxBytes: responseBytes, IsolationLevel: readCommitted, SessionID: 0, SessionEpoch: -1,
	}
	for i := range asks {
		a := &asks[i]
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != a.topic {
			req.Topics = append(req.Topics, fetchapi.RequestTopic{Topic: a.topic})
		}
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, fetchapi.RequestPartition{
			Partition: a.wanted.partition, CurrentLeaderEpoch: a.wanted.epoch, FetchOffset: a.offset, LogStartOffset: -1, PartitionMaxBytes: a.wanted.maxBytes,
		})
	}
	m, err := c.direct(ctx, broker, req)
	if err != nil {
		return nil, err
	}
	resp, ok := m.(*fetchapi.Response)
	if !ok {
		return nil, errMalformedResponse
	}
	if resp.ErrorCode != noError {
		return nil, kafkago.Error(resp.ErrorCode)
	}
	var answers []answer
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			a := find(asks, t.Topic, p.Partition)
			if a == nil {
				continue
			}
			ans := answer{part: a.partition, code: p.ErrorCode, high: p.HighWatermark, next: a.offset}
			if p.ErrorCode == noError {
				c.copyOld(a, p, &ans, held)
			}
			answers = append(answers, ans)
		}
	}
	return answers, nil
}

// copyOld copies one partition's records into a chunk.
func (c *Client) copyOld(a *ask, p *fetchapi.ResponsePartition, ans *answer, held *account) {
	aborted := make([]abortedTxn, 0, len(p.AbortedTransactions))
	for _, t := range p.AbortedTransactions {
		aborted = append(aborted, abortedTxn{producer: t.ProducerID, first: t.FirstOffset})
	}
	dec := newDecoder(defaultLimit)
	cur := dec.begin(a.src, a.offset, aborted)
	ch := c.mem.chunk(nil, held)
	readers := flatten(p.RecordSet.Records)
	for _, r := range readers {
		if err := dec.copyBatch(ch, r, &cur); err != nil {
			ans.err = &BatchError{Source: a.src, First: cur.next, Last: unknownLast, Err: err}
			break
		}
	}
	if cur.next == a.offset && len(readers) > 0 && ans.err == nil {
		cur.next++ // kafka-go does not say where a batch without records ends: feel the way
	}
	ch.finish(a.src, a.count, a.offset, cur.next)
	ans.next = cur.next
	if cur.next == a.offset {
		ch.release()
		return
	}
	ans.chunks = []*chunk{ch}
}

// flatten returns the batches of a record set.
func flatten(r protocol.RecordReader) []protocol.RecordReader {
	if r == nil {
		return nil
	}
	if s, ok := r.(*protocol.RecordStream); ok {
		return s.Records
	}
	return []protocol.RecordReader{r}
}

// copyBatch appends the records of one batch, unless they are control records or their transaction was aborted.
func (d *decoder) copyBatch(c *chunk, r protocol.RecordReader, cur *cursor) error {
	records, last, err := readRecords(r)
	if err != nil {
		return err
	}
	h := header{last: last}
	switch b := r.(type) {
	case *protocol.ControlBatch:
		h.base, h.producer, h.attrs = b.BaseOffset, b.ProducerID, attrControl|attrTransactional
	case *protocol.RecordBatch:
		h.base, h.producer = b.BaseOffset, b.ProducerID
		if b.Attributes.Transactional() {
			h.attrs = attrTransactional
		}
	}
	h.last = max(h.last, h.base)
	if h.last < cur.next {
		return nil
	}
	if d.visible(&h, cur) {
		for i := range records {
			rec := &records[i]
			rec.Source = cur.src
			if rec.Offset >= cur.next {
				c.size += len(rec.Key) + len(rec.Value)
				c.batch.Records = append(c.batch.Records, *rec)
			}
		}
	}
	cur.next = h.last + 1
	return nil
}

// readRecords copies all records of a batch and returns the last offset.
func readRecords(r protocol.RecordReader) (records []event.Record, last int64, err error) {
	for last = -1; ; {
		rec, err := r.ReadRecord()
		if errors.Is(err, io.EOF) {
			return slices.Clip(records), last, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", fetchByKafkaGo, err)
		}
		key, err := readBytes(rec.Key)
		if err != nil {
			return nil, 0, err
		}
		value, err := readBytes(rec.Value)
		if err != nil {
			return nil, 0, err
		}
		out := event.Record{Offset: rec.Offset, Time: rec.Time.UnixMilli(), Key: key, Value: value}
		for _, h := range rec.Headers {
			out.Headers = append(out.Headers, event.Header{Key: h.Key, Value: h.Value})
		}
		last = max(last, rec.Offset)
		records = append(records, out)
	}
}

func readBytes(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	defer b.Close()
	out, err := protocol.ReadAll(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fetchByKafkaGo, err)
	}
	return out, nil
}
