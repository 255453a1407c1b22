package kafkatest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactions compares what is read of committed, aborted and open transactions with what franz-go reads, from every offset.
func transactions(b *bench) {
	const partitions = 2
	b.create(partitions, nil)
	plain := b.producer("", kgo.Lz4Compression())
	one, two := b.producer("-one", kgo.Lz4Compression()), b.producer("-two", kgo.ZstdCompression())
	for p := range int32(partitions) {
		b.put(plain, p, "plain", 3)
	}
	b.begin(one)
	b.put(one, 0, "committed", 5)
	b.put(one, 1, "committed", 1)
	b.end(one, kgo.TryCommit)
	b.begin(two)
	b.put(two, 0, "ABORTED", 5)
	b.put(two, 1, "ABORTED", 2)
	b.end(two, kgo.TryAbort)
	b.put(plain, 0, "plain", 3)
	b.begin(one) // both at once, one of them aborted
	b.begin(two)
	for range 2 {
		b.put(one, 0, "ABORTED", 2)
		b.put(two, 0, "committed", 2)
		b.put(plain, 0, "plain", 2)
		b.put(one, 1, "ABORTED", 3)
	}
	b.end(one, kgo.TryAbort)
	b.end(two, kgo.TryCommit)
	b.begin(one) // the producer that aborted is heard again
	b.put(one, 0, "committed", 2)
	b.end(one, kgo.TryCommit)

	want := b.readByKgo(nil)
	if len(want) == 0 {
		b.Fatal("franz-go read nothing")
	}
	b.compare("all", nil, want)
	for from := int64(1); from <= 30; from += 3 { // the middle of transactions too
		b.compare(fmt.Sprintf("from %d", from), map[int32]int64{0: from, 1: from % 9}, want)
	}

	b.begin(two)
	b.put(two, 0, "OPEN", 4)
	b.put(plain, 0, "after", 1)
	b.compare("with an open transaction", nil, want)
	b.end(two, kgo.TryAbort)
	b.until("the abort is visible", func() bool { return len(b.readByKgo(nil)) > len(want) })
	b.compare("after it was aborted", nil, b.readByKgo(nil))
}

func (b *bench) producer(id string, codec kgo.CompressionCodec) *kgo.Client {
	b.Helper()
	opts := []kgo.Opt{kgo.DefaultProduceTopic(b.topic), kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if id != "" {
		opts = append(opts, kgo.TransactionalID(b.topic+id), kgo.TransactionTimeout(patience))
	}
	return b.kgo(opts...)
}

func (b *bench) put(c *kgo.Client, partition int32, tag string, n int) {
	b.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, "%s %d", tag, i)})
	}
	b.must(c.ProduceSync(b.ctx, records...).FirstErr())
}

func (b *bench) begin(c *kgo.Client) {
	b.Helper()
	b.must(c.BeginTransaction())
}

func (b *bench) end(c *kgo.Client, how kgo.TransactionEndTry) {
	b.Helper()
	b.must(c.EndTransaction(b.ctx, how))
}

// readByKgo returns "partition/offset value" of every record that a reader of committed transactions sees.
func (b *bench) readByKgo(from map[int32]int64) []string {
	b.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(b.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	b.must(err)
	defer c.Close()
	var out []string
	for {
		ctx, cancel := context.WithTimeout(b.ctx, quiet)
		fetches := c.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 && ctx.Err() != nil {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= from[r.Partition] {
				out = append(out, fmt.Sprintf("%d/%d %s", r.Partition, r.Offset, r.Value))
			}
		})
	}
	slices.Sort(out)
	return out
}

// compare reads from the given offsets and wants what is behind them in all.
func (b *bench) compare(what string, from map[int32]int64, all []string) {
	b.Helper()
	var want, got []string
	for _, s := range all {
		var p int32
		var o int64
		if _, err := fmt.Sscanf(s, "%d/%d ", &p, &o); err != nil {
			b.Fatal(err)
		}
		if o >= from[p] {
			want = append(want, s)
		}
	}
	for _, r := range b.drain(from) {
		got = append(got, fmt.Sprintf("%d/%d %s", r.source.Partition, r.offset, r.value))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		b.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}
