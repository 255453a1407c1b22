// Package hit is what the match loop tells the detect loop: frames of hits and ticks, the form they have on the hits topic, and
// the shard that a key belongs to.
package hit

import (
	"encoding/binary"
	"hash/fnv"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// Shards is how many partitions the hits topic has. It is fixed: another number would move keys away from their memory.
const Shards = 32

// Hit is one rule met by one event.
type Hit struct {
	Rule   string // the rule's id
	Basis  uint64 // what the rule's memory depends on; hits of another basis are not this rule's
	Tenant string // "" where the rule looks at all tenants together
	Key    string // the values of the rule's key fields; see JoinKey
	// Offset and Index are the event's position in the frame's source; RecordTime is the record's own time and Time the event
	// time, both Unix milliseconds.
	Offset     int64
	Index      int32
	RecordTime int64
	Time       int64
	Fields     []Field // what the rule's texts need of the event
	Sample     []byte  // the event's ECS document, or nil
}

// Field is a field's values, as far as they are carried.
type Field struct {
	Name   string
	Values []string
}

// EventID is the id of the event that made the hit.
func (h *Hit) EventID(s event.Source) event.ID {
	return event.ID{Topic: s.Topic, Partition: s.Partition, Offset: h.Offset, Time: h.RecordTime, Index: h.Index}
}

// Mark is how far the event time of one source partition has come, Unix milliseconds.
type Mark struct {
	Partition int32
	Watermark int64
}

// Kind tells frames of hits from ticks.
type Kind byte

// The kinds of frames.
const (
	Hits Kind = 1 // what a run of one source partition's records meant for one shard
	Tick Kind = 2 // how far the event time of some of a topic's partitions has come
)

// Frame is one record of the hits topic.
type Frame struct {
	Kind Kind
	// Source is the source partition; for a tick, the topic, with partition 0.
	Source     event.Source
	Partitions int32 // how many the source topic has: a minimum over them needs to know whom it has not heard
	// First and Last bound the records that were looked at. A frame never splits a record; a replay may cut elsewhere.
	First, Last int64
	Hits        []Hit
	Marks       []Mark
}

// ShardOf is the shard that owns a key's memory.
func ShardOf(tenant, rule, key string) int32 {
	h := fnv.New64a()
	var sep = [1]byte{0}
	h.Write([]byte(tenant))
	h.Write(sep[:])
	h.Write([]byte(rule))
	h.Write(sep[:])
	h.Write([]byte(key))
	return int32(h.Sum64() % Shards)
}

// JoinKey makes one text of a key's values. Different values never make the same text.
func JoinKey(values []string) string {
	if len(values) == 1 && strings.IndexByte(values[0], 0) < 0 {
		return values[0]
	}
	return string(AppendKey(nil, values))
}

// AppendKey appends JoinKey's text.
func AppendKey(dst []byte, values []string) []byte {
	if len(values) == 1 && strings.IndexByte(values[0], 0) < 0 {
		return append(dst, values[0]...)
	}
	dst = append(dst, 0)
	for _, v := range values {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	return dst
}

// SplitKey is the values that JoinKey joined. They alias the key.
func SplitKey(key string) []string {
	if key == "" || key[0] != 0 {
		return []string{key}
	}
	var out []string
	for b := key[1:]; b != ""; {
		n, size := binary.Uvarint([]byte(b[:min(len(b), binary.MaxVarintLen64)]))
		if size <= 0 || n > uint64(len(b)-size) {
			return out
		}
		out = append(out, b[size:size+int(n)])
		b = b[size+int(n):]
	}
	return out
}
