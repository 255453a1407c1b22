package kafka

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// commitByHand stores an offset for a group without members, as tools do.
func commitByHand(t *testing.T, addrs []string, group string, partition int32, offset int64, metadata string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MaxVersions(kversion.V3_0_0())) // which names topics, not ids
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = "in"
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Partition, rp.Offset, rp.Metadata = partition, offset, &metadata
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(testContext(t), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

func TestCommittedOffsetsOfAnEarlierTopicAreNotUsed(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 4)
	addrs := c.cfg.Brokers
	for p := range int32(4) {
		if err := c.Produce(testContext(t), "in", None, map[int32][]Message{p: numbered(10, "m")})[p]; err != nil {
			t.Fatal(err)
		}
	}
	shape, err := c.Shape(testContext(t), "in")
	if err != nil {
		t.Fatal(err)
	}
	commitByHand(t, addrs, "g", 0, 5, "00112233445566778899aabbccddeeff")
	commitByHand(t, addrs, "g", 1, 6, shape.ID)
	commitByHand(t, addrs, "g", 2, 7, "")
	commitByHand(t, addrs, "g", 3, 8, "somebody's note")
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "g", Err: kerr.CoordinatorLoadInProgress, Count: 1})
	w := newWatcher()
	cfg := groupConfig("g", "in")
	cfg.OnError = w.onError
	inGeneration(t, c, cfg, func(ctx context.Context, claim *Claim) {
		for i, want := range []int64{0, 6, 7, 8} {
			if got := claim.Owned()[i].Offset; got != want {
				t.Errorf("partition %d begins at %d, want %d", i, got, want)
			}
		}
		fetchN(ctx, t, claim, 10+4+3+2)
		w.wait(ctx, t, "topic in partition 0", "the committed offset, 5, is of an earlier topic")
	})
}

func TestCheckingOffsetsEndsWithTheGeneration(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	commitByHand(t, c.cfg.Brokers, "g", 0, 0, "")
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed, Count: -1, When: func(r kmsg.Request) bool {
		return r.GetVersion() > 1 // not the one with which kafka-go joins
	}})
	w := newWatcher()
	cfg := groupConfig("g", "in")
	cfg.OnError = w.onError
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Consume(ctx, cfg, func(context.Context, *Claim) error {
			t.Error("was called without offsets")
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	w.wait(ctx, t, "read the offsets of group g", "ACL Read on group g", "kafka-acls.sh", "--operation Read --group g")
	start := time.Now()
	cancel()
	wg.Wait()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v to end", took)
	}
}
