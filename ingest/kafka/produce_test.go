package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/klaxonhq/klaxon/event"
)

// one is a message for each of n partitions.
func one(n int32) map[int32][]Message {
	parts := map[int32][]Message{}
	for p := range n {
		parts[p] = []Message{{Value: fmt.Append(nil, p)}}
	}
	return parts
}

func produceFault(e *kerr.Error, count int, partitions ...int32) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: partitions, Err: e, Count: count}
}

func TestProduceTellsPartitionsApart(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 4)
	cluster.Fault(produceFault(kerr.NotEnoughReplicas, 1, 1))
	cluster.Fault(produceFault(kerr.MessageTooLarge, 1, 2))
	cluster.Fault(produceFault(kerr.TopicAuthorizationFailed, 1, 3))
	parts := one(4)
	parts[9] = parts[0]
	parts[-1] = parts[0]
	parts[7] = nil
	result := c.Produce(testContext(t), "in", Lz4, parts)
	for p, want := range map[int32]struct {
		err       error
		retryable bool
		hint      string
	}{
		0: {}, 7: {},
		1:  {kafkago.NotEnoughReplicas, true, "min.insync.replicas"},
		2:  {kafkago.MessageSizeTooLarge, false, "max.message.bytes"},
		3:  {kafkago.TopicAuthorizationFailed, false, "ACL"},
		9:  {kafkago.UnknownTopicOrPartition, true, "correct its name"},
		-1: {kafkago.UnknownTopicOrPartition, true, "correct its name"},
	} {
		err, ok := result[p]
		if !ok {
			t.Errorf("partition %d has no result", p)
			continue
		}
		if want.err == nil {
			if err != nil {
				t.Errorf("partition %d: %v", p, err)
			}
			continue
		}
		var failed *ProduceError
		if !errors.As(err, &failed) || !errors.Is(err, want.err) || failed.Retryable() != want.retryable || failed.Partition != p {
			t.Errorf("partition %d: %v", p, err)
			continue
		}
		if !strings.Contains(err.Error(), want.hint) || !strings.Contains(err.Error(), fmt.Sprintf("topic in partition %d", p)) {
			t.Errorf("partition %d: %q does not say %q", p, err, want.hint)
		}
	}
	if len(result) != len(parts) {
		t.Errorf("%d results for %d partitions", len(result), len(parts))
	}
}

func TestProduceMakesOneRequestPerLeader(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 12, kfake.NumBrokers(3))
	for p := range int32(12) {
		if err := cluster.MoveTopicPartition("in", p, p%3); err != nil {
			t.Fatal(err)
		}
	}
	requests := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: -1})
	for p, err := range c.Produce(testContext(t), "in", None, one(12)) {
		if err != nil {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	if n := requests.Hits(); n != 3 {
		t.Errorf("%d requests to 3 leaders", n)
	}
}

func TestProduceTriesOnceAndFindsTheNewLeader(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 2, kfake.NumBrokers(2))
	for p := range int32(2) {
		if err := cluster.MoveTopicPartition("in", p, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Produce(testContext(t), "in", None, one(1))[0]; err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if err := cluster.MoveTopicPartition("in", p, 1); err != nil {
			t.Fatal(err)
		}
	}
	var failed *ProduceError
	if err := c.Produce(testContext(t), "in", None, one(1))[0]; !errors.As(err, &failed) || !failed.Retryable() || !errors.Is(err, kafkago.NotLeaderForPartition) {
		t.Errorf("the old leader says %v", err)
	}
	if err := c.Produce(testContext(t), "in", None, one(1))[0]; err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestProduceToNobody(t *testing.T) {
	t.Parallel()
	c := NewClient(Config{Brokers: []string{silentThenFree(t)}})
	defer c.Close()
	for p, err := range c.Produce(testContext(t), "in", None, one(2)) {
		var failed *ProduceError
		if !errors.As(err, &failed) || !failed.Retryable() || failed.Broker != -1 || !strings.Contains(err.Error(), "nothing listens there") {
			t.Errorf("partition %d: %v", p, err)
		}
	}
}

// readBack reads n values of "in".
func readBack(t *testing.T, c *Client, n int) (got []string) {
	t.Helper()
	inGeneration(t, c, groupConfig("back", "in"), func(ctx context.Context, claim *Claim) {
		got, _ = fetchN(ctx, t, claim, n)
		for range claim.Owned() {
			if b, err := claim.Fetch(ctx); err != nil || len(b.Records) > 0 {
				t.Errorf("there is more than %d values: %v", n, err)
			}
		}
	})
	return got
}

func TestSendRetriesUntilAcknowledged(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*kerr.Error{"failover": kerr.NotLeaderForPartition, "no rights for a while": kerr.TopicAuthorizationFailed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, c := fakeClient(t, 1)
			core, logs := observer.New(zapcore.WarnLevel)
			c.log = zap.New(core)
			cluster.Fault(produceFault(e, 2))
			send(t, c, 20)
			got := readBack(t, c, 20)
			for i, v := range got {
				if v != fmt.Sprintf("m-%d", i) {
					t.Errorf("value %d is %s", i, v)
				}
			}
			if logs.Len() != 1 {
				t.Errorf("%d warnings, want one for the same error: %v", logs.Len(), logs.All())
			}
		})
	}
}

func TestSendKeepsOrderAcrossBatches(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 1})
	filler := strings.Repeat("x", 20<<10)
	var messages []Message
	for i := range 100 { // 2 MB: several requests
		messages = append(messages, Message{Value: fmt.Appendf(nil, "%d %s", i, filler), Headers: []event.Header{{Key: "k", Value: []byte("v")}}})
	}
	if err := c.Send(testContext(t), "in", messages); err != nil {
		t.Fatal(err)
	}
	for i, v := range readBack(t, c, 100) {
		if !strings.HasPrefix(v, fmt.Sprintf("%d ", i)) {
			t.Fatalf("value %d begins %.10q", i, v)
		}
	}
}

func TestSendFindsTheMessageThatIsRefused(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: -1, When: func(r kmsg.Request) bool {
		for _, p := range r.(*kmsg.ProduceRequest).Topics[0].Partitions {
			raw := bytes.Clone(p.Records)
			got, _, err := decodeAll(&memory{}, newDecoder(defaultLimit), raw, 0)
			if err != nil {
				t.Error(err)
			}
			for _, rec := range got {
				if v := string(rec.Value); v == "m-7" || v == "m-19" {
					return true
				}
			}
		}
		return false
	}})
	err := c.Send(testContext(t), "in", numbered(20, "m"))
	var rejected *RejectedError
	if !errors.As(err, &rejected) || fmt.Sprint(rejected.Messages) != "[7 19]" || !errors.Is(err, kafkago.InvalidRecord) {
		t.Fatalf("error %v", err)
	}
	if got := readBack(t, c, 18); got[7] != "m-8" {
		t.Errorf("got %v", got)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, topic := range map[string]string{"no broker": "", "no topic": "missing"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c *Client
			if topic == "" {
				c = NewClient(Config{Brokers: []string{silentThenFree(t)}})
				defer c.Close()
			} else {
				_, c = fakeClient(t, 1)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			err := c.Send(ctx, "missing", numbered(1, "m"))
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "topic missing") {
				t.Errorf("error %v", err)
			}
		})
	}
	if err := NewClient(Config{}).Send(t.Context(), "in", numbered(1, "m")); !errors.Is(err, errNoBrokers) {
		t.Errorf("error %v", err)
	}
	if err := NewClient(Config{}).Send(t.Context(), "in", nil); err != nil {
		t.Errorf("error of nothing to send: %v", err)
	}
}

func TestSendSpreadsMessagesWithoutAKey(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 3)
	for range 3 {
		if err := c.Send(testContext(t), "in", []Message{{Value: []byte("a")}, {Value: []byte("b")}}); err != nil {
			t.Fatal(err)
		}
	}
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		fetchN(ctx, t, claim, 6)
		for _, l := range claim.Lag() {
			if l.End != 2 {
				t.Errorf("partition %d holds %d messages, want 2", l.Source.Partition, l.End)
			}
		}
	})
}

// TestEnsureTopicSaysWhatItCreates: who runs a cluster wants to know where a topic comes from.
func TestEnsureTopicSaysWhatItCreates(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 1)
	core, logs := observer.New(zapcore.InfoLevel)
	c.log = zap.New(core)
	for range 2 {
		if _, err := c.EnsureTopic(testContext(t), TopicSpec{Name: "own", Partitions: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if got := logs.FilterMessage("kafka: created a topic").All(); len(got) != 1 || got[0].ContextMap()["topic"] != "own" {
		t.Errorf("it says %v", got)
	}
}

func TestManySendersAtOnce(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 4)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := c.Send(testContext(t), "in", numbered(25, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, v := range readBack(t, c, 200) {
		seen[v] = true
	}
	if len(seen) != 200 {
		t.Errorf("%d different values, want 200", len(seen))
	}
}

func TestEnsureTopicErrors(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	for name, test := range map[string]struct {
		spec TopicSpec
		want []string
	}{
		"too many replicas": {TopicSpec{Name: "r", Partitions: 1, Replication: 9}, []string{"create topic r", "fewer brokers"}},
	} {
		_, err := c.EnsureTopic(testContext(t), test.spec)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.NotController})
	if s, err := c.EnsureTopic(testContext(t), TopicSpec{Name: "later", Partitions: 2}); err != nil || s.Partitions != 2 {
		t.Errorf("after a controller that moved: %+v, %v", s, err)
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAlreadyExists})
	if s, err := c.EnsureTopic(testContext(t), TopicSpec{Name: "race", Partitions: 2}); err != nil || s.Partitions != 2 {
		t.Errorf("with somebody else creating it: %+v, %v", s, err)
	}
}
