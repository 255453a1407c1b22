package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klaxonhq/klaxon/event"
)

func plenty(records int) SampleLimits { return SampleLimits{Records: records, Bytes: 1 << 20} }

// fill writes numbered records to one partition, each in a batch of its own, a second apart.
func fill(t *testing.T, c *Client, partition int32, n int, start time.Time) {
	t.Helper()
	for i := range n {
		m := Message{Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "%d-%d", partition, i), Time: start.Add(time.Duration(i) * time.Second).UnixMilli(),
			Headers: []event.Header{{Key: "n", Value: fmt.Append(nil, i)}}}
		if err := c.Produce(testContext(t), "in", None, map[int32][]Message{partition: {m}})[partition]; err != nil {
			t.Fatal(err)
		}
	}
}

func mustSample(t *testing.T, c *Client, limits SampleLimits) Sample {
	t.Helper()
	s, err := c.Sample(testContext(t), "in", limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valuesOf(s Sample) []string {
	var out []string
	for _, r := range s.Records {
		out = append(out, string(r.Value))
	}
	return out
}

func TestSampleIsTheNewestOfEveryPartition(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 4)
	start := time.UnixMilli(1791640536000)
	fill(t, c, 0, 20, start)
	fill(t, c, 1, 2, start)
	fill(t, c, 3, 20, start)
	s := mustSample(t, c, plenty(9))
	want := []string{"0-17", "0-18", "0-19", "1-0", "1-1", "3-17", "3-18", "3-19"}
	if got := valuesOf(s); !slices.Equal(got, want) {
		t.Errorf("sampled %v, want %v", got, want)
	}
	if s.Retained != 42 || !s.Ever || s.Removed != 0 || s.TooLarge != 0 {
		t.Errorf("%+v", s)
	}
	if math.Abs(s.Rate-41./19) > 0.001 {
		t.Errorf("%v records a second, want 41 in 19 seconds", s.Rate)
	}
	r := s.Records[2]
	if r.Source.Topic != "in" || r.Source.TopicID == "" || r.Offset != 19 || string(r.Key) != "k19" || string(r.Header("n")) != "19" || r.Time != start.Add(19*time.Second).UnixMilli() {
		t.Errorf("record %+v", r)
	}
}

func TestSampleOfFewerRecordsThanPartitions(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 5)
	for p := range int32(5) {
		fill(t, c, p, 3, time.UnixMilli(1791640536000))
	}
	s := mustSample(t, c, plenty(2))
	if got := valuesOf(s); !slices.Equal(got, []string{"0-2", "1-2"}) {
		t.Errorf("sampled %v", got)
	}
	if s.Retained != 15 || math.Abs(s.Rate-7) > 0.001 {
		t.Errorf("retained %d, rate %v", s.Retained, s.Rate)
	}
}

func TestSampleOwnsItsMemory(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 1)
	fill(t, c, 0, 3, time.UnixMilli(1791640536000))
	s := mustSample(t, c, plenty(3))
	before := fmt.Sprint(s.Records)
	if err := c.Send(testContext(t), "in", numbered(2000, strings.Repeat("x", 500))); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		mustSample(t, c, plenty(2000))
	}
	if after := fmt.Sprint(s.Records); after != before {
		t.Errorf("the sample has changed from %s to %s", before, after)
	}
}

func TestSampleOfATopicWithoutRecords(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 2)
	if s := mustSample(t, c, plenty(10)); len(s.Records) != 0 || s.Ever || s.Retained != 0 || s.Rate != 0 {
		t.Errorf("%+v", s)
	}
	fill(t, c, 1, 5, time.UnixMilli(1791640536000))
	if err := cluster.DeleteRecords("in", 1, 5); err != nil {
		t.Fatal(err)
	}
	if s := mustSample(t, c, plenty(10)); len(s.Records) != 0 || !s.Ever || s.Retained != 0 {
		t.Errorf("all removed: %+v", s)
	}
}

func TestSampleLooksFurtherBackWhereRecordsAreGone(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 0)
	if err := cluster.CreateTopic("compacted", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	for i := range 300 { // five keys, then one key only
		m := Message{Key: fmt.Appendf(nil, "k%d", i%5), Value: fmt.Append(nil, i)}
		if i >= 50 {
			m.Key = []byte("k0")
		}
		if err := c.Produce(testContext(t), "compacted", Lz4, map[int32][]Message{0: {m}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	cluster.Compact()
	s, err := c.Sample(testContext(t), "compacted", plenty(4))
	if err != nil {
		t.Fatal(err)
	}
	if got := valuesOf(s); !slices.Equal(got, []string{"48", "49", "298", "299"}) {
		t.Errorf("sampled %v", got)
	}
	if s.Removed < 240 {
		t.Errorf("%d records are known to be gone", s.Removed)
	}
}

func TestSampleBoundsBytes(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 1)
	for i := range 40 {
		size := 1000
		if i%10 == 5 {
			size = 200_000
		}
		m := Message{Value: append(fmt.Appendf(nil, "%02d", i), bytes.Repeat([]byte("x"), size)...)}
		if err := c.Produce(testContext(t), "in", None, map[int32][]Message{0: {m}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	s := mustSample(t, c, SampleLimits{Records: 40, Bytes: 10_000})
	if len(s.Records) != 9 || string(s.Records[8].Value[:2]) != "39" || s.TooLarge != 4 {
		t.Errorf("%d records, %d too large", len(s.Records), s.TooLarge)
	}
	if s := mustSample(t, c, SampleLimits{Records: 40, Bytes: 1}); len(s.Records) != 0 || s.TooLarge != 40 {
		t.Errorf("of one byte: %d records, %d too large", len(s.Records), s.TooLarge)
	}
}

// TestSampleOfLargeRecords: one may be larger than the part of its partition.
func TestSampleOfLargeRecords(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 4)
	for p := range int32(4) {
		for range 3 {
			m := Message{Value: bytes.Repeat([]byte("x"), 40_000)}
			if err := c.Produce(testContext(t), "in", None, map[int32][]Message{p: {m}})[p]; err != nil {
				t.Fatal(err)
			}
		}
	}
	s := mustSample(t, c, SampleLimits{Records: 12, Bytes: 100_000})
	if len(s.Records) != 2 || s.Records[0].Offset != 2 || s.Records[1].Offset != 2 || s.TooLarge != 6 {
		t.Errorf("%d records, %d too large", len(s.Records), s.TooLarge)
	}
}

// TestSampleOfManyPartitions needs several requests, since one response has not room for all.
func TestSampleOfManyPartitions(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 40)
	batches := map[int32][]Message{}
	for p := range int32(40) {
		for i := range 3 {
			batches[p] = append(batches[p], Message{Value: append(fmt.Appendf(nil, "%d-%d ", p, i), bytes.Repeat([]byte("x"), 100_000)...)})
		}
	}
	for p, err := range c.Produce(testContext(t), "in", None, batches) {
		if err != nil {
			t.Fatalf("partition %d: %v", p, err)
		}
	}
	fetches := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	s := mustSample(t, c, SampleLimits{Records: 120, Bytes: 64 << 20})
	if len(s.Records) != 120 {
		t.Errorf("%d records", len(s.Records))
	}
	if n := fetches.Hits(); n < 2 || n > 80 {
		t.Errorf("%d requests", n)
	}
}

func TestSampleTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  *kerr.Error
		want []string
	}{
		"no right to read": {kerr.TopicAuthorizationFailed, []string{"sample topic in", "READ to consume"}},
		"deleted":          {kerr.UnknownTopicOrPartition, []string{"no such topic"}},
		"never a leader":   {kerr.NotLeaderForPartition, []string{"no leader at the moment"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, c := fakeClient(t, 1)
			fill(t, c, 0, 3, time.UnixMilli(1791640536000))
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: test.err, Count: -1})
			s, err := c.Sample(testContext(t), "in", plenty(3))
			if err == nil || len(s.Records) > 0 {
				t.Fatalf("%d records, error %v", len(s.Records), err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if is := errors.Is(err, ErrUnknownTopic); is != (name == "deleted") {
				t.Errorf("it is an unknown topic: %v", is)
			}
		})
	}
}

func TestSampleTriesAgainAfterAFailover(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	fill(t, c, 0, 3, time.UnixMilli(1791640536000))
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: 1})
	if s := mustSample(t, c, plenty(3)); len(s.Records) != 3 {
		t.Errorf("%d records", len(s.Records))
	}
}

func TestSampleOfATopicThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 1)
	if _, err := c.Sample(testContext(t), "out", plenty(1)); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("error %v", err)
	}
}
