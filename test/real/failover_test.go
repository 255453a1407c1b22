package real

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/realtest"
)

// The size of the run, before and after a broker is killed.
const (
	failoverBatch   = 50
	failoverBatches = 40
)

// kafkaFailover kills one broker of three while a group reads and somebody writes, and starts it again: whatever was acknowledged is
// read, and reading and writing go on meanwhile.
func kafkaFailover(t *testing.T, servers *realtest.Servers) {
	t.Helper()
	cluster := servers.NewKafkaCluster(t, 3)
	client := kafka.NewClient(kafka.Config{Brokers: strings.Split(cluster.Brokers, ",")})
	defer client.Close()
	ctx, done := context.WithTimeout(t.Context(), 3*time.Minute)
	defer done()
	if _, err := client.EnsureTopic(ctx, kafka.TopicSpec{Name: "kept", Partitions: 6, Replication: 3, Config: map[string]string{"min.insync.replicas": "2"}}); err != nil {
		t.Fatal(err)
	}
	r := &failoverReader{seen: map[string]bool{}}
	reading, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		cfg := kafka.GroupConfig{ID: "failover", Topics: kafka.Select("kep*"), Session: 6 * time.Second, OnError: func(err error) { t.Logf("told: %v", err) }}
		if err := client.Consume(reading, cfg, r.read); err != nil {
			t.Error(err)
		}
	})
	acknowledged := 0
	send := func() {
		t.Helper()
		for range failoverBatches {
			messages := make([]kafka.Message, failoverBatch)
			for i := range messages {
				messages[i] = kafka.Message{Key: fmt.Append(nil, acknowledged+i), Value: fmt.Append(nil, acknowledged+i)}
			}
			if err := client.Send(ctx, "kept", messages); err != nil {
				t.Fatal(err)
			}
			acknowledged += failoverBatch
		}
	}
	all := func() bool { return r.count() == acknowledged }
	send()
	eventually(t, time.Minute, "all is read before", all)
	if err := cluster.Kill9(0); err != nil {
		t.Fatal(err)
	}
	send()
	eventually(t, 2*time.Minute, "all is read without the broker", all)
	if err := cluster.Restart(0); err != nil {
		t.Fatal(err)
	}
	send()
	eventually(t, time.Minute, "all is read after it came back", all)
	stop()
	wg.Wait()
}

// failoverReader keeps which messages were read.
type failoverReader struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (r *failoverReader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *failoverReader) read(ctx context.Context, claim *kafka.Claim) error {
	for {
		b, err := claim.Fetch(ctx)
		if err != nil {
			return nil
		}
		r.mu.Lock()
		for i := range b.Records {
			r.seen[string(b.Records[i].Value)] = true
		}
		r.mu.Unlock()
		offsets := event.Offsets{b.Source: b.Next}
		b.Release()
		_ = claim.Commit(ctx, offsets) // while the coordinator moves it fails: what was not committed is read again
	}
}
