package real

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	kafkago "github.com/segmentio/kafka-go"
)

// journal is a process's log: it may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// parts is what /readyz says of each part: "" is ready.
func (p *process) parts() map[string]string {
	resp, err := http.Get("http://" + p.admin + "/readyz")
	if err != nil {
		return map[string]string{"": err.Error()}
	}
	defer resp.Body.Close()
	var said struct{ Parts map[string]string }
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return map[string]string{"": err.Error()}
	}
	return said.Parts
}

// trouble is all that /readyz says is wrong.
func (p *process) trouble() string {
	var out []string
	for part, why := range p.parts() {
		if why != "" {
			out = append(out, part+": "+why)
		}
	}
	return strings.Join(out, "\n")
}

// leastPrivilege runs klaxon as a user who may do what the documents say and no more, and reads by pattern.
func (s *secure) leastPrivilege(t *testing.T) {
	t.Parallel()
	super := s.super(t)
	s.topic(t, "logs.one")
	s.topic(t, "logs.private")
	p := startKlaxon(t, s.config(t))
	eventually(t, time.Minute, "klaxon says that it may not create its topics", func() bool {
		return strings.Contains(p.trouble(), "--allow-principal User:klaxon --operation Create --operation Read --operation Write --operation DescribeConfigs --topic klaxon.hits") &&
			strings.Contains(p.trouble(), "kafka-topics.sh")
	})
	for _, command := range documentedACLs(t) {
		applyACL(t, s.Plain, command)
	}
	eventually(t, 2*time.Minute, "klaxon is ready", func() bool { return p.trouble() == "" })
	archived := func(n int) func() bool {
		return func() bool { return int(p.metric("klaxon_archive_archived_records_total")) == n }
	}
	s.lines(t, "logs.one", 100)
	s.lines(t, "logs.private", 10)
	eventually(t, time.Minute, "the first topic is archived", archived(100))
	s.topic(t, "logs.two")
	s.lines(t, "logs.two", 50)
	eventually(t, time.Minute, "a topic that was created later is archived from its beginning", archived(150))

	remove(t, s.Plain, "logs.one")
	s.lines(t, "logs.two", 5)
	eventually(t, time.Minute, "reading goes on", archived(155))
	eventually(t, 2*time.Minute, "time waits for the deleted topic no more", func() bool {
		return strings.Contains(p.log.String(), `"a topic is read no longer and does not hold time back any more"`)
	})
	eventually(t, time.Minute, "klaxon is ready without the deleted topic", func() bool { return p.trouble() == "" })

	remove(t, s.Plain, "klaxon.hits")
	eventually(t, time.Minute, "the hits topic is created anew, and the gap is told", func() bool { return p.metric("klaxon_detect_gaps_total") > 0 })
	if topic, err := super.Describe(t.Context(), "klaxon.hits"); err != nil || topic.Partitions != 32 {
		t.Errorf("the new hits topic is %+v, error %v", topic, err)
	}
	frames := p.metric("klaxon_detect_frames_total")
	s.lines(t, "logs.two", 5)
	eventually(t, 2*time.Minute, "hits flow again", func() bool {
		return p.metric("klaxon_detect_frames_total") > frames && archived(160)() && p.trouble() == ""
	})
	p.stop()
}

// config is klaxon's configuration as a user of the secure broker.
func (s *secure) config(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.pem"), s.CA.PEM)
	write(t, filepath.Join(dir, "password"), []byte("klaxon-secret\n"))
	name := filepath.Join(dir, "klaxon.yaml")
	write(t, name, fmt.Appendf(nil, `version: 1
kafka:
  brokers: [%s]
  topics: ["logs.*"]
  exclude_topics: [logs.private]
  session: 6s
  tls: {ca_file: ca.pem}
  sasl: {mechanism: SCRAM-SHA-512, username: klaxon, password_file: password}
archive: {local: {dir: archive, flush: 1s}}
detect: {checkpoint: 2s, idle: 1s}
admin: {listen: "127.0.0.1:0"}
`, s.SASL))
	return name
}

func (s *secure) topic(t *testing.T, name string) {
	t.Helper()
	if _, err := s.super(t).EnsureTopic(t.Context(), kafka.TopicSpec{Name: name, Partitions: 2}); err != nil {
		t.Fatal(err)
	}
}

// lines writes so many events to a topic.
func (s *secure) lines(t *testing.T, topic string, n int) {
	t.Helper()
	messages := make([]kafka.Message, n)
	for i := range messages {
		messages[i] = kafka.Message{Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"message":"line %d","event":{"action":"test"}}`, i)}
	}
	if err := s.super(t).Send(t.Context(), topic, messages); err != nil {
		t.Fatal(err)
	}
}

// remove deletes a topic.
func remove(t *testing.T, broker, topic string) {
	t.Helper()
	resp, err := (&kafkago.Client{Addr: kafkago.TCP(broker)}).DeleteTopics(t.Context(), &kafkago.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil || resp.Errors[topic] != nil {
		t.Fatalf("delete %s: %v %v", topic, err, resp)
	}
}

// documentedACLs is the commands that the documents tell a platform team to run.
func documentedACLs(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("../../docs/kafka.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh acl\n(.*?)\n```").FindStringSubmatch(string(data))
	if block == nil {
		t.Fatal("docs/kafka.md names no ACLs")
	}
	return strings.Split(block[1], "\n")
}
