package kafka

import (
	"errors"
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/klaxonhq/klaxon/internal/broker"
)

func TestSettingsAreThoseInForce(t *testing.T) {
	t.Parallel()
	_, c := startBroker(t)
	ctx := testContext(t)
	if _, err := c.EnsureTopic(ctx, TopicSpec{Name: "t", Partitions: 2, Config: map[string]string{"retention.ms": "3600000"}}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Settings(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	if got["retention.ms"] != "3600000" || got["cleanup.policy"] != "delete" {
		t.Errorf("settings %v", got)
	}
	topic, err := c.Describe(ctx, "t")
	if err != nil || topic.Partitions != 2 || topic.Replication != 1 || topic.ID == "" {
		t.Errorf("topic %+v, error %v", topic, err)
	}
}

func TestSettingsOfNoTopic(t *testing.T) {
	t.Parallel()
	_, c := startBroker(t, broker.Topic{Name: "in", Partitions: 1})
	ctx := testContext(t)
	if _, err := c.Settings(ctx, "out"); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("settings: %v", err)
	}
	if _, err := c.Describe(ctx, "out"); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("description: %v", err)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	c := NewClient(Config{Brokers: []string{"a:1", "b:2"}})
	secure := NewClient(Config{Brokers: []string{"a:1"}, SASL: scramMechanism(t, "o'hara", "x"), Principal: "o'hara"})
	spec := TopicSpec{Name: "klaxon.hits", Partitions: 32, Replication: 3, Config: map[string]string{"retention.ms": "1", "cleanup.policy": "delete"}}
	for got, want := range map[string]string{
		c.CreateCommand(spec):                 "kafka-topics.sh --bootstrap-server a:1,b:2 --create --topic klaxon.hits --partitions 32 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=1",
		c.CreateCommand(TopicSpec{Name: "x"}): "kafka-topics.sh --bootstrap-server a:1,b:2 --create --topic x",
		secure.DeleteCommand("x"):             "kafka-topics.sh --bootstrap-server a:1 --command-config admin.properties --delete --topic x",
		c.AlterCommand("x", map[string]string{"retention.ms": "-1", "cleanup.policy": "compact,delete"}): "kafka-configs.sh --bootstrap-server a:1,b:2 --alter --entity-type topics --entity-name x --add-config 'cleanup.policy=[compact,delete],retention.ms=-1'",
		secure.grant(onGroup, "klaxon.match", toRead):                                                    `kafka-acls.sh --bootstrap-server a:1 --command-config admin.properties --add --allow-principal 'User:o'\''hara' --operation Read --group klaxon.match`,
	} {
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

func TestAccessErrors(t *testing.T) {
	t.Parallel()
	c := NewClient(Config{Brokers: []string{"a:1"}, Principal: "klaxon"})
	for name, test := range map[string]struct {
		err      error
		op, what string
		wrapped  bool
	}{
		"topic":                    {kafkago.TopicAuthorizationFailed, toRead, onTopic, true},
		"group":                    {kafkago.GroupAuthorizationFailed, toRead, onGroup, true},
		"creation":                 {kafkago.ClusterAuthorizationFailed, toCreate, onTopic, true},
		"of another kind":          {kafkago.GroupAuthorizationFailed, toRead, onTopic, false},
		"of the cluster":           {kafkago.ClusterAuthorizationFailed, toRead, onTopic, false},
		"no matter of rights":      {kafkago.LeaderNotAvailable, toRead, onTopic, false},
		"no error of a broker":     {errNoAnswer, toRead, onTopic, false},
		"known, for another right": {c.access(kafkago.TopicAuthorizationFailed, toDescribe, onTopic, "t"), toWrite, onTopic, true},
	} {
		err := c.access(test.err, test.op, test.what, "t")
		var access *AccessError
		if errors.As(err, &access) != test.wrapped {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !test.wrapped {
			continue
		}
		if access.Operation != test.op || !strings.Contains(err.Error(), "--allow-principal User:klaxon --operation "+test.op+" --"+test.what+" t") || strings.Count(err.Error(), "kafka-acls.sh") != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if Explain(err) != err.Error() {
			t.Errorf("%s: said twice: %s", name, Explain(err))
		}
	}
	if c.access(nil, toRead, onTopic, "t") != nil {
		t.Error("an error of nothing")
	}
}
