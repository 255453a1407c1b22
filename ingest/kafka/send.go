package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

const (
	sendBytes      = 512 << 10 // of messages in one batch of one partition, unless one message is larger
	sendMessages   = 5000
	sendCodec      = Lz4
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = 2 * time.Second
	messageBytes   = 32 // what a message costs besides key and value
)

// RejectedError says that messages can never be written as they are; all others given to the same call were acknowledged.
type RejectedError struct {
	Topic    string
	Messages []int // indexes into what was given to Send
	Err      error // of the first of them
}

// Error says how many, and what to do.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("topic %s refused %d message(s): %v", e.Topic, len(e.Messages), e.Err)
}

// Unwrap returns the cause.
func (e *RejectedError) Unwrap() error { return e.Err }

// sending is what is left to do for one partition.
type sending struct {
	queue []int // indexes of messages, in order
	batch int   // how many of them the last try took
	most  int   // how many a batch may take; halved when a batch is too large
}

// Send writes messages and returns when all are acknowledged by all replicas in sync. A message with a key goes to the partition
// that Kafka's own producers choose; those without one go together to some partition. Messages of a partition keep their order.
//
// It retries with back-off until ctx ends, so messages may be written twice. Lost rights and wrong passwords are retried too, and
// logged: somebody can restore them. A message that is refused for what it is gives a *[RejectedError], after everything else was
// acknowledged.
func (c *Client) Send(ctx context.Context, topic string, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	left, err := c.assign(ctx, topic, messages)
	if err != nil {
		return err
	}
	var (
		rejected RejectedError
		backoff  = firstBackoff
		tell     = newReporter(func(err error) { c.log.Warn("kafka: cannot write yet", zap.Error(err)) })
	)
	for len(left) > 0 {
		parts := make(map[int32][]Message, len(left))
		for p, s := range left {
			parts[p] = s.next(messages)
		}
		last := c.settle(left, c.Produce(ctx, topic, sendCodec, parts), &rejected)
		if last == nil {
			backoff = firstBackoff
			continue
		}
		if ctx.Err() != nil {
			return c.explained("write to topic "+topic, errors.Join(last, ctx.Err()))
		}
		tell.report(last)
		if err := pause(ctx, backoff); err != nil {
			return c.explained("write to topic "+topic, errors.Join(last, err))
		}
		backoff = min(2*backoff, longestBackoff)
	}
	if len(rejected.Messages) > 0 {
		rejected.Topic = topic
		return &rejected
	}
	return nil
}

// assign distributes messages to partitions, waiting for the topic's metadata.
func (c *Client) assign(ctx context.Context, topic string, messages []Message) (map[int32]*sending, error) {
	tell := newReporter(func(err error) { c.log.Warn("kafka: cannot write yet", zap.Error(err)) })
	for backoff := firstBackoff; ; backoff = min(2*backoff, longestBackoff) {
		t, err := c.cached(ctx, topic)
		if err == nil && len(t.leaders) > 0 {
			return distribute(messages, int32(len(t.leaders)), c.sticky.Add(1)), nil
		}
		err = c.access(err, toWrite, onTopic, topic)
		if errors.Is(err, errNoBrokers) {
			return nil, c.explained("write to topic "+topic, err)
		}
		tell.report(c.explained("write to topic "+topic, err))
		if ended := pause(ctx, backoff); ended != nil {
			return nil, c.explained("write to topic "+topic, errors.Join(err, ended))
		}
	}
}

func distribute(messages []Message, partitions int32, sticky uint32) map[int32]*sending {
	out := map[int32]*sending{}
	for i := range messages {
		p := int32(sticky % uint32(partitions))
		if messages[i].Key != nil {
			p = PartitionOf(messages[i].Key, partitions)
		}
		s := out[p]
		if s == nil {
			s = &sending{most: sendMessages}
			out[p] = s
		}
		s.queue = append(s.queue, i)
	}
	return out
}

// next takes the messages of the next try from the front of the queue.
func (s *sending) next(messages []Message) []Message {
	out := make([]Message, 0, min(len(s.queue), s.most))
	size := 0
	for _, i := range s.queue {
		m := &messages[i]
		size += len(m.Key) + len(m.Value) + messageBytes
		for _, h := range m.Headers {
			size += len(h.Key) + len(h.Value) + messageBytes
		}
		if len(out) > 0 && (size > sendBytes || len(out) >= s.most) {
			break
		}
		out = append(out, *m)
	}
	s.batch = len(out)
	return out
}

// settle removes what is done from left and returns an error that a retry may cure, if there was one.
func (c *Client) settle(left map[int32]*sending, answers map[int32]error, rejected *RejectedError) error {
	var last error
	for p, err := range answers {
		s := left[p]
		switch {
		case s == nil:
			continue
		case err == nil:
			s.queue = s.queue[s.batch:]
			s.most = sendMessages
		case faultOfMessage(err) && s.batch > 1: // find out which
			s.most = s.batch / 2
		case faultOfMessage(err):
			rejected.Messages = append(rejected.Messages, s.queue[:s.batch]...)
			if rejected.Err == nil {
				rejected.Err = err
			}
			s.queue = s.queue[s.batch:]
		default:
			last = err
		}
		if len(s.queue) == 0 {
			delete(left, p)
		}
	}
	return last
}
