package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

const (
	patience = 60 * time.Second
	quiet    = 150 * time.Millisecond // without a record after all that are expected
	session  = 6 * time.Second        // the least that brokers accept by default
)

// bench is what one test of the suite works with.
type bench struct {
	*testing.T
	ctx     context.Context
	brokers []string
	client  *kafka.Client
	topic   string // a name of this test's own
}

// record is a copy of what was read.
type record struct {
	source  event.Source
	offset  int64
	time    int64
	key     []byte
	value   []byte
	headers []event.Header
}

// newBench prepares one test; its topic is deleted afterwards.
func newBench(t *testing.T, brokers string, oldFetch bool) *bench {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // cleaning up needs it too
	b := &bench{T: t, ctx: ctx, brokers: strings.Split(brokers, ","), topic: fmt.Sprintf("klaxon-test-%x", rand.Uint64())}
	b.client = kafka.NewClient(kafka.Config{Brokers: b.brokers, OldFetch: oldFetch})
	t.Cleanup(func() {
		b.delete(b.topic)
		b.client.Close()
		cancel()
	})
	return b
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) create(partitions int, config map[string]string) kafka.Shape {
	b.Helper()
	shape, err := b.client.EnsureTopic(b.ctx, kafka.TopicSpec{Name: b.topic, Partitions: partitions, Config: config})
	b.must(err)
	return shape
}

// produce writes messages to a partition. A broker that has only just made a topic may say for a moment that it does not lead it.
func (b *bench) produce(codec kafka.Codec, partition int32, messages ...kafka.Message) {
	b.Helper()
	b.until("written", func() bool {
		err := b.client.Produce(b.ctx, b.topic, codec, map[int32][]kafka.Message{partition: messages})[partition]
		var failed *kafka.ProduceError
		if err != nil && (!errors.As(err, &failed) || !failed.Retryable()) {
			b.Fatal(err)
		}
		return err == nil
	})
}

func (b *bench) kgo(opts ...kgo.Opt) *kgo.Client {
	b.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.brokers...), kgo.MetadataMinAge(50*time.Millisecond))...)
	b.must(err)
	b.Cleanup(c.Close)
	return c
}

// delete removes a topic and waits until it is gone.
func (b *bench) delete(topic string) {
	b.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = int32(patience.Milliseconds())
	req.TopicNames = []string{topic}
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...))
	b.must(err)
	defer client.Close()
	resp, err := req.RequestWith(b.ctx, client)
	if err != nil {
		b.Errorf("delete %s: %v", topic, err)
		return
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			b.Errorf("delete %s: %v", topic, err)
		}
	}
	b.until("the topic is gone", func() bool {
		_, err := b.client.Shape(b.ctx, topic)
		return errors.Is(err, kafka.ErrUnknownTopic)
	})
}

// until waits for something to become true.
func (b *bench) until(what string, done func() bool) {
	b.Helper()
	for !done() {
		select {
		case <-b.ctx.Done():
			b.Fatalf("waited in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *bench) group(id string) kafka.GroupConfig {
	return kafka.GroupConfig{
		ID: b.topic + id, Topics: kafka.Select(b.topic), Session: session, MaxWait: 50 * time.Millisecond, Watch: 200 * time.Millisecond, Find: 200 * time.Millisecond,
		OnError: func(err error) {
			if !errors.Is(err, errDone) {
				b.Logf("told: %v", err)
			}
		},
	}
}

var errDone = errors.New("done")

// once runs fn for one generation of a group and leaves.
func (b *bench) once(cfg kafka.GroupConfig, fn func(ctx context.Context, claim *kafka.Claim) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	ran := false
	err := b.client.Consume(ctx, cfg, func(ctx context.Context, claim *kafka.Claim) error {
		if ran {
			return errDone
		}
		ran = true
		defer cancel()
		if err := fn(ctx, claim); err != nil {
			b.Errorf("in the generation: %v", err)
		}
		return errDone
	})
	b.must(err)
	if !ran {
		b.Fatal("no generation owned anything")
	}
}

// drain reads all partitions from the given offsets (from the start where there is none) until their ends. Where an open transaction
// keeps the end out of reach, it reads until nothing comes after the records that are expected.
func (b *bench) drain(seek map[int32]int64, expected int) []record {
	b.Helper()
	var got []record
	b.once(b.group(fmt.Sprintf("-drain-%d", time.Now().UnixNano())), func(ctx context.Context, claim *kafka.Claim) error {
		open := map[event.Source]bool{}
		for _, p := range claim.Owned() {
			open[p.Source] = true
			if at, ok := seek[p.Source.Partition]; ok {
				b.must(claim.Seek(p.Source, at))
			}
		}
		for last := time.Now(); len(open) > 0; {
			if expected > 0 && len(got) >= expected && time.Since(last) > quiet {
				break
			}
			fctx, cancel := context.WithTimeout(ctx, quiet)
			batch, err := claim.Fetch(fctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				continue
			}
			if err != nil {
				return err
			}
			if len(batch.Records) > 0 {
				last = time.Now()
			}
			for i := range batch.Records {
				got = append(got, copyOf(&batch.Records[i]))
			}
			if batch.AtEnd {
				delete(open, batch.Source)
			}
			batch.Release()
		}
		return nil
	})
	return got
}

func copyOf(r *event.Record) record {
	out := record{source: r.Source, offset: r.Offset, time: r.Time}
	if r.Key != nil {
		out.key = append([]byte{}, r.Key...)
	}
	if r.Value != nil {
		out.value = append([]byte{}, r.Value...)
	}
	for _, h := range r.Headers {
		out.headers = append(out.headers, event.Header{Key: h.Key, Value: append([]byte{}, h.Value...)})
	}
	return out
}
