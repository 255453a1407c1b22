package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/broker"
)

const patience = 20 * time.Second

// startBroker starts an embedded broker and returns a client of it.
func startBroker(t *testing.T, topics ...broker.Topic) (*broker.Broker, *Client) {
	t.Helper()
	b, err := broker.Start("", topics...)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(Config{Brokers: []string{b.Addr()}})
	t.Cleanup(func() {
		c.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, c
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// groupConfig is quick to notice everything.
func groupConfig(id string, topics ...string) GroupConfig {
	return GroupConfig{ID: id, Topics: Select(topics...), Session: 4 * time.Second, MaxWait: 50 * time.Millisecond, Watch: 100 * time.Millisecond, Find: 100 * time.Millisecond}
}

func numbered(n int, tag string) []Message {
	out := make([]Message, n)
	for i := range out {
		out[i] = Message{Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, "%s-%d", tag, i)}
	}
	return out
}

var errEnough = errors.New("enough")

func TestConsumeSentMessagesAndCommittedOffsets(t *testing.T) {
	t.Parallel()
	_, c := startBroker(t, broker.Topic{Name: "in", Partitions: 4})
	ctx := testContext(t)
	if err := c.Send(ctx, "in", numbered(100, "a")); err != nil {
		t.Fatal(err)
	}
	got := readValues(ctx, t, c, groupConfig("g", "in"), 100)
	if len(got) != 100 {
		t.Fatalf("%d values, want 100", len(got))
	}
	if err := c.Send(ctx, "in", numbered(10, "b")); err != nil {
		t.Fatal(err)
	}
	again := readValues(ctx, t, c, groupConfig("g", "in"), 10)
	for v := range again {
		if v[0] != 'b' {
			t.Errorf("%s was committed and read again", v)
		}
	}
}

// readValues reads with one member until n different values were seen, commits and leaves.
func readValues(ctx context.Context, t *testing.T, c *Client, cfg GroupConfig, n int) map[string]int {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	got := map[string]int{}
	var once sync.Once
	cfg.OnError = func(err error) {
		if !errors.Is(err, errEnough) {
			t.Logf("told: %v", err)
		}
	}
	err := c.Consume(ctx, cfg, func(ctx context.Context, claim *Claim) error {
		done := event.Offsets{}
		for len(got) < n {
			b, err := claim.Fetch(ctx)
			if err != nil {
				return err
			}
			for i := range b.Records {
				got[string(b.Records[i].Value)]++
			}
			done[b.Source] = b.Next
			b.Release()
		}
		if err := claim.Commit(ctx, done); err != nil {
			t.Error(err)
		}
		once.Do(stop)
		return errEnough
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
