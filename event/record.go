package event

import (
	"strconv"
)

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Source names one partition of one incarnation of a topic.
type Source struct {
	Topic string
	// TopicID tells incarnations of a topic apart: a topic deleted and created anew has another one.
	// It is the hexadecimal form of Kafka's topic id, or "" where there is no broker (files, tests).
	TopicID string
	// Partition is the partition's number.
	Partition int32
}

// Record is one message of a source, as it was delivered.
//
// Key, Value and Headers alias the buffer they were fetched into: they are valid until the batch is released, and nobody may
// write to them.
type Record struct {
	Source  Source
	Offset  int64
	Time    int64 // record time (Kafka's timestamp), Unix milliseconds
	Key     []byte
	Value   []byte
	Headers []Header
}

// Header returns the value of the first header with that key, or nil.
func (r *Record) Header(key string) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value
		}
	}
	return nil
}

// Batch is what one fetch brought of one partition.
type Batch struct {
	Source     Source
	Partitions int32 // how many partitions the topic has
	Records    []Record
	// First and Next bound what was looked at: [First, Next). Next can lie behind the last record (control records,
	// aborted transactions, compaction), and Records can be empty.
	First, Next int64
	// End is the log's end as the fetch saw it; AtEnd says that Next has reached it.
	End   int64
	AtEnd bool
	// Skipped counts offsets that were asked for but are gone from the log (retention, truncation): [First-Skipped, First).
	Skipped int64
	// Asked is when the fetch request was sent, Unix milliseconds: nothing later may be claimed about the log's end.
	Asked int64
	// Bytes is about how much memory the batch holds until it is released.
	Bytes int
	// Free returns the batch's memory to its owner; see Release. It may be nil.
	Free func()
}

// Release gives the batch's memory back. Records and everything that aliases them are invalid from then on.
func (b *Batch) Release() {
	if b.Free != nil {
		free := b.Free
		b.Free = nil
		free()
	}
}

// Offsets says, per partition, the next offset to read: everything before it is done.
type Offsets map[Source]int64

// ID identifies an event for ever: a replay of the same record makes the same ids.
type ID struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      int64 // record time, Unix milliseconds: tells apart the same position in two incarnations of a topic
	Index     int32 // index within the record, where one record holds several events
}

// Append appends the id's text form, `topic-partition-offset-time36[-index]`, which is at most 312 bytes for the longest topic
// name that Kafka allows (249), and so fits Elasticsearch's limit of 512 bytes for `_id`.
func (id ID) Append(dst []byte) []byte {
	dst = append(dst, id.Topic...)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, int64(id.Partition), 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, id.Offset, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, id.Time, 36)
	if id.Index != 0 {
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(id.Index), 10)
	}
	return dst
}

// String is the text form of Append.
func (id ID) String() string { return string(id.Append(nil)) }
