package realtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	kafkago "github.com/segmentio/kafka-go"
)

func TestServers(t *testing.T) {
	t.Setenv("KLAXON_TEST_KAFKA", "") // these are about servers of our own
	t.Setenv("KLAXON_TEST_ELASTICSEARCH", "")
	t.Setenv("KLAXON_TEST_POSTGRES", "")
	servers := New()
	t.Cleanup(servers.Close)

	t.Run("kafka keeps what it acknowledged through a kill", func(t *testing.T) {
		kafka := servers.Kafka(t)
		createTopic(t, kafka.Brokers, "kept")
		produce(t, kafka.Brokers, "kept", "before the kill")
		if err := kafka.Kill9(); err != nil {
			t.Fatal(err)
		}
		if err := kafkaReady(t.Context(), kafka.Brokers); err == nil {
			t.Fatal("a broker that was killed answers")
		}
		if err := kafka.Restart(); err != nil {
			t.Fatal(err)
		}
		if got := first(t, kafka.Brokers, "kept"); got != "before the kill" {
			t.Errorf("first record is %q", got)
		}
	})
	t.Run("kafka is shared, and started again where a test left it stopped", func(t *testing.T) {
		kafka := servers.Kafka(t)
		if err := kafka.Stop(); err != nil {
			t.Fatal(err)
		}
		again := servers.Kafka(t)
		if again.Brokers != kafka.Brokers {
			t.Errorf("the process's broker was at %s and is at %s", kafka.Brokers, again.Brokers)
		}
		if got := first(t, again.Brokers, "kept"); got != "before the kill" {
			t.Errorf("first record is %q", got)
		}
	})
	t.Run("a broker of a test's own is another one", func(t *testing.T) {
		var own *Kafka
		t.Run("owner", func(t *testing.T) {
			own = servers.NewKafka(t)
			if shared := servers.Kafka(t); own.Brokers == shared.Brokers {
				t.Errorf("both are at %s", shared.Brokers)
			}
		})
		if own == nil {
			return // the owner has said why
		}
		if err := kafkaReady(t.Context(), own.Brokers); err == nil {
			t.Error("it outlives its test")
		}
	})
	t.Run("elasticsearch keeps what it acknowledged through a kill", func(t *testing.T) {
		es := servers.Elasticsearch(t)
		call(t, http.MethodPut, es.URL+"/kept/_doc/1", `{"message":"before the kill"}`, http.StatusCreated)
		if err := es.Kill9(); err != nil {
			t.Fatal(err)
		}
		if err := elasticsearchReady(t.Context(), es.URL); err == nil {
			t.Fatal("a node that was killed answers")
		}
		if err := es.Restart(); err != nil {
			t.Fatal(err)
		}
		got := call(t, http.MethodGet, es.URL+"/kept/_source/1", "", http.StatusOK)
		if got != `{"message":"before the kill"}` {
			t.Errorf("the document is %s", got)
		}
	})
}

func TestPostgres(t *testing.T) {
	t.Setenv("KLAXON_TEST_POSTGRES", "") // this is about a server of our own
	servers := New()
	t.Cleanup(servers.Close)
	p := servers.NewPostgres(t)
	conn := connect(t, p.URL)
	for _, statement := range []string{"CREATE TABLE kept (text TEXT)", "INSERT INTO kept VALUES ('before the kill')"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := postgresReady(t.Context(), p.URL); err == nil {
		t.Fatal("a server that was killed answers")
	}
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := connect(t, p.URL).QueryRow(t.Context(), "SELECT text FROM kept").Scan(&got); err != nil || got != "before the kill" {
		t.Errorf("the row is %q, %v", got, err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func createTopic(t *testing.T, brokers, name string) {
	t.Helper()
	conn, err := kafkago.DialContext(t.Context(), "tcp", brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.CreateTopics(kafkago.TopicConfig{Topic: name, NumPartitions: 1, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, brokers, topic, value string) {
	t.Helper()
	w := &kafkago.Writer{Addr: kafkago.TCP(brokers), Topic: topic, RequiredAcks: kafkago.RequireAll, BatchTimeout: time.Millisecond}
	defer w.Close()
	if err := w.WriteMessages(t.Context(), kafkago.Message{Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

func first(t *testing.T, brokers, topic string) string {
	t.Helper()
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{brokers}, Topic: topic, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := r.ReadMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Value)
}

func call(t *testing.T, method, url, body string, status int) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Fatalf("%s %s answers %s: %s", method, url, response.Status, got)
	}
	return string(got)
}
