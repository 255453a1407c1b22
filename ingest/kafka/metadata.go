package kafka

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	oldmetadata "github.com/segmentio/kafka-go/protocol/metadata"
)

const (
	metadataVersion    = 12 // the first that tells topic ids in answer to names
	minCompactElement  = 3
	maxMetadata        = 64 << 20
	anyBroker          = -1
	topicIDBytes       = 16
	authorizedOpsBytes = 4
	replicaBytes       = 4
)

// Shape is what a group's assignment is made from: when either changes, members join anew.
type Shape struct {
	ID         string // hexadecimal topic id, "" where brokers are older than Kafka 2.8
	Partitions int32
}

// leader is who serves a partition.
type leader struct {
	broker int32 // -1: nobody
	epoch  int32 // -1: unknown
	code   int16
	copies int32 // replicas of the partition
}

// topicMeta is what the cluster says of a topic.
type topicMeta struct {
	name     string
	code     int16
	id       string
	internal bool
	leaders  []leader // by partition
}

func (t *topicMeta) shape() Shape { return Shape{ID: t.id, Partitions: int32(len(t.leaders))} }

// err is nil, ErrUnknownTopic or the broker's error.
func (t *topicMeta) err() error {
	switch kafkago.Error(t.code) {
	case noError, kafkago.LeaderNotAvailable:
		return nil
	case kafkago.UnknownTopicOrPartition, kafkago.UnknownTopicID:
		return fmt.Errorf("topic %s: %w", t.name, ErrUnknownTopic)
	default:
		return fmt.Errorf("topic %s: %w", t.name, kafkago.Error(t.code))
	}
}

// metadataRequest is a raw Metadata v12: kafka-go's own stops at v8, which knows no topic ids, and answers from a cache.
type metadataRequest struct {
	broker   int32 // anyBroker: one of the configured addresses
	clientID string
	topics   []string // nil: all
	id       *atomic.Int32
}

type metadataResponse struct{ topics []topicMeta }

// ApiKey implements protocol.Message.
func (*metadataRequest) ApiKey() protocol.ApiKey { return protocol.Metadata }

// ApiKey implements protocol.Message.
func (*metadataResponse) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Broker implements protocol.BrokerMessage.
func (r *metadataRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	if r.broker == anyBroker {
		return protocol.Broker{ID: -1}, nil
	}
	return brokerOf(c, r.broker)
}

// Required implements protocol.RawExchanger.
func (*metadataRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange implements protocol.RawExchanger.
func (r *metadataRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	id := r.id.Add(1)
	if _, err := rw.Write(r.encode(id)); err != nil {
		return nil, err
	}
	var head [sizeBytes]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMetadata {
		return nil, fmt.Errorf("metadata: %w: size %d", errMalformedResponse, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	resp := &metadataResponse{}
	return resp, resp.parse(body, id)
}

func (r *metadataRequest) encode(id int32) []byte {
	be := binary.BigEndian
	b := make([]byte, sizeBytes, 256)
	b = be.AppendUint16(b, uint16(protocol.Metadata))
	b = be.AppendUint16(b, metadataVersion)
	b = be.AppendUint32(b, uint32(id))
	b = appendString(b, r.clientID)
	b = append(b, 0) // tags of the header
	if r.topics == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(len(r.topics))+1)
	}
	for _, t := range r.topics {
		b = append(b, make([]byte, topicIDBytes)...)
		b = appendCompactString(b, t)
		b = append(b, 0)
	}
	b = append(b, 0, 0, 0) // no automatic creation, no authorized operations, tags
	be.PutUint32(b, uint32(len(b)-sizeBytes))
	return b
}

// parse reads a response with its header.
func (resp *metadataResponse) parse(b []byte, id int32) error {
	r := reader{b: b}
	if got := r.int32(); got != id {
		return fmt.Errorf("metadata: %w: correlation id %d instead of %d", errMalformedResponse, got, id)
	}
	r.tags()
	r.int32() // throttle time
	for n := r.compactLength(minCompactElement); n > 0 && !r.bad; n-- {
		r.int32() // broker id
		r.compactBytes()
		r.int32() // port
		r.compactBytes()
		r.tags()
	}
	r.compactBytes() // cluster id
	r.int32()        // controller
	for n := r.compactLength(minCompactElement); n > 0 && !r.bad; n-- {
		resp.topics = append(resp.topics, parseTopic(&r))
	}
	r.tags()
	if r.bad {
		return fmt.Errorf("metadata: %w", errMalformedResponse)
	}
	return nil
}

func parseTopic(r *reader) topicMeta {
	t := topicMeta{code: r.int16(), name: string(r.compactBytes())}
	if id := r.take(topicIDBytes); id != nil && slices.Max(id) != 0 {
		t.id = hex.EncodeToString(id)
	}
	t.internal = r.int8() != 0
	n := r.compactLength(minCompactElement)
	t.leaders = make([]leader, n)
	for i := range t.leaders {
		t.leaders[i] = leader{broker: -1, epoch: -1}
	}
	for range n {
		l := leader{code: r.int16()}
		index := r.int32()
		l.broker, l.epoch = r.int32(), r.int32()
		l.copies = int32(r.compactLength(replicaBytes))
		r.take(replicaBytes * int(l.copies))
		for range 2 { // replicas in sync, replicas offline
			r.take(replicaBytes * r.compactLength(replicaBytes))
		}
		r.tags()
		if index < 0 || int(index) >= n {
			r.bad = true
			break
		}
		t.leaders[index] = l
	}
	r.take(authorizedOpsBytes)
	r.tags()
	return t
}

func (t *topicMeta) topic() Topic {
	out := Topic{Name: t.name, ID: t.id, Partitions: int32(len(t.leaders)), Internal: t.internal || strings.HasPrefix(t.name, internalPrefix)}
	for i, l := range t.leaders {
		if i == 0 || l.copies < out.Replication {
			out.Replication = l.copies
		}
	}
	return out
}

// metadata asks for topics, nil for all of them. It tries the configured addresses, then brokers that were known.
func (c *Client) metadata(ctx context.Context, topics []string) ([]topicMeta, error) {
	found, err := c.metadataFrom(ctx, anyBroker, topics)
	if err == nil || ctx.Err() != nil {
		return found, err
	}
	for _, id := range c.someBrokers() {
		if found, again := c.metadataFrom(ctx, id, topics); again == nil {
			return found, nil
		}
	}
	return nil, err
}

func (c *Client) metadataFrom(ctx context.Context, broker int32, topics []string) ([]topicMeta, error) {
	v, err := c.versions(ctx)
	if err != nil {
		return nil, err
	}
	if v.metadataMax < metadataVersion {
		return c.oldMetadata(ctx, broker, topics)
	}
	m, err := c.roundTrip(ctx, &metadataRequest{broker: broker, clientID: c.cfg.ClientID, topics: topics, id: &c.correlation})
	if err != nil {
		return nil, err
	}
	resp, ok := m.(*metadataResponse)
	if !ok {
		return nil, errMalformedResponse
	}
	if topics != nil { // a list of all would fill the cache with topics that nobody asks for
		c.remember(resp.topics)
	}
	return resp.topics, nil
}

// oldMetadata asks brokers older than Kafka 2.8, which know no topic ids.
func (c *Client) oldMetadata(ctx context.Context, broker int32, topics []string) ([]topicMeta, error) {
	m, err := c.direct(ctx, broker, &oldmetadata.Request{TopicNames: topics})
	if err != nil {
		return nil, err
	}
	resp, ok := m.(*oldmetadata.Response)
	if !ok {
		return nil, errMalformedResponse
	}
	out := make([]topicMeta, 0, len(resp.Topics))
	for _, t := range resp.Topics {
		meta := topicMeta{name: t.Name, code: t.ErrorCode, internal: t.IsInternal, leaders: make([]leader, len(t.Partitions))}
		for _, p := range t.Partitions {
			if p.PartitionIndex < 0 || int(p.PartitionIndex) >= len(meta.leaders) {
				return nil, errMalformedResponse
			}
			meta.leaders[p.PartitionIndex] = leader{broker: p.LeaderID, epoch: -1, code: p.ErrorCode, copies: int32(len(p.ReplicaNodes))}
		}
		out = append(out, meta)
	}
	if topics != nil {
		c.remember(out)
	}
	return out, nil
}

// Shape returns a topic's id and number of partitions; the error is ErrUnknownTopic when there is no such topic.
func (c *Client) Shape(ctx context.Context, topic string) (Shape, error) {
	t, err := c.topic(ctx, topic)
	if err != nil {
		return Shape{}, c.explained("read topic "+topic, err)
	}
	return t.shape(), nil
}

// topic asks for one topic.
func (c *Client) topic(ctx context.Context, name string) (topicMeta, error) {
	found, err := c.metadata(ctx, []string{name})
	if err != nil {
		return topicMeta{}, err
	}
	i := slices.IndexFunc(found, func(t topicMeta) bool { return t.name == name })
	if i < 0 {
		return topicMeta{}, fmt.Errorf("topic %s: %w", name, ErrUnknownTopic)
	}
	return found[i], c.access(found[i].err(), toDescribe, onTopic, name)
}
