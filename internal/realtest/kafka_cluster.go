package realtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// KafkaCluster is several brokers, each of which takes part in the quorum of controllers. Topics have three replicas of which two
// must be in sync, as far as there are brokers.
type KafkaCluster struct {
	// Brokers are the addresses of all, host:port, separated by commas.
	Brokers string

	addresses []string
	nodes     *processes
}

// NewKafkaCluster returns a cluster of t's own, which ends with t. It skips or fails t when there is none.
func (s *Servers) NewKafkaCluster(t testing.TB, brokers int) *KafkaCluster {
	t.Helper()
	k := &KafkaCluster{nodes: &processes{}}
	one := s.own(t, kind{
		name:  "kafka",
		ready: func(ctx context.Context, _ string) error { return k.ready(ctx) },
		local: func(ctx context.Context, c cache) (unit, string, error) { return k.processes(ctx, c, brokers) },
	})
	k.Brokers = one.address
	return k
}

// Kill9 ends one of the brokers, counted from 0, as a power cut would. Its data stay.
func (k *KafkaCluster) Kill9(broker int) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := k.nodes.list[broker].end(ctx, true); err != nil {
		return err
	}
	return waitClosed(ctx, k.addresses[broker])
}

// Restart starts a broker again on its old port and data, and returns once it answers.
func (k *KafkaCluster) Restart(broker int) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := k.nodes.list[broker].start(ctx); err != nil {
		return err
	}
	one := &server{kind: kind{name: "kafka", ready: kafkaReady}, address: k.addresses[broker], unit: k.nodes.list[broker]}
	return one.waitReady()
}

func (k *KafkaCluster) ready(ctx context.Context) error {
	for _, address := range k.addresses {
		if err := kafkaKnows(ctx, address, len(k.addresses)); err != nil {
			return err
		}
	}
	return nil
}

func (k *KafkaCluster) processes(ctx context.Context, c cache, brokers int) (unit, string, error) {
	ports, err := freePorts(2 * brokers)
	if err != nil {
		return nil, "", err
	}
	var voters []string
	for i := range brokers {
		k.addresses = append(k.addresses, fmt.Sprintf("127.0.0.1:%d", ports[i]))
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[brokers+i]))
	}
	for i := range brokers {
		n := node{id: i + 1, brokers: brokers, host: "127.0.0.1", port: ports[i], controller: ports[brokers+i], voters: strings.Join(voters, ",")}
		p, err := n.process(ctx, c)
		if err != nil {
			k.nodes.remove()
			return nil, "", err
		}
		k.nodes.list = append(k.nodes.list, p)
	}
	return k.nodes, strings.Join(k.addresses, ","), nil
}

// processes are started and ended together.
type processes struct{ list []*process }

func (p *processes) start(ctx context.Context) error {
	for _, one := range p.list {
		if err := one.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *processes) ended() error {
	for _, one := range p.list {
		if err := one.ended(); err != nil {
			return err
		}
	}
	return nil
}

func (p *processes) end(ctx context.Context, kill bool) error {
	var errs []error
	for _, one := range p.list {
		errs = append(errs, one.end(ctx, kill))
	}
	return errors.Join(errs...)
}

func (p *processes) remove() {
	for _, one := range p.list {
		one.remove()
	}
}
