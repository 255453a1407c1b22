package kafka

import (
	"context"
	"slices"
	"strings"
)

// Topic is one that the cluster has.
type Topic struct {
	Name       string
	ID         string // hexadecimal, "" where brokers are older than Kafka 2.8
	Partitions int32
	// Replication is how many brokers keep a copy of each partition; the least, where partitions differ.
	Replication int32
	// Internal says that the topic is Kafka's own, such as that of committed offsets. By convention names that begin with two
	// underscores are: Confluent's, Debezium's and others' state lies there.
	Internal bool
}

// List returns all topics of the cluster that this user may see, sorted by name. A topic that the user may not describe is not
// among them, and looks as if it did not exist.
func (c *Client) List(ctx context.Context) ([]Topic, error) {
	ctx, cancel := call(ctx)
	defer cancel()
	out, err := c.list(ctx)
	return out, c.explained("list topics", err)
}

func (c *Client) list(ctx context.Context) ([]Topic, error) {
	found, err := c.metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	out := make([]Topic, 0, len(found))
	for i := range found {
		if found[i].err() == nil {
			out = append(out, found[i].topic())
		}
	}
	slices.SortFunc(out, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
