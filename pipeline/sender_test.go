package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"
)

// flakyBroker keeps what it acknowledges, by shard, and fails some partitions of some requests; now and then it keeps a request
// whose acknowledgement is lost.
type flakyBroker struct {
	mu   sync.Mutex
	rng  *rand.Rand
	logs map[int32][]string
}

func (b *flakyBroker) Produce(_ context.Context, _ string, _ kafka.Codec, parts map[int32][]kafka.Message) map[int32]error {
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := map[int32]error{}
	for shard, msgs := range parts {
		fate := b.rng.IntN(4)
		if fate != 0 {
			for _, m := range msgs {
				b.logs[shard] = append(b.logs[shard], string(m.Value))
			}
		}
		if fate <= 1 {
			errs[shard] = errors.New("no answer")
		}
	}
	return errs
}

func TestSenderSkipsNothingAndKeepsTheOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			b := &flakyBroker{rng: rand.New(rand.NewPCG(seed, 1)), logs: map[int32][]string{}}
			s := newSender("hits", b, zap.NewNop(), &Counter{}, &Counter{})
			stop := make(chan struct{})
			go s.run(context.Background(), stop)
			u := &unit{}
			for i := range 200 {
				s.put(int32(i%3), fmt.Appendf(nil, "%03d", i), u)
				if i%7 == 0 {
					s.flush()
					synctest.Wait()
				}
			}
			close(stop)
			<-s.done
			if !s.acknowledged(u) || s.size() != 0 {
				t.Fatal("frames were left behind")
			}
			for shard := range int32(3) {
				if missing := firstTimes(b.logs[shard]); missing != "" {
					t.Fatalf("shard %d: %s", shard, missing)
				}
			}
		})
	}
}

// firstTimes checks that the first appearances of the frames, repetitions left out, are in order and complete.
func firstTimes(log []string) string {
	seen, last, n := map[string]bool{}, "", 0
	for _, f := range log {
		if seen[f] {
			continue
		}
		if f < last {
			return fmt.Sprintf("%s came first after %s", f, last)
		}
		seen[f], last = true, f
		n++
	}
	if n != 67 && n != 66 {
		return fmt.Sprintf("%d frames arrived", n)
	}
	return ""
}

func TestSenderAbandonsWhenKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, kill := context.WithCancel(context.Background())
		dead := producerFunc(func(parts map[int32][]kafka.Message) map[int32]error {
			errs := map[int32]error{}
			for p := range parts {
				errs[p] = errors.New("down")
			}
			return errs
		})
		s := newSender("hits", dead, zap.NewNop(), &Counter{}, &Counter{})
		go s.run(ctx, make(chan struct{}))
		u := &unit{}
		s.put(1, []byte("x"), u)
		s.flush()
		synctest.Wait()
		kill()
		<-s.done
		if s.acknowledged(u) {
			t.Error("a frame that nobody took counts as acknowledged")
		}
		if s.failures.Load() == 0 {
			t.Error("the failure was not counted")
		}
	})
}

func TestSenderGivesUpOnlyWhatIsRefusedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken []string
		picky := producerFunc(func(parts map[int32][]kafka.Message) map[int32]error {
			errs := map[int32]error{}
			for p, msgs := range parts {
				for _, m := range msgs {
					if string(m.Value) == "bad" {
						errs[p] = kafkago.MessageSizeTooLarge
					}
				}
				for _, m := range msgs {
					if errs[p] == nil {
						taken = append(taken, string(m.Value))
					}
				}
			}
			return errs
		})
		var dropped Counter
		s := newSender("hits", picky, zap.NewNop(), &Counter{}, &dropped)
		u := &unit{}
		for _, f := range []string{"a", "b", "bad", "c"} {
			s.put(1, []byte(f), u)
		}
		stop := make(chan struct{})
		close(stop)
		s.run(context.Background(), stop)
		if strings.Join(taken, " ") != "a b c" || !s.acknowledged(u) || s.size() != 0 {
			t.Errorf("taken %v, acknowledged %v", taken, s.acknowledged(u))
		}
	})
}

type producerFunc func(map[int32][]kafka.Message) map[int32]error

func (f producerFunc) Produce(_ context.Context, _ string, _ kafka.Codec, parts map[int32][]kafka.Message) map[int32]error {
	return f(parts)
}
