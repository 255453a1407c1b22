package kafkatest

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// sample reads the newest records from behind an aborted transaction and an open one, of compressed and of plain batches, and
// commits nothing.
func sample(b *bench) {
	s := b.create(3, nil)
	plain, one, two := b.producer("", kgo.Lz4Compression()), b.producer("-one", kgo.ZstdCompression()), b.producer("-two", kgo.GzipCompression())
	b.put(plain, 0, "plain", 10)
	b.begin(one)
	b.put(one, 0, "committed", 5)
	b.end(one, kgo.TryCommit)
	b.begin(two)
	b.put(two, 0, "ABORTED", 40)
	b.end(two, kgo.TryAbort)
	b.put(plain, 1, "plain", 3)
	b.begin(one)
	b.put(one, 1, "OPEN", 20)
	b.until("the sample is what was committed", func() bool { // a marker may take a moment to be written
		got, err := b.client.Sample(b.ctx, b.topic, kafka.SampleLimits{Records: 8, Bytes: 1 << 20})
		b.must(err)
		var values []string
		for _, r := range got.Records {
			values = append(values, string(r.Value))
			if r.Source.Topic != b.topic || r.Source.TopicID != s.ID {
				b.Fatalf("a record of %+v", r.Source)
			}
		}
		if got.Removed != 0 {
			b.Fatalf("%d records are said to be compacted away", got.Removed)
		}
		return slices.Equal(values, []string{"committed 1", "committed 2", "committed 3", "committed 4", "plain 0", "plain 1", "plain 2"})
	})
	b.end(one, kgo.TryAbort)
	b.delete(b.topic)
	if _, err := b.client.Sample(b.ctx, b.topic, kafka.SampleLimits{Records: 8, Bytes: 1 << 20}); !errors.Is(err, kafka.ErrUnknownTopic) {
		b.Errorf("error of a topic that was deleted: %v", err)
	}
}
