package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// The topics.
const (
	sourceTopic = "logs"
	hitsTopic   = "hits"
	deadTopic   = "dead"
)

// topic is a topic of the log.
type topic struct {
	name, id   string
	partitions int32
	active     []int32 // those that are kept and read; what is written to others is acknowledged and forgotten
	logs       map[int32][]logged
}

type logged struct {
	offset, time int64
	value        []byte
	hole         bool // no record has this offset
}

func (t *topic) source(p int32) event.Source {
	return event.Source{Topic: t.name, TopicID: t.id, Partition: p}
}

// recreate makes the source topic anew under its name, as somebody may once everything in it was read. Members of its groups find out
// when they next look.
func (s *sim) recreate() {
	if !s.consumed() {
		s.wrong("the topic is to be made anew, and not all of it was read")
	}
	t := s.world.source
	s.tell("topic %s is made anew", t.name)
	s.world.gone = t.logs
	t.id, t.logs = "s2", map[int32][]logged{}
	for _, g := range s.groups[:2] {
		clear(g.committed)
		clear(g.reached)
		s.after(s.delay(time.Second), "", g.form)
	}
}

func (t *topic) end(p int32) int64 { return int64(len(t.logs[p])) }

func (t *topic) append(p int32, r logged) {
	r.offset = t.end(p)
	t.logs[p] = append(t.logs[p], r)
}

// producer is the pipeline.Producer of a process.
type producer struct{ caller }

// Produce writes to the hits topic. Each shard has a fate of its own.
func (w producer) Produce(ctx context.Context, name string, _ kafka.Codec, parts map[int32][]kafka.Message) map[int32]error {
	s, errs := w.p.s, map[int32]error{}
	if name != hitsTopic {
		s.wrong("hits are written to topic %q", name)
	}
	shards := slices.DeleteFunc(slices.Sorted(maps.Keys(parts)), func(n int32) bool { return !slices.Contains(s.world.hits.active, n) })
	if len(shards) == 0 {
		return errs
	}
	answers := s.ask(ctx, &op{caller: w.caller, name: "produce", parts: len(shards), lossy: true, about: func() string { return fmt.Sprint(shards) },
		effect: func(i int) error {
			for _, m := range parts[shards[i]] {
				s.world.hit(shards[i], w.p.now(), m.Value)
				if !w.p.dead && !w.p.members[1].in {
					s.happened["frames of members that were left behind"]++
				}
			}
			return nil
		}})
	for i, n := range shards {
		if s.mistakes.skipFailed && answers[i] != nil {
			answers[i] = nil
		}
		errs[n] = answers[i]
	}
	return errs
}

// hit appends a frame to the log of a shard.
func (w *world) hit(shard int32, now time.Time, frame []byte) {
	if w.s.mistakes.newPositions {
		frame = w.relabelled(shard, frame)
	}
	w.hits.append(shard, logged{time: now.UnixMilli(), value: slices.Clone(frame)})
}

// letters is the pipeline.MessageSender of a process.
type letters struct{ caller }

// Send writes dead letters, and tries until all are acknowledged or ctx ends.
func (w letters) Send(ctx context.Context, name string, msgs []kafka.Message) error {
	s, left := w.p.s, slices.Clone(msgs)
	if name != deadTopic {
		s.wrong("dead letters are written to topic %q", name)
	}
	for len(left) > 0 {
		these := left
		errs := s.ask(ctx, &op{caller: w.caller, name: "bury", parts: len(these), lossy: true, about: func() string { return fmt.Sprint(len(these)) },
			effect: func(i int) error {
				s.world.bury(&these[i])
				return nil
			}})
		if ctx.Err() != nil || w.p.dead {
			return fmt.Errorf("cannot write dead letters: %w", errs[0])
		}
		left = nil
		for i, err := range errs {
			if err != nil {
				left = append(left, these[i])
			}
		}
		if len(left) > 0 {
			pause(ctx, retryPause)
		}
	}
	return nil
}
