package kafka

import (
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/broker"
)

func TestListTellsEveryTopicSorted(t *testing.T) {
	t.Parallel()
	_, c := startBroker(t, broker.Topic{Name: "logs.b", Partitions: 3}, broker.Topic{Name: "__state", Partitions: 1}, broker.Topic{Name: "logs.a", Partitions: 1})
	found, err := c.List(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		if len(found[i].ID) != 2*topicIDBytes {
			t.Errorf("topic %s has the id %q", found[i].Name, found[i].ID)
		}
		found[i].ID = ""
	}
	if len(c.topics) > 0 {
		t.Errorf("%d topics are kept that nobody may ask for", len(c.topics))
	}
	want := []Topic{{Name: "__state", Partitions: 1, Replication: 1, Internal: true}, {Name: "logs.a", Partitions: 1, Replication: 1}, {Name: "logs.b", Partitions: 3, Replication: 1}}
	if !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

func TestListOfAnEmptyClusterIsEmpty(t *testing.T) {
	t.Parallel()
	_, c := startBroker(t)
	if found, err := c.List(testContext(t)); err != nil || len(found) != 0 {
		t.Errorf("found %v, error %v", found, err)
	}
}

func TestListSaysWhatToDoWithoutBrokers(t *testing.T) {
	t.Parallel()
	c := NewClient(Config{Brokers: []string{"127.0.0.1:1"}})
	defer c.Close()
	if _, err := c.List(testContext(t)); err == nil || !strings.Contains(err.Error(), "list topics") || !strings.Contains(err.Error(), "nothing listens there") {
		t.Errorf("error %v", err)
	}
}
