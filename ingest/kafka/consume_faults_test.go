package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klaxonhq/klaxon/event"
)

// watcher collects what OnError is told.
type watcher struct {
	mu   sync.Mutex
	told []error
	news chan struct{}
}

func newWatcher() *watcher { return &watcher{news: make(chan struct{}, 1)} }

func (w *watcher) onError(err error) {
	if errors.Is(err, errEnough) {
		return
	}
	w.mu.Lock()
	w.told = append(w.told, err)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// wait waits until something was told that contains all parts.
func (w *watcher) wait(ctx context.Context, t *testing.T, parts ...string) {
	t.Helper()
	for {
		w.mu.Lock()
		for _, err := range w.told {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(err.Error(), p)
			}
			if all {
				w.mu.Unlock()
				return
			}
		}
		told := errors.Join(w.told...)
		w.mu.Unlock()
		select {
		case <-w.news:
		case <-ctx.Done():
			t.Fatalf("nothing with %q was told, but: %v", parts, told)
		}
	}
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

// fakeClient starts a fake cluster with one topic "in".
func fakeClient(t *testing.T, partitions int32, opts ...kfake.Opt) (*kfake.Cluster, *Client) {
	t.Helper()
	cluster, addrs := startFake(t, append([]kfake.Opt{kfake.SeedTopics(partitions, "in")}, opts...)...)
	c := NewClient(Config{Brokers: addrs})
	t.Cleanup(c.Close)
	return cluster, c
}

// inGeneration runs fn in the first generation of a group of "in".
func inGeneration(t *testing.T, c *Client, cfg GroupConfig, fn func(context.Context, *Claim)) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	ran := false
	err := c.Consume(ctx, cfg, func(ctx context.Context, claim *Claim) error {
		defer cancel()
		if !ran {
			ran = true
			fn(ctx, claim)
		}
		return nil
	})
	if err != nil || !ran {
		t.Errorf("ran %v: %v", ran, err)
	}
}

// fetchN fetches until n records were read, and returns copies of their values and what was skipped.
func fetchN(ctx context.Context, t *testing.T, claim *Claim, n int) (got []string, skipped int64) {
	t.Helper()
	next := map[int32]int64{}
	for len(got) < n {
		b, err := claim.Fetch(ctx)
		if err != nil {
			t.Errorf("after %d of %d records: %v", len(got), n, err)
			return got, skipped
		}
		p := b.Source.Partition
		if at, ok := next[p]; ok && b.First-b.Skipped != at && b.Skipped == 0 {
			t.Errorf("partition %d: batch begins at %d after %d", p, b.First, at)
		}
		next[p] = b.Next
		skipped += b.Skipped
		for i := range b.Records {
			got = append(got, string(b.Records[i].Value))
		}
		b.Release()
	}
	return got, skipped
}

func send(t *testing.T, c *Client, n int) {
	t.Helper()
	if err := c.Send(testContext(t), "in", numbered(n, "m")); err != nil {
		t.Fatal(err)
	}
}

func TestFetchSurvivesWhatFailoverBrings(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*kerr.Error{
		"unknown topic": kerr.UnknownTopicOrPartition, "no leader": kerr.LeaderNotAvailable, "not leader": kerr.NotLeaderForPartition,
		"fenced epoch": kerr.FencedLeaderEpoch, "unknown epoch": kerr.UnknownLeaderEpoch, "storage": kerr.KafkaStorageError, "disconnect": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, c := fakeClient(t, 3)
			send(t, c, 60)
			if e != nil {
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: e, Count: 2})
			} else {
				left := 2
				cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
					if left--; left < 0 {
						return nil, nil, false
					}
					cluster.KeepControl()
					return nil, errors.New("cut"), true
				})
			}
			w := newWatcher()
			cfg := groupConfig("g", "in")
			cfg.OnError = w.onError
			inGeneration(t, c, cfg, func(ctx context.Context, claim *Claim) {
				got, skipped := fetchN(ctx, t, claim, 60)
				seen := map[string]bool{}
				for _, v := range got {
					seen[v] = true
				}
				if len(seen) != 60 || skipped != 0 {
					t.Errorf("%d different of %d values, %d skipped", len(seen), len(got), skipped)
				}
			})
			if n := w.count(); n != 0 {
				t.Errorf("what passes by itself was told: %v", w.told)
			}
		})
	}
}

func TestFetchTellsWhatDoesNotPass(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	send(t, c, 1)
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	w := newWatcher()
	cfg := groupConfig("g", "in")
	cfg.OnError = w.onError
	inGeneration(t, c, cfg, func(ctx context.Context, claim *Claim) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			fetchN(ctx, t, claim, 1)
		}()
		w.wait(ctx, t, "group g", "topic in partition 0", "ACL")
		fault.Remove()
		<-done
	})
}

func TestCommittedOffsetIsOutOfRangeOnlyForALaggingReplica(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	send(t, c, 10)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.OffsetOutOfRange, Count: 2})
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		if got, skipped := fetchN(ctx, t, claim, 10); len(got) != 10 || skipped != 0 {
			t.Errorf("%d records, %d skipped", len(got), skipped)
		}
	})
}

func TestFetchFollowsTheLeader(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 4, kfake.NumBrokers(3))
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		total := 0
		for round := range int32(4) {
			for p := range int32(4) {
				if err := cluster.MoveTopicPartition("in", p, (p+round)%3); err != nil {
					t.Error(err)
				}
			}
			send(t, c, 40)
			got, skipped := fetchN(ctx, t, claim, 40)
			if total += len(got); skipped != 0 {
				t.Errorf("%d skipped", skipped)
			}
		}
		if total != 160 {
			t.Errorf("%d records, want 160", total)
		}
	})
}

func TestOneFetchPerLeaderWithAllItsPartitions(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 12, kfake.NumBrokers(3))
	send(t, c, 10)
	for p := range int32(12) {
		if err := cluster.MoveTopicPartition("in", p, p%3); err != nil {
			t.Fatal(err)
		}
	}
	var (
		mu   sync.Mutex
		seen = map[int]int{} // partitions in a request: how often
	)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		req := r.(*kmsg.FetchRequest)
		if req.Version != fetchVersion || req.IsolationLevel != 1 {
			t.Errorf("fetch version %d, isolation %d", req.Version, req.IsolationLevel)
		}
		seen[len(req.Topics[0].Partitions)]++
		if e := req.Topics[0].Partitions[0].CurrentLeaderEpoch; e < 0 {
			t.Errorf("leader epoch %d", e)
		}
		return true
	}})
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		fetchN(ctx, t, claim, 10)
		for range 50 {
			b, err := claim.Fetch(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			b.Release()
		}
	})
	if len(seen) != 1 || seen[4] == 0 {
		t.Errorf("partitions in requests: %v, want 4 in each", seen)
	}
}

func TestIdlePartitionsAreToldEveryMaxWait(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 2)
	send(t, c, 10)
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		ends := map[int32]int{}
		start := time.Now()
		for ends[0] < 4 || ends[1] < 4 {
			before := time.Now()
			b, err := claim.Fetch(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if b.AtEnd {
				ends[b.Source.Partition]++
				if asked := time.UnixMilli(b.Asked); asked.After(time.Now()) || asked.Before(start.Add(-time.Second)) {
					t.Errorf("asked at %v, fetched between %v and %v", asked, before, time.Now())
				}
				if b.Next != b.End || b.Partitions != 2 {
					t.Errorf("next %d, end %d, of %d partitions", b.Next, b.End, b.Partitions)
				}
			}
			b.Release()
		}
		if took := time.Since(start); took < 3*50*time.Millisecond {
			t.Errorf("four ends of each within %v, every 50ms was asked for", took)
		}
		for _, l := range claim.Lag() {
			if l.Next != l.End {
				t.Errorf("lag %+v", l)
			}
		}
	})
}

func TestFetchStopsAtTheBudget(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	value := bytes.Repeat([]byte("x"), 100<<10)
	for range 20 {
		var messages []Message
		for range 5 {
			messages = append(messages, Message{Value: value})
		}
		if err := c.Produce(testContext(t), "in", None, map[int32][]Message{0: messages})[0]; err != nil {
			t.Fatal(err)
		}
	}
	requests := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
	cfg := groupConfig("g", "in")
	cfg.Budget = 3 << 20
	inGeneration(t, c, cfg, func(ctx context.Context, claim *Claim) {
		var held []*event.Batch
		bytesHeld, records := 0, 0
		for {
			fctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
			b, err := claim.Fetch(fctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				break
			}
			if err != nil {
				t.Error(err)
				return
			}
			held = append(held, b)
			bytesHeld += b.Bytes
			records += len(b.Records)
		}
		if bytesHeld < 3<<20 || bytesHeld > 5<<20 {
			t.Errorf("%d bytes are held with a budget of 3 MiB", bytesHeld)
		}
		before := requests.Hits()
		time.Sleep(2 * cfg.MaxWait)
		if after := requests.Hits(); after != before {
			t.Errorf("%d requests went out while the budget was used up", after-before)
		}
		for _, b := range held {
			b.Release()
		}
		got, _ := fetchN(ctx, t, claim, 100-records)
		if records+len(got) != 100 {
			t.Errorf("%d records, want 100", records+len(got))
		}
		if used := claim.held.used.Load(); used != 0 {
			t.Errorf("%d bytes are held after all was released", used)
		}
	})
}

func TestConsumeWaitsForABroker(t *testing.T) {
	t.Parallel()
	address := silentThenFree(t)
	c := NewClient(Config{Brokers: []string{address}})
	defer c.Close()
	w := newWatcher()
	cfg := groupConfig("g", "in")
	cfg.OnError = w.onError
	ctx, cancel := context.WithCancel(testContext(t))
	var wg sync.WaitGroup
	wg.Go(func() {
		err := c.Consume(ctx, cfg, func(ctx context.Context, claim *Claim) error {
			fetchN(ctx, t, claim, 3)
			cancel()
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	w.wait(ctx, t, address, "nothing listens there", "group g")
	var port int
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	startFake(t, kfake.Ports(port), kfake.SeedTopics(1, "in"))
	send(t, c, 3)
	wg.Wait()
}

// silentThenFree returns an address where nobody listens.
func silentThenFree(t *testing.T) string {
	t.Helper()
	cluster, addrs := startFake(t)
	cluster.Close()
	return addrs[0]
}

func TestConsumeCallsAgainAfterAnError(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 1)
	w := newWatcher()
	cfg := groupConfig("g", "in")
	cfg.OnError = w.onError
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	calls := 0
	err := c.Consume(ctx, cfg, func(context.Context, *Claim) error {
		if calls++; calls == 2 {
			cancel()
			return nil
		}
		return errors.New("broke down")
	})
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	w.wait(testContext(t), t, "group g", "broke down")
}

func TestConsumeRefusesConfigurations(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]GroupConfig{"no id": {Topics: Select("in")}, "no topics": {ID: "g"}} {
		if err := NewClient(Config{Brokers: []string{"127.0.0.1:1"}}).Consume(t.Context(), cfg, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := NewClient(Config{}).Consume(t.Context(), groupConfig("g", "in"), nil); err == nil {
		t.Error("no brokers: no error")
	}
}

func TestRevocationEndsFetchAndRefusesCommits(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 2)
	send(t, c, 10)
	var wg sync.WaitGroup
	second, stop := context.WithCancel(testContext(t))
	defer wg.Wait()
	defer stop()
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		got, _ := fetchN(ctx, t, claim, 10)
		if len(got) != 10 {
			t.Error(len(got))
		}
		wg.Go(func() {
			_ = c.Consume(second, groupConfig("g", "in"), func(ctx context.Context, _ *Claim) error {
				<-ctx.Done()
				return nil
			})
		})
		own := claim.Owned()
		for {
			b, err := claim.Fetch(context.WithoutCancel(ctx))
			if errors.Is(err, ErrRevoked) {
				break
			}
			if err != nil {
				t.Error(err)
				break
			}
			b.Release()
		}
		if ctx.Err() == nil {
			t.Error("the generation's context lives")
		}
		if err := claim.Commit(context.WithoutCancel(ctx), event.Offsets{own[0].Source: 3}); err != nil { // still a member, about to join anew
			t.Errorf("commit while giving back: %v", err)
		}
	})
}

func TestCommitErrors(t *testing.T) {
	t.Parallel()
	cluster, c := fakeClient(t, 1)
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		own := claim.Owned()[0].Source
		for e, revoked := range map[*kerr.Error]bool{kerr.IllegalGeneration: true, kerr.UnknownMemberID: true, kerr.RebalanceInProgress: true, kerr.GroupAuthorizationFailed: false} {
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: e})
			err := claim.Commit(ctx, event.Offsets{own: 0})
			if err == nil || errors.Is(err, ErrRevoked) != revoked {
				t.Errorf("%v gives %v", e, err)
			}
		}
		if err := claim.Commit(ctx, event.Offsets{{Topic: "in", TopicID: own.TopicID, Partition: 5}: 1}); !errors.Is(err, ErrNotOwned) {
			t.Errorf("error %v", err)
		}
		if err := claim.Commit(ctx, nil); err != nil {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := claim.Commit(ended, event.Offsets{own: 0}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestSeekErrors(t *testing.T) {
	t.Parallel()
	_, c := fakeClient(t, 1)
	send(t, c, 1)
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) {
		own := claim.Owned()[0].Source
		if err := claim.Seek(event.Source{Topic: "in", TopicID: "other"}, 0); !errors.Is(err, ErrNotOwned) {
			t.Errorf("error %v", err)
		}
		fetchN(ctx, t, claim, 1)
		if err := claim.Seek(own, 0); err == nil {
			t.Error("no error after the first fetch")
		}
	})
}

func TestConsumeLeavesNoGoroutines(t *testing.T) {
	_, addrs := startFake(t, kfake.SeedTopics(4, "in"))
	before := runtime.NumGoroutine()
	c := NewClient(Config{Brokers: addrs})
	send(t, c, 10)
	inGeneration(t, c, groupConfig("g", "in"), func(ctx context.Context, claim *Claim) { fetchN(ctx, t, claim, 10) })
	c.Close()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before+2 && time.Now().Before(deadline) { // the fake's own come and go
		time.Sleep(20 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before+2 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
}
