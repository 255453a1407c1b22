package kafkatest

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const transactionPartitions = 2

// transactions compares what is read of committed, aborted and open transactions with what franz-go reads, from every offset.
func transactions(b *bench) {
	b.create(transactionPartitions, nil)
	plain := b.producer("", kgo.Lz4Compression())
	one, two := b.producer("-one", kgo.Lz4Compression()), b.producer("-two", kgo.ZstdCompression())
	for p := range int32(transactionPartitions) {
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

	want := b.readByKgo()
	if len(want) == 0 {
		b.Fatal("franz-go read nothing")
	}
	b.compare("all", nil, want)
	for from := int64(1); from <= 31; from += 5 { // the middle of transactions too
		b.compare(fmt.Sprintf("from %d", from), map[int32]int64{0: from, 1: from % 9}, want)
	}

	b.begin(two)
	b.put(two, 0, "OPEN", 4)
	b.put(plain, 0, "after", 1)
	b.compare("with an open transaction", nil, want)
	b.end(two, kgo.TryAbort)
	b.until("the abort is visible", func() bool { return len(b.readByKgo()) > len(want) })
	b.compare("after it was aborted", nil, b.readByKgo())
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
func (b *bench) readByKgo() []string {
	b.Helper()
	ends := b.stableEnds()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(b.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond), kgo.KeepControlRecords())
	b.must(err)
	defer c.Close()
	var out []string
	for len(ends) > 0 && b.ctx.Err() == nil {
		c.PollFetches(b.ctx).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, fmt.Sprintf("%d/%d %s", r.Partition, r.Offset, r.Value))
			}
			if r.Offset >= ends[r.Partition]-1 {
				delete(ends, r.Partition)
			}
		})
	}
	slices.Sort(out)
	return out
}

// stableEnds returns up to where committed transactions can be read.
func (b *bench) stableEnds() map[int32]int64 {
	b.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, 1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = b.topic
	for p := range int32(transactionPartitions) {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p, -1, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	ends := map[int32]int64{}
	for _, shard := range b.kgo().RequestSharded(b.ctx, req) {
		b.must(shard.Err)
		for _, p := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			b.must(kerr.ErrorForCode(p.ErrorCode))
			ends[p.Partition] = p.Offset
		}
	}
	return ends
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
	for _, r := range b.drain(from, len(want)) {
		got = append(got, fmt.Sprintf("%d/%d %s", r.source.Partition, r.offset, r.value))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		b.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}
