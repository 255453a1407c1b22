// Package kafkatest holds the tests that every Kafka must pass together with package kafka: the embedded broker, and real ones.
package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// Suite runs all tests against the cluster at brokers, host:port[,host:port]. Topics are named after the time and deleted again, so
// a cluster may be shared. Every way of reading is tested with both kinds of fetch.
func Suite(t *testing.T, brokers string) {
	t.Run("kafka", func(t *testing.T) { // returns when the parallel tests are done
		for name, test := range map[string]func(*bench){
			"ping and topics": pingAndTopics, "shape": shape, "partitioner": partitioner, "rebalance": rebalance, "recreated topic": recreated, "late topic": lateTopic, "patterns": patterns,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(newBench(t, brokers, false))
			})
		}
		for name, test := range map[string]func(*bench){
			"round trip": roundTrip, "codecs": codecs, "transactions": transactions, "big messages": bigMessages, "removed records": removedRecords, "commit": commit,
			"sample": sample,
		} {
			for _, old := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/old fetch %v", name, old), func(t *testing.T) {
					t.Parallel()
					test(newBench(t, brokers, old))
				})
			}
		}
	})
}

func pingAndTopics(b *bench) {
	b.must(b.client.Ping(b.ctx))
	shape := b.create(2, nil)
	topics, err := b.client.List(b.ctx)
	b.must(err)
	if want := (kafka.Topic{Name: b.topic, ID: shape.ID, Partitions: 2, Replication: 1}); !slices.Contains(topics, want) {
		b.Errorf("%+v is not among %+v", want, topics)
	}
}

func shape(b *bench) {
	if _, err := b.client.Shape(b.ctx, b.topic); !errors.Is(err, kafka.ErrUnknownTopic) {
		b.Fatalf("error of a topic that does not exist: %v", err)
	}
	first := b.create(3, map[string]string{"retention.ms": "86400000"})
	if first.Partitions != 3 || len(first.ID) != 32 {
		b.Errorf("shape %+v", first)
	}
	again := b.create(3, nil)
	if again != first {
		b.Errorf("shape of the topic that is there: %+v, want %+v", again, first)
	}
	_, err := b.client.EnsureTopic(b.ctx, kafka.TopicSpec{Name: b.topic, Partitions: 5})
	var count *kafka.PartitionCountError
	if !errors.As(err, &count) || count.Have != 3 || count.Want != 5 {
		b.Errorf("error of a wrong number of partitions: %v", err)
	}
	b.delete(b.topic)
	if now := b.create(3, nil); now.ID == first.ID {
		b.Error("a topic created anew has the id of the old one")
	}
}

func partitioner(b *bench) {
	b.create(7, nil)
	keys := []string{"", "a", "ab", "abc", "abcd", "203.0.113.9", "user@example.org", "tenant/rule/\x00\xff", "ключ"}
	var messages []kafka.Message
	want := map[string]int32{}
	c := b.kgo(kgo.DefaultProduceTopic(b.topic))
	for _, k := range keys {
		messages = append(messages, kafka.Message{Key: []byte(k), Value: []byte("ours")})
		r, err := c.ProduceSync(b.ctx, &kgo.Record{Key: []byte(k), Value: []byte("theirs")}).First()
		b.must(err)
		want[k] = r.Partition
	}
	b.must(b.client.Send(b.ctx, b.topic, messages))
	seen := 0
	for _, r := range b.drain(nil, 0) {
		if string(r.value) != "ours" {
			continue
		}
		seen++
		if p := r.source.Partition; p != want[string(r.key)] {
			b.Errorf("key %q went to partition %d, franz-go sends it to %d", r.key, p, want[string(r.key)])
		}
	}
	if seen != len(keys) {
		b.Errorf("%d messages, want %d", seen, len(keys))
	}
}

func roundTrip(b *bench) {
	s := b.create(2, nil)
	at := time.Now().Add(-time.Hour).UnixMilli()
	sent := []kafka.Message{
		{Key: []byte("k"), Value: []byte("v"), Time: at, Headers: []event.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "", Value: []byte{}}}},
		{Value: []byte{}},
		{Key: []byte{}, Value: nil},
	}
	b.produce(kafka.None, 0, sent...)
	b.produce(kafka.None, 1)
	got := b.drain(nil, 0)
	if len(got) != len(sent) {
		b.Fatalf("%d records, want %d", len(got), len(sent))
	}
	for i, r := range got {
		if r.source != (event.Source{Topic: b.topic, TopicID: s.ID, Partition: 0}) || r.offset != int64(i) {
			b.Errorf("record %d is %v at %d", i, r.source, r.offset)
		}
		if !bytes.Equal(r.key, sent[i].Key) || (r.key == nil) != (sent[i].Key == nil) {
			b.Errorf("record %d: key %q, want %q", i, r.key, sent[i].Key)
		}
		if !bytes.Equal(r.value, sent[i].Value) || (r.value == nil) != (sent[i].Value == nil) {
			b.Errorf("record %d: value %q, want %q", i, r.value, sent[i].Value)
		}
		if len(r.headers) != len(sent[i].Headers) {
			b.Errorf("record %d: headers %v", i, r.headers)
		}
	}
	if got[0].time != at || string(got[0].headers[0].Value) != "1" || got[0].headers[0].Key != "a" {
		b.Errorf("record 0: time %d, headers %v", got[0].time, got[0].headers)
	}
	if age := time.Since(time.UnixMilli(got[1].time)); age < 0 || age > patience {
		b.Errorf("record 1 is %v old", age)
	}
}

func codecs(b *bench) {
	b.create(1, nil)
	value := bytes.Repeat([]byte("some log line that repeats; "), 50)
	want := 0
	for _, codec := range []kafka.Codec{kafka.None, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		var messages []kafka.Message
		for i := range 300 {
			messages = append(messages, kafka.Message{Value: fmt.Appendf(nil, "ours %v %d %s", codec, i, value)})
		}
		b.produce(codec, 0, messages...)
		want += len(messages)
	}
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		c := b.kgo(kgo.DefaultProduceTopic(b.topic), kgo.ProducerBatchCompression(codec))
		var records []*kgo.Record
		for i := range 300 {
			records = append(records, &kgo.Record{Value: fmt.Appendf(nil, "theirs %s %d %s", name, i, value)})
		}
		b.must(c.ProduceSync(b.ctx, records...).FirstErr())
		want += len(records)
	}
	seen := map[string]bool{}
	for _, r := range b.drain(nil, 0) {
		if !bytes.HasSuffix(r.value, value) {
			b.Fatalf("offset %d holds %.40q...", r.offset, r.value)
		}
		seen[string(r.value)] = true
	}
	if len(seen) != want {
		b.Errorf("%d different values, want %d", len(seen), want)
	}
}

func bigMessages(b *bench) {
	b.create(3, map[string]string{"max.message.bytes": "6000000"})
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16) // more than any limit that a request begins with
	for p := range int32(3) {
		for _, value := range [][]byte{[]byte("before"), big, []byte("after")} {
			b.produce(kafka.None, p, kafka.Message{Value: value})
		}
	}
	got := b.drain(nil, 0)
	sizes := map[int]int{}
	for _, r := range got {
		sizes[len(r.value)]++
	}
	if len(got) != 9 || sizes[len(big)] != 3 {
		b.Errorf("%d records of sizes %v", len(got), sizes)
	}
	tooBig := make([]byte, 7<<20)
	_, err := rand.NewChaCha8([32]byte{}).Read(tooBig) // or lz4 would make it small
	b.must(err)
	err = b.client.Send(b.ctx, b.topic, []kafka.Message{{Key: []byte("k"), Value: []byte("small")}, {Key: []byte("k"), Value: tooBig}, {Key: []byte("k"), Value: []byte("small too")}})
	var rejected *kafka.RejectedError
	if !errors.As(err, &rejected) || len(rejected.Messages) != 1 || rejected.Messages[0] != 1 {
		b.Errorf("error of a message that is too large: %v", err)
	}
	if n := len(b.drain(nil, 0)); n != 11 {
		b.Errorf("%d records after the refusal, want 11", n)
	}
}

func removedRecords(b *bench) {
	b.create(1, nil)
	for i := range 10 {
		b.must(b.client.Send(b.ctx, b.topic, []kafka.Message{{Value: fmt.Append(nil, i)}}))
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = b.topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Offset = 6
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	for _, shard := range b.kgo().RequestSharded(b.ctx, req) {
		b.must(shard.Err)
		for _, t := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			b.must(kerr.ErrorForCode(t.Partitions[0].ErrorCode))
		}
	}
	for name, test := range map[string]struct{ seek, skipped, first int64 }{
		"gone":         {seek: 2, skipped: 4, first: 6},
		"behind end":   {seek: 25, skipped: 15, first: 6},
		"there":        {seek: 7, skipped: 0, first: 7},
		"from start":   {seek: kafka.FirstOffset, skipped: 0, first: 6},
		"at the end":   {seek: 10, skipped: 0, first: 10},
		"no commit":    {seek: -100, skipped: 0, first: 6},
		"start itself": {seek: 6, skipped: 0, first: 6},
	} {
		b.once(b.group("-"+name), func(ctx context.Context, claim *kafka.Claim) error {
			p := claim.Owned()[0]
			if p.Offset != 6 {
				b.Errorf("%s: the first offset is %d, want 6", name, p.Offset)
			}
			if test.seek != -100 {
				b.must(claim.Seek(p.Source, test.seek))
			}
			batch, err := claim.Fetch(ctx)
			if err != nil {
				return err
			}
			defer batch.Release()
			if batch.Skipped != test.skipped || batch.First != test.first || batch.End != 10 {
				b.Errorf("%s: skipped %d, first %d, end %d; want %d, %d, 10", name, batch.Skipped, batch.First, batch.End, test.skipped, test.first)
			}
			return nil
		})
	}
}

func commit(b *bench) {
	b.create(2, nil)
	for p := range int32(2) {
		var messages []kafka.Message
		for i := range 10 {
			messages = append(messages, kafka.Message{Value: fmt.Append(nil, i)})
		}
		b.produce(kafka.Zstd, p, messages...)
	}
	b.once(b.group("-c"), func(ctx context.Context, claim *kafka.Claim) error {
		own := claim.Owned()
		if err := claim.Commit(ctx, event.Offsets{{Topic: b.topic, TopicID: "another", Partition: 0}: 3}); !errors.Is(err, kafka.ErrNotOwned) {
			b.Errorf("commit for another incarnation of the topic: %v", err)
		}
		return claim.Commit(ctx, event.Offsets{own[0].Source: 4, own[1].Source: 7})
	})
	b.once(b.group("-c"), func(ctx context.Context, claim *kafka.Claim) error {
		own := claim.Owned()
		if own[0].Offset != 4 || own[1].Offset != 7 {
			b.Errorf("offsets %d and %d, want 4 and 7", own[0].Offset, own[1].Offset)
		}
		for records := 0; records < 9; {
			batch, err := claim.Fetch(ctx)
			if err != nil {
				return err
			}
			for i := range batch.Records {
				if o, own := batch.Records[i].Offset, own[batch.Source.Partition].Offset; o < own {
					b.Errorf("offset %d was read again", o)
				}
			}
			records += len(batch.Records)
			batch.Release()
		}
		for _, lag := range claim.Lag() {
			if lag.Next != 10 || lag.End != 10 {
				b.Errorf("lag %+v", lag)
			}
		}
		return nil
	})
}

// ledger counts what several members have read and committed.
type ledger struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *ledger) add(batch *event.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batch.Records {
		l.seen[string(batch.Records[i].Value)]++
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// readOn fetches and commits until the generation ends.
func readOn(l *ledger) func(context.Context, *kafka.Claim) error {
	return func(ctx context.Context, claim *kafka.Claim) error {
		for {
			batch, err := claim.Fetch(ctx)
			if err != nil {
				return nil // revoked
			}
			l.add(batch)
			offsets := event.Offsets{batch.Source: batch.Next}
			batch.Release()
			if err := claim.Commit(context.WithoutCancel(ctx), offsets); err != nil && !errors.Is(err, kafka.ErrRevoked) {
				return err
			}
		}
	}
}

func rebalance(b *bench) {
	b.create(6, nil)
	l := &ledger{seen: map[string]int{}}
	total := 0
	send := func(n int) {
		var messages []kafka.Message
		for range n {
			messages = append(messages, kafka.Message{Key: fmt.Append(nil, total), Value: fmt.Append(nil, total)})
			total++
		}
		b.must(b.client.Send(b.ctx, b.topic, messages))
	}
	var wg sync.WaitGroup
	member := func() (stop func()) {
		ctx, cancel := context.WithCancel(b.ctx)
		wg.Go(func() {
			if err := b.client.Consume(ctx, b.group("-r"), readOn(l)); err != nil {
				b.Error(err)
			}
		})
		return cancel
	}
	stop1 := member()
	send(300)
	b.until("one member reads", func() bool { return l.count() > 0 })
	stop2 := member()
	for range 20 {
		send(50)
	}
	b.until("both have read all", func() bool { return l.count() == total })
	stop1()
	for range 10 {
		send(50)
	}
	b.until("the second has read all", func() bool { return l.count() == total })
	stop2()
	wg.Wait()
	b.once(b.group("-r"), func(ctx context.Context, claim *kafka.Claim) error {
		for range claim.Owned() {
			batch, err := claim.Fetch(ctx)
			if err != nil {
				return err
			}
			if len(batch.Records) > 0 {
				b.Errorf("%v: %d records were read but not committed", batch.Source, len(batch.Records))
			}
			batch.Release()
		}
		return nil
	})
}

func recreated(b *bench) {
	b.create(2, nil)
	type read struct {
		id    string
		value string
	}
	var (
		mu  sync.Mutex
		got []read
	)
	count := func(value string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range got {
			if r.value == value {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := b.client.Consume(ctx, b.group("-n"), func(ctx context.Context, claim *kafka.Claim) error {
			for {
				batch, err := claim.Fetch(ctx)
				if err != nil {
					return nil
				}
				mu.Lock()
				for i := range batch.Records {
					got = append(got, read{batch.Source.TopicID, string(batch.Records[i].Value)})
				}
				mu.Unlock()
				if err := claim.Commit(ctx, event.Offsets{batch.Source: batch.Next}); err != nil {
					b.Logf("commit: %v", err)
				}
				batch.Release()
			}
		})
		if err != nil {
			b.Error(err)
		}
	})
	b.everywhere(2, "old")
	b.until("the old topic is read", func() bool { return count("old") == 2 })
	b.delete(b.topic)
	now := b.create(5, nil)
	b.everywhere(5, "new")
	b.until("the new topic is read, where offsets of the old one were committed too", func() bool { return count("new") >= 5 })
	cancel()
	wg.Wait()
	for _, r := range got {
		if (r.value == "new") != (r.id == now.ID) {
			b.Errorf("%q was read from topic id %s; the new one is %s", r.value, r.id, now.ID)
		}
	}
}

// everywhere writes a value to every partition.
func (b *bench) everywhere(partitions int32, value string) {
	b.Helper()
	for p := range partitions {
		b.produce(kafka.None, p, kafka.Message{Value: []byte(value)})
	}
}

func lateTopic(b *bench) {
	told := make(chan error, 100)
	cfg := b.group("-l")
	cfg.OnError = func(err error) {
		select {
		case told <- err:
		default:
		}
	}
	ctx, cancel := context.WithCancel(b.ctx)
	l := &ledger{seen: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.client.Consume(ctx, cfg, readOn(l)); err != nil {
			b.Error(err)
		}
	})
	select {
	case err := <-told:
		if !errors.Is(err, kafka.ErrUnknownTopic) || !bytes.Contains([]byte(err.Error()), []byte(b.topic)) {
			b.Errorf("told %v", err)
		}
	case <-b.ctx.Done():
		b.Error("nothing was told about a topic that does not exist")
	}
	b.create(2, nil)
	b.must(b.client.Send(b.ctx, b.topic, []kafka.Message{{Value: []byte("x")}}))
	b.until("the topic that was created late is read", func() bool { return l.count() == 1 })
	cancel()
	wg.Wait()
}
