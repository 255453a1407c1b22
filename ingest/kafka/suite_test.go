package kafka_test

import (
	"testing"

	"github.com/klaxonhq/klaxon/ingest/kafka/kafkatest"
	"github.com/klaxonhq/klaxon/internal/broker"
)

func TestSuiteEmbedded(t *testing.T) {
	t.Parallel()
	b, err := broker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	kafkatest.Suite(t, b.Addr())
}
