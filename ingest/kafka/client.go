package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/sasl"
	"go.uber.org/zap"
)

const (
	dialTimeout    = 3 * time.Second
	callTimeout    = 5 * time.Second // for one call, where the caller's context ends later
	idleTimeout    = time.Minute
	brokersTTL     = time.Second // how often the list of brokers is read
	versionsTTL    = 5 * time.Minute
	leadersTTL     = 3 * time.Second // a follower serves fetches without an error, so a wrong leader shows only here
	maxOtherTries  = 2
	defaultClient  = "klaxon"
	maxBrokersKept = 64
)

// Config says how to reach a cluster.
type Config struct {
	Brokers  []string // host:port of some brokers; the others are learned from them
	ClientID string   // shown in brokers' logs and quotas; "klaxon" when empty
	// TLS is nil for plain connections. It is asked at every new connection, so that certificates can be renewed; what it returns is
	// not changed. The host's name is filled in where ServerName is empty.
	TLS       func() *tls.Config
	SASL      sasl.Mechanism
	Principal string // who klaxon is to the brokers, without "User:", for messages about missing rights; may be empty
	// OldFetch reads with kafka-go's own request, which is slower. Brokers that need it (before Kafka 2.3) get it in any case.
	OldFetch bool
	Log      *zap.Logger // may be nil
}

// Client is a pool of connections to one cluster. It is safe for concurrent use.
type Client struct {
	cfg         Config
	addr        net.Addr
	transport   *kafkago.Transport
	log         *zap.Logger
	mem         memory
	correlation atomic.Int32
	sticky      atomic.Uint32 // where messages without a key go, in turn

	mu         sync.Mutex
	api        apiRange
	apiAsked   time.Time
	topics     map[string]cachedTopic
	brokersIDs []int32
}

// apiRange is what the cluster's brokers accept of the calls that are written by hand here.
type apiRange struct{ fetchMin, fetchMax, metadataMax int16 }

type cachedTopic struct {
	topicMeta
	asked time.Time
}

// NewClient returns a client. It does no I/O: connections are made when they are needed.
func NewClient(cfg Config) *Client {
	if cfg.ClientID == "" {
		cfg.ClientID = defaultClient
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	c := &Client{
		cfg:  cfg,
		log:  cfg.Log,
		addr: kafkago.TCP(cfg.Brokers...),
		transport: &kafkago.Transport{
			DialTimeout: dialTimeout, IdleTimeout: idleTimeout, ClientID: cfg.ClientID, SASL: cfg.SASL,
			MetadataTTL:    brokersTTL,
			MetadataTopics: []string{}, // none: only the brokers' addresses come from there; leaders are asked for by topic
		},
		topics: map[string]cachedTopic{},
	}
	c.transport.Dial = c.dial
	return c
}

// Close closes connections that are not in use; the others close when they become idle.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// addresses is what the configuration names, for messages.
func (c *Client) addresses() string { return strings.Join(c.cfg.Brokers, ",") }

// roundTrip sends a request. A deadline is always set: without one a connection would wait for ever.
func (c *Client) roundTrip(ctx context.Context, req kafkago.Request) (kafkago.Response, error) {
	if len(c.cfg.Brokers) == 0 {
		return nil, errNoBrokers
	}
	return c.transport.RoundTrip(ctx, c.addr, req)
}

// call is the context for one call: the caller's, at most callTimeout long.
func call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTimeout)
}

// directed sends one of kafka-go's own requests to a broker of our choice, instead of the one in its cached layout.
type directed struct {
	broker  int32
	client  string
	inner   protocol.Message
	version int16
	id      *atomic.Int32
}

// reply hides the response's type from the transport, which would refresh its layout after some of them.
type reply struct{ protocol.Message }

const theController = -2

// ApiKey implements protocol.Message.
func (d *directed) ApiKey() protocol.ApiKey { return d.inner.ApiKey() }

// Broker implements protocol.BrokerMessage.
func (d *directed) Broker(c protocol.Cluster) (protocol.Broker, error) {
	switch d.broker {
	case anyBroker:
		return protocol.Broker{ID: -1}, nil
	case theController:
		return brokerOf(c, c.Controller)
	default:
		return brokerOf(c, d.broker)
	}
}

// Required implements protocol.RawExchanger, and learns which version the connection settled on.
func (d *directed) Required(versions map[protocol.ApiKey]int16) bool {
	d.version = versions[d.inner.ApiKey()]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (d *directed) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if p, ok := d.inner.(protocol.PreparedMessage); ok {
		p.Prepare(d.version)
	}
	m, err := protocol.RoundTrip(rw, d.version, d.id.Add(1), d.client, d.inner)
	if err != nil {
		return nil, err
	}
	return reply{m}, nil
}

// direct sends one of kafka-go's requests to a broker, or to anyBroker or theController.
func (c *Client) direct(ctx context.Context, broker int32, req protocol.Message) (protocol.Message, error) {
	m, err := c.roundTrip(ctx, &directed{broker: broker, client: c.cfg.ClientID, inner: req, id: &c.correlation})
	if err != nil {
		return nil, err
	}
	r, ok := m.(reply)
	if !ok {
		return nil, errMalformedResponse
	}
	return r.Message, nil
}

// versions returns what brokers accept, asking at most every versionsTTL.
func (c *Client) versions(ctx context.Context) (apiRange, error) {
	c.mu.Lock()
	api, asked := c.api, c.apiAsked
	c.mu.Unlock()
	if !asked.IsZero() && time.Since(asked) < versionsTTL {
		return api, nil
	}
	ctx, cancel := call(ctx)
	defer cancel()
	m, err := c.direct(ctx, anyBroker, &apiversions.Request{})
	if err != nil {
		if !asked.IsZero() {
			return api, nil
		}
		return apiRange{}, err
	}
	resp, ok := m.(*apiversions.Response)
	if !ok {
		return apiRange{}, errMalformedResponse
	}
	if resp.ErrorCode != 0 {
		return apiRange{}, fmt.Errorf("versions: %w", kafkago.Error(resp.ErrorCode))
	}
	api = apiRange{}
	for _, k := range resp.ApiKeys {
		switch protocol.ApiKey(k.ApiKey) {
		case protocol.Fetch:
			api.fetchMin, api.fetchMax = k.MinVersion, k.MaxVersion
		case protocol.Metadata:
			api.metadataMax = k.MaxVersion
		}
	}
	c.mu.Lock()
	c.api, c.apiAsked = api, time.Now()
	c.mu.Unlock()
	return api, nil
}

// remember caches topics that were read.
func (c *Client) remember(found []topicMeta) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range found {
		if t.err() != nil {
			delete(c.topics, t.name)
			continue
		}
		c.topics[t.name] = cachedTopic{topicMeta: t, asked: now}
		for _, l := range t.leaders {
			c.knowBroker(l.broker)
		}
	}
}

// knowBroker keeps a few broker ids to ask when the configured addresses are down.
func (c *Client) knowBroker(id int32) {
	if id < 0 || len(c.brokersIDs) >= maxBrokersKept {
		return
	}
	for _, known := range c.brokersIDs {
		if known == id {
			return
		}
	}
	c.brokersIDs = append(c.brokersIDs, id)
}

// someBrokers returns a few known brokers, others each time.
func (c *Client) someBrokers() []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.brokersIDs) == 0 {
		return nil
	}
	c.brokersIDs = append(c.brokersIDs[1:], c.brokersIDs[0])
	return append([]int32(nil), c.brokersIDs[:min(maxOtherTries, len(c.brokersIDs))]...)
}

// cached returns a topic read at most leadersTTL ago, reading it when there is none.
func (c *Client) cached(ctx context.Context, name string) (topicMeta, error) {
	c.mu.Lock()
	t, ok := c.topics[name]
	c.mu.Unlock()
	if ok && time.Since(t.asked) < leadersTTL {
		return t.topicMeta, nil
	}
	ctx, cancel := call(ctx)
	defer cancel()
	fresh, err := c.topic(ctx, name)
	if err != nil && ok && !errors.Is(err, ErrUnknownTopic) {
		return t.topicMeta, nil // the old leaders may still serve
	}
	return fresh, err
}

// forget makes the next call read the topic's leaders anew.
func (c *Client) forget(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.topics[topic]; ok {
		t.asked = time.Time{}
		c.topics[topic] = t
	}
}
