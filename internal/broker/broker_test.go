package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func start(t *testing.T, dir string, o Options, topics ...Topic) *Broker {
	t.Helper()
	b, err := StartWith(dir, o, topics...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stop(t *testing.T, b *Broker) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.Addr()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func write(t *testing.T, b *Broker, topic string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := client(t, b, kgo.DefaultProduceTopic(topic))
	for i := range n {
		if err := c.ProduceSync(ctx, &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, b *Broker, topic string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := client(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := 0
	for got < n {
		f := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records", got, n)
		}
		got += f.NumRecords()
	}
}

// partitions is how many a topic has, 0 when there is none.
func partitions(t *testing.T, b *Broker, topic string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, client(t, b))
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Fatal(err)
		}
		return 0
	}
	return len(resp.Topics[0].Partitions)
}

func TestFolderKeepsTopicsAndRecords(t *testing.T) {
	dir := t.TempDir() + "/data"
	b := start(t, dir, Options{SyncWrites: true}, Topic{"a", 3})
	write(t, b, "a", 5)
	stop(t, b)

	b = start(t, dir, Options{}, Topic{"a", 7}, Topic{"b", 2})
	defer stop(t, b)
	if got := partitions(t, b, "a"); got != 3 {
		t.Errorf("a has %d partitions after a restart, want the 3 it had", got)
	}
	if got := partitions(t, b, "b"); got != 2 {
		t.Errorf("b, new in an old folder, has %d partitions, want 2", got)
	}
	read(t, b, "a", 5)
}

func TestNoAutomaticTopicsAndLoopbackOnly(t *testing.T) {
	b := start(t, "", Options{})
	defer stop(t, b)
	if got := partitions(t, b, "nobody-asked"); got != 0 {
		t.Errorf("asking for a topic made it, with %d partitions", got)
	}
	host, _, err := net.SplitHostPort(b.Addr())
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("listens at %s (%v)", b.Addr(), err)
	}
}

func TestFixedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if _, err := StartWith("", Options{Port: port}); err == nil {
		t.Fatal("started on a port that is in use")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := start(t, "", Options{Port: port})
	defer stop(t, b)
	if want := fmt.Sprintf("127.0.0.1:%d", port); b.Addr() != want {
		t.Errorf("listens at %s, want %s", b.Addr(), want)
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	if _, err := Start("/dev/null/x"); err == nil {
		t.Fatal("no error")
	}
}

func TestOnRequestIsToldEveryRequest(t *testing.T) {
	var mu sync.Mutex
	seen := map[int16]int{}
	b := start(t, "", Options{OnRequest: func(key int16) {
		mu.Lock()
		defer mu.Unlock()
		seen[key]++
	}}, Topic{"a", 1})
	defer stop(t, b)
	write(t, b, "a", 3)
	mu.Lock()
	defer mu.Unlock()
	if seen[int16(kmsg.Produce)] != 3 || seen[int16(kmsg.Metadata)] == 0 || seen[int16(kmsg.Fetch)] != 0 {
		t.Errorf("seen %v", seen)
	}
}
