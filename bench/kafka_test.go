package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"github.com/klaxonhq/klaxon/internal/traffic"
)

// rounds is how often the mix is written to the broker: a run has to be long against what joining a group leaves behind.
const rounds = 8

// BenchmarkFromKafka is the mix, compressed with LZ4, read from the embedded broker: fetch, decompress, and then what the loops do. The
// broker runs on the same core, and its work is in the numbers: they say what the client costs at most.
func BenchmarkFromKafka(b *testing.B) {
	g, l := shipped(b), lanes()[0]
	client, records := fill(b, l)
	b.Run("fetch", func(b *testing.B) {
		read(b, client, records, func(one *event.Batch) int { return len(one.Records) })
	})
	b.Run("match", func(b *testing.B) { read(b, client, records, newMatcher(g).batch) })
	b.Run("archive", func(b *testing.B) { read(b, client, records, newBulker(g).batch) })
}

// fill starts a broker that holds the mix.
func fill(b *testing.B, l lane) (client *kafka.Client, records int) {
	var topics []broker.Topic
	for _, name := range traffic.Topics() {
		topics = append(topics, broker.Topic{Name: name, Partitions: 1})
	}
	server, err := broker.Start("", topics...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	client = kafka.NewClient(kafka.Config{Brokers: []string{server.Addr()}, ClientID: "bench"})
	b.Cleanup(client.Close)
	for range rounds {
		for _, one := range l.batches {
			messages := make([]kafka.Message, len(one.Records))
			for i, r := range one.Records {
				messages[i] = kafka.Message{Key: r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time}
			}
			if err := client.Produce(b.Context(), one.Source.Topic, kafka.Lz4, map[int32][]kafka.Message{0: messages})[0]; err != nil {
				b.Fatal(err)
			}
			records += len(messages)
		}
	}
	return client, records
}

// read reads everything once an iteration, each time as a new group; joining it does not count.
func read(b *testing.B, client *kafka.Client, records int, batch func(*event.Batch) int) {
	var t tally
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		ctx, stop := context.WithTimeout(b.Context(), time.Minute)
		seen := 0
		err := client.Consume(ctx, kafka.GroupConfig{ID: fmt.Sprintf("%s-%d-%d", b.Name(), n, time.Now().UnixNano()), Topics: kafka.Select(traffic.Topics()...)}, func(ctx context.Context, claim *kafka.Claim) error {
			t.resume()
			b.StartTimer()
			for seen < records {
				one, err := claim.Fetch(ctx)
				if err != nil {
					return err
				}
				for i := range one.Records {
					t.bytes += len(one.Records[i].Value)
				}
				seen += len(one.Records)
				t.events += batch(one)
				one.Release()
			}
			b.StopTimer()
			t.pause()
			stop()
			return nil
		})
		stop()
		if err != nil || seen != records {
			b.Fatalf("read %d of %d records: %v", seen, records, err)
		}
		b.StartTimer()
	}
	t.report(b)
}
