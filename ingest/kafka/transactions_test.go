package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klaxonhq/klaxon/event"
)

// Transactions that span many responses of two partitions are hidden and shown whole, however little a response brings: the list of
// aborted transactions comes anew with each.
func TestTransactionsOverManyResponses(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old fetch %v", old), func(t *testing.T) {
			t.Parallel()
			cluster, addrs := startFake(t, kfake.SeedTopics(2, "in"))
			want := writeTransactions(t, addrs)
			c := NewClient(Config{Brokers: addrs, OldFetch: old})
			defer c.Close()
			fetches := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
			inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
				for _, p := range claim.parts {
					p.maxBytes = 100
				}
				var got []string
				for ended := map[event.Source]bool{}; len(ended) < 2; {
					b, err := claim.Fetch(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					for i := range b.Records {
						got = append(got, fmt.Sprintf("%d %s", b.Source.Partition, b.Records[i].Value))
					}
					if b.AtEnd {
						ended[b.Source] = true
					}
					b.Release()
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
			if n := fetches.Hits(); n < 10 {
				t.Errorf("only %d responses", n)
			}
		})
	}
}

// writeTransactions writes three transactions at once, each of many batches, and returns what is to be seen.
func writeTransactions(t *testing.T, addrs []string) (want []string) {
	t.Helper()
	ctx := testContext(t)
	var producers []*kgo.Client
	for i := range 3 {
		c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic("in"), kgo.TransactionalID(fmt.Sprint(i)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.MetadataMinAge(10*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		producers = append(producers, c)
	}
	for round := range 12 {
		for i, c := range producers {
			p := int32(round % 2)
			value := fmt.Sprintf("txn %d round %d", i, round)
			if err := c.ProduceSync(ctx, &kgo.Record{Partition: p, Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				want = append(want, fmt.Sprintf("%d %s", p, value))
			}
		}
	}
	for i, c := range producers {
		if err := c.EndTransaction(ctx, kgo.TransactionEndTry(i == 1)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	return want
}
