package detectors

import (
	"math"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
)

const (
	// maxPartitions bounds what a damaged frame can make a memory allocate.
	maxPartitions = 1 << 17
	// maxRetired is how many earlier incarnations of a topic are remembered, so that their late frames are known for what they are.
	maxRetired = 32
	// beginning is before every time.
	beginning = math.MinInt64 / 2
)

// sources is how far a shard has seen each source partition.
type sources struct {
	topics map[string]*topic
	// origins are the partitions that evidence came from, by number. An event's id does not name the incarnation, nor do they.
	origins []origin
	numbers map[origin]uint32
}

type origin struct {
	topic     string
	partition int32
}

// topic is the present incarnation of one topic.
type topic struct {
	id         string
	partitions int32 // 0: it does not tell the time (a shard that is its own source)
	parts      []part
	retired    []string // ids of earlier incarnations, oldest first
}

type part struct {
	next      int64 // the position behind the last one seen
	watermark int64
	origin    uint32 // 1 + its number among the origins; 0: none yet
}

func newSources() sources {
	return sources{topics: map[string]*topic{}, numbers: map[origin]uint32{}}
}

// topic is the topic that a frame speaks of, or nil for frames of a retired incarnation and for frames that cannot be.
func (s *sources) topic(f *hit.Frame) *topic {
	if f.Partitions < 0 || f.Partitions > maxPartitions || f.Source.Partition < 0 || f.Source.Partition >= maxPartitions {
		return nil
	}
	t := s.topics[f.Source.Topic]
	if t == nil {
		t = &topic{id: strings.Clone(f.Source.TopicID)}
		s.topics[strings.Clone(f.Source.Topic)] = t
	}
	if t.id != f.Source.TopicID {
		if slices.Contains(t.retired, f.Source.TopicID) {
			return nil
		}
		t.retire(strings.Clone(f.Source.TopicID))
	}
	t.partitions = max(t.partitions, f.Partitions)
	return t
}

// retire begins a new incarnation: positions and watermarks of the old one mean nothing any more.
func (t *topic) retire(id string) {
	t.retired = append(t.retired, t.id)
	if n := len(t.retired) - maxRetired; n > 0 {
		t.retired = slices.Delete(t.retired, 0, n)
	}
	t.id, t.partitions, t.parts = id, 0, nil
}

// part is a partition of the topic. It is valid until another partition is asked for.
func (t *topic) part(n int32) *part {
	for int(n) >= len(t.parts) {
		t.parts = append(t.parts, part{watermark: beginning})
	}
	return &t.parts[n]
}

// origin is the number by which evidence names a partition.
func (s *sources) origin(name string, t *topic, n int32) uint32 {
	p := t.part(n)
	if p.origin == 0 {
		p.origin = s.number(strings.Clone(name), n) + 1
	}
	return p.origin - 1
}

func (s *sources) number(name string, partition int32) uint32 {
	o := origin{name, partition}
	n, ok := s.numbers[o]
	if !ok {
		n = uint32(len(s.origins))
		s.numbers[o] = n
		s.origins = append(s.origins, o)
	}
	return n
}

// watermark is the least of all partitions of all topics that tell the time; a partition that was never heard is at the beginning.
func (s *sources) watermark() int64 {
	least := int64(math.MaxInt64)
	for _, t := range s.topics {
		if int(t.partitions) > len(t.parts) {
			return beginning
		}
		for _, p := range t.parts[:t.partitions] {
			least = min(least, p.watermark)
		}
	}
	if least == math.MaxInt64 {
		return beginning
	}
	return least
}

func (s *sources) id(r *record) event.ID {
	o := s.origins[r.origin]
	return event.ID{Topic: o.topic, Partition: o.partition, Offset: r.offset, Time: r.received, Index: r.index}
}

// Waits is the topics that the shard's time waits for, in the order of their names.
func (m *Memory) Waits() []string {
	var out []string
	for name, t := range m.sources.topics {
		if t.partitions > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Forget makes time wait no more for a topic that nobody reads any more, until a frame of it comes. What was seen of it stays
// known. This is not in the log: it is for when the configuration changes.
func (m *Memory) Forget(topic string) {
	t := m.sources.topics[topic]
	if t == nil {
		return
	}
	t.partitions = 0
	for i := range t.parts {
		t.parts[i].watermark = beginning
	}
}
