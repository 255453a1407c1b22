package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"go.uber.org/zap"
)

// Bounds of one produce: the bytes of one shard in one request (a broker takes 1 MB by default), and the first and the longest
// wait between tries.
const (
	maxShardBytes = 700 << 10
	firstBackoff  = 20 * time.Millisecond
	longBackoff   = 2 * time.Second
)

// Producer writes to partitions of a topic: one try, one answer a partition.
type Producer interface {
	Produce(ctx context.Context, topic string, codec kafka.Codec, parts map[int32][]kafka.Message) map[int32]error
}

// unit is what one fetch brought of one source partition. It may be committed once all its frames are acknowledged.
type unit struct {
	next   int64 // the next offset
	left   int   // frames that are not acknowledged yet
	oldest int64 // record time of its oldest record, Unix milliseconds; 0 for none
}

type queued struct {
	frame []byte
	of    *unit // nil for ticks
}

// sender takes the frames of one generation to their shards: one produce in flight, a shard's frames in their order, each retried
// until it is acknowledged and never skipped. Frames that are left when it is stopped are abandoned: the records that they came
// from are not committed, so the next owner makes them again.
type sender struct {
	topic    string
	producer Producer
	log      *zap.Logger
	failures *Counter
	dropped  *Counter

	mu     sync.Mutex
	queues [hit.Shards][]queued
	limits [hit.Shards]int // how many frames a request may hold after one was refused; 0: as many as fit
	bytes  int
	frames int
	wake   chan struct{}
	done   chan struct{}
}

func newSender(topic string, p Producer, log *zap.Logger, failures, dropped *Counter) *sender {
	return &sender{topic: topic, producer: p, log: log, failures: failures, dropped: dropped, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// put queues a frame. The caller keeps the queue bounded by asking size.
func (s *sender) put(shard int32, frame []byte, of *unit) {
	s.mu.Lock()
	s.queues[shard] = append(s.queues[shard], queued{frame, of})
	s.bytes += len(frame)
	s.frames++
	if of != nil {
		of.left++
	}
	s.mu.Unlock()
}

// flush wakes the sender.
func (s *sender) flush() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// size is how many bytes wait.
func (s *sender) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// acknowledged says whether all frames of a unit are.
func (s *sender) acknowledged(u *unit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return u.left == 0
}

// run sends until stop is closed and nothing waits, or until ctx ends.
func (s *sender) run(ctx context.Context, stop <-chan struct{}) {
	defer close(s.done)
	backoff := firstBackoff
	for ctx.Err() == nil {
		batch := s.take()
		if len(batch) == 0 {
			select {
			case <-s.wake:
			case <-ctx.Done():
			case <-stop:
				if s.size() == 0 {
					return
				}
			}
			continue
		}
		if s.send(ctx, batch) {
			backoff = firstBackoff
			continue
		}
		if !sleep(ctx, backoff) {
			return
		}
		backoff = min(2*backoff, longBackoff)
	}
}

// take is the front of every shard's queue, as much as fits a request. It stays queued until it is acknowledged.
func (s *sender) take() map[int32]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch map[int32]int
	for shard := range s.queues {
		n, bytes := 0, 0
		for _, q := range s.queues[shard] {
			if bytes += len(q.frame) + 64; n > 0 && (bytes > maxShardBytes || n == s.limits[shard]) {
				break
			}
			n++
		}
		if n > 0 {
			if batch == nil {
				batch = map[int32]int{}
			}
			batch[int32(shard)] = n
		}
	}
	return batch
}

// send makes one try and removes what was acknowledged. It answers whether everything was.
func (s *sender) send(ctx context.Context, batch map[int32]int) bool {
	parts := make(map[int32][]kafka.Message, len(batch))
	s.mu.Lock()
	for shard, n := range batch {
		msgs := make([]kafka.Message, n)
		for i, q := range s.queues[shard][:n] {
			msgs[i].Value = q.frame
		}
		parts[shard] = msgs
	}
	s.mu.Unlock()
	errs := s.producer.Produce(ctx, s.topic, kafka.Lz4, parts)
	ok := true
	for shard, n := range batch {
		if err := errs[shard]; err != nil {
			if ok && ctx.Err() == nil {
				s.log.Warn("cannot write hits, trying again", zap.String("topic", s.topic), zap.Int32("shard", shard), zap.Error(err))
			}
			s.failures.Add(1)
			ok = false
			if kafka.Refused(err) {
				s.refused(shard, n, err)
			}
			continue
		}
		s.drop(shard, n)
	}
	return ok
}

// refused makes the next request of a shard smaller. A frame that is refused alone would hold up its shard, and everything behind
// it, for ever: it is given up, counted and told.
func (s *sender) refused(shard int32, n int, err error) {
	if n > 1 {
		s.mu.Lock()
		s.limits[shard] = n / 2
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	var f hit.Frame
	_ = f.Parse(s.queues[shard][0].frame) // a frame of our own; a tick has no hits
	s.mu.Unlock()
	s.log.Error("the hits topic refuses a frame for good, and its hits are lost", zap.String("topic", s.topic), zap.Int32("shard", shard), zap.Int("hits", len(f.Hits)), zap.Error(err))
	s.dropped.Add(len(f.Hits))
	s.drop(shard, 1)
}

func (s *sender) drop(shard int32, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits[shard] = 0
	for _, q := range s.queues[shard][:n] {
		s.bytes -= len(q.frame)
		if q.of != nil {
			q.of.left--
		}
	}
	if n == len(s.queues[shard]) {
		s.queues[shard] = nil
	} else {
		s.queues[shard] = s.queues[shard][n:]
	}
}
