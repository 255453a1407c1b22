package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"go.uber.org/zap"
)

const (
	createTries        = 14
	createBackoff      = 10 * time.Millisecond
	longestCreatePause = time.Second
)

// TopicSpec says how a topic is to be created.
type TopicSpec struct {
	Name                    string
	Partitions, Replication int               // the broker's default when not positive
	Config                  map[string]string // topic configuration, such as retention.ms
}

// EnsureTopic creates a topic unless it exists, and waits until all its partitions have leaders. A topic that exists with another
// number of partitions gives a *[PartitionCountError]; its other configuration is left alone.
func (c *Client) EnsureTopic(ctx context.Context, spec TopicSpec) (Shape, error) {
	var last error
	for try := range createTries {
		if try > 0 {
			if err := pause(ctx, min(createBackoff<<try, longestCreatePause)); err != nil {
				return Shape{}, c.explained("create topic "+spec.Name, errors.Join(last, err))
			}
		}
		shape, done, err := c.ensureOnce(ctx, spec)
		if done {
			return shape, err
		}
		if err != nil && !retryable(err) && !errors.Is(err, ErrUnknownTopic) {
			return Shape{}, c.explained("create topic "+spec.Name, err)
		}
		last = err
	}
	return Shape{}, c.explained("create topic "+spec.Name, fmt.Errorf("gave up: %w", last))
}

// ensureOnce tries once; done says that shape and err are final.
func (c *Client) ensureOnce(ctx context.Context, spec TopicSpec) (shape Shape, done bool, err error) {
	ctx, cancel := call(ctx)
	defer cancel()
	t, err := c.topic(ctx, spec.Name)
	if errors.Is(err, ErrUnknownTopic) {
		return Shape{}, false, c.createTopic(ctx, spec)
	}
	if err != nil {
		return Shape{}, false, err
	}
	shape = t.shape()
	if spec.Partitions > 0 && shape.Partitions != int32(spec.Partitions) {
		return shape, true, &PartitionCountError{Topic: spec.Name, Want: int32(spec.Partitions), Have: shape.Partitions}
	}
	for _, l := range t.leaders {
		if l.broker < 0 {
			return shape, false, kafkago.LeaderNotAvailable
		}
	}
	return shape, len(t.leaders) > 0, nil
}

// createTopic asks the controller. A topic that exists by now is no error.
func (c *Client) createTopic(ctx context.Context, spec TopicSpec) error {
	t := createtopics.RequestTopic{Name: spec.Name, NumPartitions: -1, ReplicationFactor: -1}
	if spec.Partitions > 0 {
		t.NumPartitions = int32(spec.Partitions)
	}
	if spec.Replication > 0 {
		t.ReplicationFactor = int16(spec.Replication)
	}
	for name, value := range spec.Config {
		t.Configs = append(t.Configs, createtopics.RequestConfig{Name: name, Value: value})
	}
	slices.SortFunc(t.Configs, func(a, b createtopics.RequestConfig) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	m, err := c.direct(ctx, theController, &createtopics.Request{Topics: []createtopics.RequestTopic{t}, TimeoutMs: int32(callTimeout.Milliseconds())})
	if err != nil {
		return err
	}
	resp, ok := m.(*createtopics.Response)
	if !ok {
		return errMalformedResponse
	}
	for _, r := range resp.Topics {
		switch {
		case r.ErrorCode == noError:
			c.log.Info("kafka: created a topic", zap.String("topic", spec.Name), zap.Int("partitions", spec.Partitions), zap.Any("settings", spec.Config))
			continue
		case kafkago.Error(r.ErrorCode) == kafkago.TopicAlreadyExists:
			continue
		}
		err := error(kafkago.Error(r.ErrorCode))
		if r.ErrorMessage != "" {
			err = fmt.Errorf("%w (%s)", err, r.ErrorMessage)
		}
		return c.access(err, toCreate, onTopic, spec.Name)
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
