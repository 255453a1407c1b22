package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"github.com/segmentio/kafka-go/protocol"
)

// cluster is an embedded broker that notes what it is asked.
type cluster struct {
	*broker.Broker
	client *kafka.Client
	mu     sync.Mutex
	asked  map[int16]int
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{asked: map[int16]int{}}
	b, err := broker.StartWith("", broker.Options{OnRequest: func(key int16) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[key]++
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Broker, c.client = b, kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}})
	t.Cleanup(func() {
		c.client.Close()
		_ = b.Close()
	})
	return c
}

// forget begins the account of requests anew.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.asked)
}

// topic creates a topic that keeps what is old.
func (c *cluster) topic(t *testing.T, name string, partitions int, policy string) {
	t.Helper()
	config := map[string]string{"retention.ms": "-1", "cleanup.policy": policy}
	if _, err := c.client.EnsureTopic(t.Context(), kafka.TopicSpec{Name: name, Partitions: partitions, Config: config}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) send(t *testing.T, topic string, msgs ...kafka.Message) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	if err := c.client.Send(ctx, topic, msgs); err != nil {
		t.Fatal(err)
	}
}

// trafficStart is when the traffic of these tests begins.
func trafficStart() time.Time { return time.Date(2026, 10, 10, 14, 0, 0, 0, time.UTC) }

// fill writes a minute of everybody's traffic, and topics of other kinds.
func (c *cluster) fill(t *testing.T) {
	t.Helper()
	for _, topic := range traffic.Topics() {
		c.topic(t, topic, 3, "delete")
	}
	g := traffic.New(traffic.Options{Seed: 7, Start: trafficStart(), Rate: 100, Duration: time.Minute})
	batches := map[string][]kafka.Message{}
	for m := g.Next(); m.Time.Before(trafficStart().Add(time.Minute)); m = g.Next() {
		batches[m.Topic] = append(batches[m.Topic], toKafka(m))
	}
	for topic, msgs := range batches {
		c.send(t, topic, msgs...)
	}
	c.fillOdd(t)
}

func (c *cluster) fillOdd(t *testing.T) {
	t.Helper()
	c.topic(t, "db.users", 1, "compact")
	c.topic(t, "logs.old", 2, "delete")
	c.topic(t, "metrics.raw", 1, "delete")
	c.topic(t, "shop.web", 1, "delete")
	c.topic(t, "worker.log", 1, "delete")
	c.topic(t, "klaxon.hits", 32, "delete")
	c.topic(t, "__consumer_state", 1, "delete")
	at := trafficStart()
	for i := range 60 {
		at = at.Add(time.Second)
		ms := at.UnixMilli()
		c.send(t, "db.users", kafka.Message{Key: fmt.Appendf(nil, "user-%d", i*i%31), Value: fmt.Appendf(nil, `{"id":%d,"name":"u%d"}`, i*i%31, i), Time: ms})
		c.send(t, "metrics.raw", kafka.Message{Value: []byte{0, 0, 0, 0, 7, byte(i), 0x12, 0, 1, 2, 3}, Time: ms})
		c.send(t, "shop.web", kafka.Message{Value: fmt.Appendf(nil, `203.0.113.%d - - [10/Oct/2026:14:%02d:%02d +0000] "GET /p/%d HTTP/1.1" 200 512 "-" "curl/8"`, i, at.Minute(), at.Second(), i), Time: ms})
		c.send(t, "worker.log", kafka.Message{Value: fmt.Appendf(nil, "worker %d: cache warmed in %d ms", i%4, i), Time: ms})
	}
	c.Compact()
}

// klaxon runs a command line, and answers what it printed and its exit code.
func klaxon(args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = run(args, streams{strings.NewReader(""), &o, &e})
	return o.String(), e.String(), code
}

// writes answers the requests that were sent beside those that only look.
func (c *cluster) writes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for key, n := range c.asked {
		switch k := protocol.ApiKey(key); k {
		case protocol.ApiVersions, protocol.Metadata, protocol.ListOffsets, protocol.Fetch:
		default:
			out = append(out, fmt.Sprintf("%s: %d", k, n))
		}
	}
	return out
}

// TestInit looks at a cluster that is full of everything. What comes out is what docs/first-run.md shows.
func TestInit(t *testing.T) {
	c := startCluster(t)
	c.fill(t)
	c.forget()
	doc, err := filepath.Abs(filepath.Join(root, "docs/first-run.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	out, errs, code := klaxon("init", "--brokers", c.Addr())
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if got := c.writes(); len(got) > 0 {
		t.Errorf("the broker was sent more than questions: %v", got)
	}
	config, err := os.ReadFile("klaxon.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if out, errs, code := klaxon("check", "-c", "klaxon.yaml"); code != 0 || !strings.Contains(out, fmt.Sprintf("fine: %d topics", len(traffic.Topics())+2)) {
		t.Errorf("check: exit %d: %s%s", code, out, errs)
	}
	documented(t, doc, strings.ReplaceAll(out, c.Addr(), "localhost:9092"), strings.ReplaceAll(string(config), c.Addr(), "localhost:9092"))

	if _, errs, code := klaxon("init", "--brokers", c.Addr()); code != exitError || !strings.Contains(errs, "klaxon.yaml is there already") {
		t.Errorf("a second time: exit %d: %s", code, errs)
	}
	if _, errs, code := klaxon("init", "--brokers", c.Addr(), "--force", "--topics", "logs.*"); code != 0 {
		t.Errorf("with --force: exit %d: %s", code, errs)
	}
	if out, _, _ := klaxon("check", "-c", "klaxon.yaml"); !strings.Contains(out, fmt.Sprintf("fine: %d topics", len(traffic.Topics()))) {
		t.Errorf("check after --force: %s", out)
	}
}

var update = flag.Bool("update", false, "rewrite what the documents show")

// documented compares the transcript and the configuration in a document with what came out. How many rules there are changes more
// often than the document, so these numbers may differ.
func documented(t *testing.T, doc, out, config string) {
	t.Helper()
	data, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```(text init|yaml init)\n(.*?)```")
	excerpt := config[strings.Index(config, "kafka:\n"):strings.Index(config, "  group:")]
	shown := map[string]string{"text init": "$ klaxon init --brokers localhost:9092\n" + out, "yaml init": excerpt}
	found := 0
	fresh := block.ReplaceAllStringFunc(string(data), func(b string) string {
		found++
		m := block.FindStringSubmatch(b)
		if d := cmp.Diff(withoutRules(m[2]), withoutRules(shown[m[1]])); d != "" && !*update {
			t.Errorf("%s shows something else (-document +here; go test -update rewrites it):\n%s", filepath.Base(doc), d)
		}
		return "```" + m[1] + "\n" + shown[m[1]] + "```"
	})
	if found != 2 {
		t.Errorf("%s has %d blocks of init, want 2", filepath.Base(doc), found)
	}
	if *update {
		if err := os.WriteFile(doc, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// withoutRules is a text without the numbers and names of rules.
func withoutRules(s string) string {
	for pattern, by := range map[string]string{`feeds \d+ rules?`: "feeds rules", `(?m)^(\S.* [0-9-]{10} [0-9:]{8} +)\d+$`: "$1", `Rules: \d+ of \d+`: "Rules:", `(?m)^  no topic (holds|gives) .*\n`: ""} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, by)
	}
	return s
}

func TestInitPrintsJSONLines(t *testing.T) {
	c := startCluster(t)
	c.topic(t, "app", 1, "delete")
	c.topic(t, "void", 1, "delete")
	c.send(t, "app", kafka.Message{Value: []byte(`{"time":"2026-10-10T13:55:36Z","action":"user.sign_in","actor":{"id":"u1"},"outcome":"success"}`), Time: trafficStart().UnixMilli(),
		Headers: []event.Header{{Key: "x-tenant", Value: []byte("acme")}}})
	t.Chdir(t.TempDir())
	out, errs, code := klaxon("init", "--brokers", c.Addr(), "--json", "--output", "k.yaml")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var lines []map[string]any
	for line := range strings.Lines(out) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %s", err, line)
		}
		lines = append(lines, m)
	}
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	app, void, rules, config := lines[0], lines[1], lines[2], lines[3]
	if app["type"] != "topic" || app["topic"] != "app" || app["dataset"] != "app.audit" || app["claimed_by"] != byShape || app["events_parsed"] != 1. || app["newest"] != "2026-10-10T14:00:00Z" || fmt.Sprint(app["tenants"]) != "[acme]" {
		t.Errorf("app: %v", app)
	}
	if void["left_out"] != skipEmpty || void["rules"] != nil {
		t.Errorf("void: %v", void)
	}
	if rules["type"] != "rules" || len(rules["fed"].([]any)) == 0 || len(rules["unfed"].([]any)) == 0 {
		t.Errorf("rules: %v", rules)
	}
	if config["file"] != "k.yaml" || fmt.Sprint(config["topics"]) != "[app]" || config["tenant_header"] != "x-tenant" {
		t.Errorf("configuration: %v", config)
	}
}

func TestInitPrintsTheConfiguration(t *testing.T) {
	c := startCluster(t)
	c.topic(t, "logs", 1, "delete")
	c.send(t, "logs", kafka.Message{Value: []byte("hello")})
	dir := t.TempDir()
	t.Chdir(dir)
	out, errs, code := klaxon("init", "--brokers", c.Addr(), "--output", "-")
	if code != 0 || !strings.Contains(errs, "nobody") {
		t.Errorf("exit %d: %s", code, errs)
	}
	var list diag.List
	cfg := parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(out), noEnv, &list)
	if list.HasErrors() || !slices.Equal(cfg.Kafka.Topics, []string{"logs"}) {
		t.Errorf("%v, topics %v", list, cfg.Kafka.Topics)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("it left files: %v, %v", files, err)
	}
}

func TestInitCreatesTopicsOnlyWhenTold(t *testing.T) {
	c := startCluster(t)
	c.topic(t, "logs", 1, "delete")
	c.send(t, "logs", kafka.Message{Value: []byte("hello")})
	c.forget()
	t.Chdir(t.TempDir())
	out, errs, code := klaxon("init", "--brokers", c.Addr(), "--create-topics")
	if code != 0 || !strings.Contains(out, "klaxon.hits, klaxon.deadletters, klaxon.alerts") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if got := c.writes(); !slices.Equal(got, []string{"CreateTopics: 3"}) {
		t.Errorf("the broker was sent %v", got)
	}
	if shape, err := c.client.Shape(t.Context(), "klaxon.hits"); err != nil || shape.Partitions != hitShards {
		t.Errorf("the hits topic: %v, %v", shape, err)
	}
}

// TestInitWithoutLogs: nothing to read is a finding, and the configuration is whole all the same.
func TestInitWithoutLogs(t *testing.T) {
	c := startCluster(t)
	c.topic(t, "void", 1, "delete")
	t.Chdir(t.TempDir())
	out, errs, code := klaxon("init", "--brokers", c.Addr())
	if code != exitFindings || errs != "" || !strings.Contains(out, "no topic holds logs") || strings.Contains(out, "ssh-bruteforce") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := klaxon("check", "-c", "klaxon.yaml"); code != 0 {
		t.Errorf("check: exit %d: %s%s", code, out, errs)
	}
}

func TestInitRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("KLAXON_KAFKA", "")
	for _, file := range []string{"secret", "no.pem"} {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no brokers":          {nil, "which brokers? Name one with --brokers HOST:PORT, or set KLAXON_KAFKA"},
		"no port":             {[]string{"--brokers", "kafka.example"}, `"kafka.example" is no host:port`},
		"nobody listens":      {[]string{"--brokers", "127.0.0.1:1"}, "nothing listens there"},
		"no user":             {[]string{"--brokers", "127.0.0.1:1", "--password-file", "secret"}, "--password-file is nobody's"},
		"no password":         {[]string{"--brokers", "127.0.0.1:1", "--username", "klaxon"}, "both --username and --password-file"},
		"no mechanism":        {[]string{"--brokers", "127.0.0.1:1", "--username", "klaxon", "--password-file", "secret", "--sasl-mechanism", "GSSAPI"}, "kafka.sasl.mechanism"},
		"no certificate":      {[]string{"--brokers", "127.0.0.1:1", "--ca-file", "no.pem"}, "holds no certificate"},
		"half a certificate":  {[]string{"--brokers", "127.0.0.1:1", "--key-file", "no.pem"}, "holds no private key"},
		"no address":          {[]string{"--brokers", "127.0.0.1:1", "--elasticsearch", "elastic"}, "is no address of a server"},
		"no sample":           {[]string{"--brokers", "127.0.0.1:1", "--sample", "0"}, "--sample must be between 1 and 10000"},
		"no time":             {[]string{"--brokers", "127.0.0.1:1", "--timeout", "0s"}, "--timeout must be longer than 0s"},
		"nowhere to write to": {[]string{"--brokers", "127.0.0.1:1", "--output", "secret"}, "secret is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := klaxon(append([]string{"init"}, test.args...)...)
			if code != exitError || !strings.Contains(errs, test.want) || out != "" {
				t.Errorf("exit %d: %s%s", code, out, errs)
			}
			if _, err := os.Stat("klaxon.yaml"); err == nil {
				t.Error("it wrote a configuration")
			}
		})
	}
}

// TestInitReportsWhatItFoundThoughTopicsAreRefused: the hits topic has another number of partitions than it must have.
func TestInitReportsWhatItFoundThoughTopicsAreRefused(t *testing.T) {
	c := startCluster(t)
	c.topic(t, "logs", 1, "delete")
	c.topic(t, "klaxon.hits", 1, "delete")
	c.send(t, "logs", kafka.Message{Value: []byte("hello")})
	t.Chdir(t.TempDir())
	out, errs, code := klaxon("init", "--brokers", c.Addr(), "--create-topics")
	if code != exitError || !strings.Contains(errs, "klaxon.hits has 1 partitions but needs 32") || !strings.Contains(out, "Wrote klaxon.yaml") || strings.Contains(out, "Created") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
