package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

const (
	fetchVersion     = 11
	readCommitted    = 1
	maxResponse      = 256 << 20 // larger responses are taken for a broken connection
	minPartition     = 30        // bytes of the smallest partition in a fetch response
	minTopic         = 6
	abortedSize      = 16
	noError          = 0
	anyReplica       = 0xffffffff // "a client", where a follower would write its id
	noSession        = 0xffffffff
	unknownStart     = ^uint64(0)
	sizeBytes        = 4
	responseOverhead = 8 // size and correlation id
)

var errMalformedResponse = errors.New("malformed response")

// wanted is one partition of a fetch request.
type wanted struct {
	topic     string
	partition int32
	epoch     int32 // of the leader, -1 when unknown: a demoted leader then refuses instead of serving old data
	offset    int64
	maxBytes  int32
}

// fetched is what a response says of one partition.
type fetched struct {
	topic     string
	partition int32
	code      int16
	high      int64 // high watermark: the log's end for readers
	stable    int64 // last stable offset: the end for readers of committed transactions
	start     int64 // first offset in the log
	aborted   []abortedTxn
	records   []byte // aliases the response's buffer
}

// fetchRequest is a Fetch of many partitions of one leader, written by hand: kafka-go's own copies every record.
type fetchRequest struct {
	broker   int32
	clientID string
	maxWait  time.Duration
	minBytes int32
	maxBytes int32
	wants    []wanted // those of a topic stand together
	id       *atomic.Int32
	mem      *memory
}

// fetchResponse owns its buffer until release.
type fetchResponse struct {
	code  int16
	parts []fetched
	raw   *rawBuffer
}

// ApiKey implements protocol.Message.
func (*fetchRequest) ApiKey() protocol.ApiKey { return protocol.Fetch }

// ApiKey implements protocol.Message.
func (*fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// Broker implements protocol.BrokerMessage.
func (r *fetchRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return brokerOf(c, r.broker)
}

// Required implements protocol.RawExchanger.
func (*fetchRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange implements protocol.RawExchanger. It runs on the connection's goroutine, possibly longer than whoever asked waits.
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	id := r.id.Add(1)
	if _, err := rw.Write(r.encode(id)); err != nil {
		return nil, err
	}
	var head [responseOverhead]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:]))) - sizeBytes
	if got := int32(binary.BigEndian.Uint32(head[sizeBytes:])); got != id {
		return nil, fmt.Errorf("%w: correlation id %d instead of %d", errMalformedResponse, got, id)
	}
	if size < 0 || size > maxResponse {
		return nil, fmt.Errorf("%w: size %d", errMalformedResponse, size)
	}
	resp := &fetchResponse{raw: r.mem.raw(int(size))}
	if _, err := io.ReadFull(rw, resp.raw.b); err != nil {
		resp.raw.release()
		return nil, err
	}
	if err := resp.parse(resp.raw.b); err != nil {
		resp.raw.release()
		return nil, err
	}
	return resp, nil
}

// encode returns the request with its header and size.
func (r *fetchRequest) encode(id int32) []byte {
	be := binary.BigEndian
	b := make([]byte, sizeBytes, 128+len(r.wants)*48)
	b = be.AppendUint16(b, uint16(protocol.Fetch))
	b = be.AppendUint16(b, fetchVersion)
	b = be.AppendUint32(b, uint32(id))
	b = appendString(b, r.clientID)
	b = be.AppendUint32(b, anyReplica)
	b = be.AppendUint32(b, uint32(r.maxWait.Milliseconds()))
	b = be.AppendUint32(b, uint32(r.minBytes))
	b = be.AppendUint32(b, uint32(r.maxBytes))
	b = append(b, readCommitted)
	b = be.AppendUint32(b, 0) // session id
	b = be.AppendUint32(b, noSession)
	b = be.AppendUint32(b, uint32(topicsOf(r.wants)))
	for i := 0; i < len(r.wants); {
		n := sameTopic(r.wants[i:])
		b = appendString(b, r.wants[i].topic)
		b = be.AppendUint32(b, uint32(n))
		for _, w := range r.wants[i : i+n] {
			b = be.AppendUint32(b, uint32(w.partition))
			b = be.AppendUint32(b, uint32(w.epoch))
			b = be.AppendUint64(b, uint64(w.offset))
			b = be.AppendUint64(b, unknownStart) // the log start of a follower
			b = be.AppendUint32(b, uint32(w.maxBytes))
		}
		i += n
	}
	b = be.AppendUint32(b, 0) // forgotten topics
	b = appendString(b, "")   // rack
	be.PutUint32(b, uint32(len(b)-sizeBytes))
	return b
}

// sameTopic returns how many of the first wants share a topic.
func sameTopic(w []wanted) int {
	n := 1
	for n < len(w) && w[n].topic == w[0].topic {
		n++
	}
	return n
}

func topicsOf(w []wanted) int {
	n := 0
	for i := 0; i < len(w); i += sameTopic(w[i:]) {
		n++
	}
	return n
}

// parse reads a response body; records alias b.
func (resp *fetchResponse) parse(b []byte) error {
	r := reader{b: b}
	r.int32() // throttle time
	resp.code = r.int16()
	r.int32() // session id
	for t := r.length32(minTopic); t > 0 && !r.bad; t-- {
		topic := string(r.bytes16())
		for p := r.length32(minPartition); p > 0 && !r.bad; p-- {
			resp.parts = append(resp.parts, parsePartition(&r, topic))
		}
	}
	if r.bad {
		return fmt.Errorf("fetch: %w", errMalformedResponse)
	}
	return nil
}

func parsePartition(r *reader, topic string) fetched {
	f := fetched{topic: topic, partition: r.int32(), code: r.int16(), high: r.int64(), stable: r.int64(), start: r.int64()}
	if n := r.length32(abortedSize); n > 0 {
		f.aborted = make([]abortedTxn, n)
		for i := range f.aborted {
			f.aborted[i] = abortedTxn{producer: r.int64(), first: r.int64()}
		}
	}
	r.int32() // preferred replica
	if n := r.int32(); n > 0 {
		f.records = r.take(int(n))
	}
	return f
}

// brokerOf finds a broker of the cluster by its id.
func brokerOf(c protocol.Cluster, id int32) (protocol.Broker, error) {
	b, ok := c.Brokers[id]
	if !ok {
		return protocol.Broker{ID: -1}, fmt.Errorf("broker %d is not in the cluster's metadata (yet)", id)
	}
	return b, nil
}
