// Package real runs every contract suite against real servers, and klaxon as a process of its own against all of them.
package real

import (
	"testing"

	"github.com/klaxonhq/klaxon/incidents/postgres/postgrestest"
	"github.com/klaxonhq/klaxon/ingest/kafka/kafkatest"
	"github.com/klaxonhq/klaxon/internal/realtest"
	"github.com/klaxonhq/klaxon/sinks/elasticsearch/estest"
)

// TestReal starts each server when a part first asks for it, and stops them all at the end.
func TestReal(t *testing.T) {
	s := realtest.New()
	t.Cleanup(s.Close)
	t.Run("Kafka", func(t *testing.T) { kafkatest.Suite(t, s.Kafka(t).Brokers) })
	t.Run("Elasticsearch", func(t *testing.T) { estest.Suite(t, s.Elasticsearch(t).URL) })
	t.Run("Postgres", func(t *testing.T) { p := s.Postgres(t); postgrestest.Suite(t, p.URL, p.CA) })
	t.Run("KafkaFailover", func(t *testing.T) { kafkaFailover(t, s) })
	t.Run("SecureKafka", func(t *testing.T) { secureKafka(t, s) })
	t.Run("NothingLostNothingTwice", func(t *testing.T) { nothingLostNothingTwice(t, s) })
	t.Run("SeveralProcesses", func(t *testing.T) { severalProcesses(t, s) })
}
