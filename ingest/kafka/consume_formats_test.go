package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// answerFetch answers the next n fetches with one partition's records; n < 0: all.
func answerFetch(cluster *kfake.Cluster, n int, high int64, records []byte) {
	cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if n == 0 {
			return nil, nil, false
		}
		n--
		cluster.KeepControl()
		req := r.(*kmsg.FetchRequest)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic = req.Topics[0].Topic
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.Partition = req.Topics[0].Partitions[0].Partition
		rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = high, high, 0
		rp.RecordBatches = records
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
}

func TestBatchesThatCannotBeReadAreSkippedAndTold(t *testing.T) {
	t.Parallel()
	broken := built{records: values(3, "x")}.bytes(t)
	broken[65] ^= 1
	bomb := built{codec: Zstd, last: 2, count: 3, body: compress(t, Zstd, false, make([]byte, defaultLimit+1))}.bytes(t)
	for name, test := range map[string]struct {
		raw     []byte
		answers int
		want    string
	}{
		"checksum":          {broken, checksumTries + 1, "checksum"},
		"bomb":              {bomb, 1, "larger than allowed"},
		"malformed records": {built{last: 2, count: 3, body: make([]byte, 40)}.bytes(t), 1, "malformed"},
		"unknown codec":     {built{last: 2, count: 3, codec: 7, body: make([]byte, 40)}.bytes(t), 1, "codec 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, c := fakeClient(t, 1)
			send(t, c, 5)
			answerFetch(cluster, test.answers, 5, test.raw)
			w := newWatcher()
			cfg := groupConfig("g", "in")
			cfg.OnError = w.onError
			inGeneration(t, c, cfg, func(ctx context.Context, claim *Claim) {
				got, skipped := fetchN(ctx, t, claim, 2)
				if fmt.Sprint(got) != "[m-3 m-4]" || skipped != 3 {
					t.Errorf("got %v, %d skipped", got, skipped)
				}
				w.wait(ctx, t, "topic in partition 0", "offsets 0 to 2", test.want)
			})
		})
	}
}

func TestOneBrokenAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	broken := built{records: values(3, "x")}.bytes(t)
	broken[65] ^= 1
	cluster, c := fakeClient(t, 1)
	send(t, c, 5)
	answerFetch(cluster, 1, 5, broken)
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		if got, skipped := fetchN(ctx, t, claim, 5); len(got) != 5 || skipped != 0 {
			t.Errorf("got %v, %d skipped", got, skipped)
		}
	})
}

func TestOldMessageFormatsAreReadByKafkaGo(t *testing.T) {
	t.Parallel()
	for _, codec := range []Codec{None, Gzip, Snappy} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			var set bytes.Buffer
			rs := protocol.RecordSet{Version: 1, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(
				protocol.Record{Offset: 0, Time: time.UnixMilli(1000), Key: protocol.NewBytes([]byte("k")), Value: protocol.NewBytes([]byte("old 0"))},
				protocol.Record{Offset: 1, Time: time.UnixMilli(2000), Value: protocol.NewBytes([]byte("old 1"))},
			)}
			if _, err := rs.WriteTo(&set); err != nil {
				t.Fatal(err)
			}
			cluster, c := fakeClient(t, 1)
			send(t, c, 4)
			answerFetch(cluster, 2, 4, set.Bytes()[sizeBytes:]) // once for the raw fetch, once for kafka-go's
			inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
				if got, skipped := fetchN(ctx, t, claim, 4); fmt.Sprint(got) != "[old 0 old 1 m-2 m-3]" || skipped != 0 {
					t.Errorf("got %v, %d skipped", got, skipped)
				}
			})
		})
	}
}

func TestOldBrokersAreReadByKafkaGo(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 2, kfake.MaxVersions(kversion.V2_2_0()))
	versions := map[int16]bool{}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		versions[r.GetVersion()] = true
		return true
	}})
	send(t, c, 20)
	s, err := c.Shape(testContext(t), "in")
	if err != nil || s != (Shape{"", 2}) {
		t.Fatalf("shape %+v, %v", s, err)
	}
	if _, err := c.Shape(testContext(t), "none"); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("error %v", err)
	}
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		if got, _ := fetchN(ctx, t, claim, 20); len(got) != 20 {
			t.Errorf("%d records", len(got))
		}
	})
	if versions[fetchVersion] || len(versions) != 1 {
		t.Errorf("fetch versions %v", versions)
	}
}
