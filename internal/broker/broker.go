// Package broker is a Kafka broker inside the process: what klaxon uses where no cluster is configured, and in tests.
//
// It listens on loopback only, keeps its topics and the groups' offsets in a folder or in memory, and does not create topics that
// nobody asked for. Without a folder, nothing survives Close.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	minSession    = 500 * time.Millisecond // real brokers want 6 s; one process alone can afford to notice faster
	maxBatch      = 2 << 20                // room for records of a megabyte with what we add to them
	clusterID     = "klaxon-embedded"
	folderRights  = 0o700
	createTimeout = 10 * time.Second
)

// Topic is one that is there from the start.
type Topic struct {
	Name       string
	Partitions int32
}

// Options change what Start does. The zero value is fine.
type Options struct {
	Port       int  // 0: any that is free
	SyncWrites bool // write to disk before acknowledging: survives the machine's crash, not only the process's
	// OnRequest is told the API key of every request, one at a time: what a client does can be held to what it says. It may be nil.
	OnRequest func(key int16)
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
}

// Start starts a broker that keeps its data in dir, or in memory when dir is "". Topics that dir already holds stay as they are.
func Start(dir string, topics ...Topic) (*Broker, error) { return StartWith(dir, Options{}, topics...) }

// StartWith is Start with options.
func StartWith(dir string, o Options, topics ...Topic) (*Broker, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(o.Port), kfake.ClusterID(clusterID), kfake.ListenFn(loopback),
		kfake.GroupMinSessionTimeout(minSession), kfake.DefaultNumPartitions(1),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(maxBatch)}),
	}
	if dir != "" {
		if err := os.MkdirAll(dir, folderRights); err != nil {
			return nil, fmt.Errorf("embedded broker: cannot make its folder: %w", err)
		}
		opts = append(opts, kfake.DataDir(dir))
		if o.SyncWrites {
			opts = append(opts, kfake.SyncWrites())
		}
	}
	for _, t := range topics {
		opts = append(opts, kfake.SeedTopics(t.Partitions, t.Name))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("embedded broker in %q: %w", dir, err)
	}
	addrs := cluster.ListenAddrs()
	if len(addrs) == 0 {
		cluster.Close()
		return nil, errors.New("embedded broker does not listen")
	}
	if o.OnRequest != nil {
		cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
			o.OnRequest(r.Key())
			return nil, nil, false
		})
	}
	b := &Broker{cluster: cluster, addr: addrs[0]}
	if dir != "" { // a folder that holds topics is not seeded
		if err := b.create(topics); err != nil {
			return nil, errors.Join(fmt.Errorf("embedded broker in %q: %w", dir, err), b.Close())
		}
	}
	return b, nil
}

// create makes the topics that are missing.
func (b *Broker) create(topics []Topic) error {
	if len(topics) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
	if err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), createTimeout)
	defer cancel()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(createTimeout.Milliseconds())
	for _, t := range topics {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Name, t.Partitions, 1
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("cannot create topics: %w", err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("cannot create topic %s: %w", t.Topic, err)
		}
	}
	return nil
}

// loopback refuses to listen anywhere else.
func loopback(network, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	return net.Listen(network, net.JoinHostPort("127.0.0.1", port))
}

// Addr is where the broker listens, as host:port.
func (b *Broker) Addr() string { return b.addr }

// Compact removes the records of compacted topics that newer ones replaced, which otherwise happens now and then.
func (b *Broker) Compact() { b.cluster.Compact() }

// Close stops the broker and writes what it holds to its folder.
func (b *Broker) Close() error {
	b.cluster.Close()
	return nil
}
