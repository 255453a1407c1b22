package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
)

const topicResource = 2 // the type of a topic in requests about configuration

// Describe returns what the cluster says of a topic; the error is ErrUnknownTopic when there is no such topic.
func (c *Client) Describe(ctx context.Context, name string) (Topic, error) {
	ctx, cancel := call(ctx)
	defer cancel()
	t, err := c.topic(ctx, name)
	if err != nil {
		return Topic{}, c.explained("read topic "+name, err)
	}
	return t.topic(), nil
}

// Settings returns a topic's configuration as it is in force, defaults included. The error is an *[AccessError] where this user may
// not look at it.
func (c *Client) Settings(ctx context.Context, topic string) (map[string]string, error) {
	ctx, cancel := call(ctx)
	defer cancel()
	out, err := c.settings(ctx, topic)
	return out, c.explained("read the settings of topic "+topic, err)
}

func (c *Client) settings(ctx context.Context, topic string) (map[string]string, error) {
	m, err := c.direct(ctx, anyBroker, &describeconfigs.Request{Resources: []describeconfigs.RequestResource{{ResourceType: topicResource, ResourceName: topic}}})
	if err != nil {
		return nil, err
	}
	resp, ok := m.(*describeconfigs.Response)
	if !ok || len(resp.Resources) != 1 {
		return nil, errMalformedResponse
	}
	switch r := &resp.Resources[0]; kafkago.Error(r.ErrorCode) {
	case noError:
		out := make(map[string]string, len(r.ConfigEntries))
		for _, e := range r.ConfigEntries {
			out[e.ConfigName] = e.ConfigValue
		}
		return out, nil
	case kafkago.UnknownTopicOrPartition:
		return nil, fmt.Errorf("topic %s: %w", topic, ErrUnknownTopic)
	default:
		return nil, c.access(kafkago.Error(r.ErrorCode), toDescribeConfigs, onTopic, topic)
	}
}

// CreateCommand is the command that creates a topic as [Client.EnsureTopic] would.
func (c *Client) CreateCommand(spec TopicSpec) string {
	args := []string{"--create", "--topic", quoted(spec.Name)}
	if spec.Partitions > 0 {
		args = append(args, "--partitions", strconv.Itoa(spec.Partitions))
	}
	if spec.Replication > 0 {
		args = append(args, "--replication-factor", strconv.Itoa(spec.Replication))
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Config)) {
		args = append(args, "--config", quoted(name+"="+spec.Config[name]))
	}
	return c.tool("kafka-topics.sh", args...)
}

// DeleteCommand is the command that deletes a topic with all that is in it.
func (c *Client) DeleteCommand(topic string) string {
	return c.tool("kafka-topics.sh", "--delete", "--topic", quoted(topic))
}

// AlterCommand is the command that changes settings of a topic.
func (c *Client) AlterCommand(topic string, settings map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		if strings.Contains(value, ",") {
			value = "[" + value + "]"
		}
		list = append(list, name+"="+value)
	}
	return c.tool("kafka-configs.sh", "--alter", "--entity-type", "topics", "--entity-name", quoted(topic), "--add-config", quoted(strings.Join(list, ",")))
}
