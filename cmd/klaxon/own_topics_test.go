package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// topicsApp is an app that has nothing but its topics, and what it logs.
func topicsApp(t *testing.T, change func(*Config)) (*app, *observer.ObservedLogs) {
	t.Helper()
	b, err := broker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Topics = []string{b.Addr()}, []string{"logs.*"}
	change(&cfg)
	core, logs := observer.New(zapcore.InfoLevel)
	a := &app{cfg: cfg, log: zap.New(core), client: kafka.NewClient(kafka.Config{Brokers: cfg.Kafka.Brokers, Principal: "klaxon"}), state: &states{parts: map[string]trouble{}}}
	t.Cleanup(func() {
		a.client.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, logs
}

func topicsContext(t *testing.T) context.Context {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(done)
	return ctx
}

func TestOwnTopicsAreCreatedAsTheyMustBe(t *testing.T) {
	t.Parallel()
	a, logs := topicsApp(t, func(c *Config) { c.Deliver.AlertsTopic = "" })
	ctx := topicsContext(t)
	for range 2 { // the second time they are there
		if err := a.ensureTopics(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.inspectTopics(ctx, map[string]bool{}); err != nil || logs.Len() > 0 {
		t.Errorf("what klaxon made itself is not as it must be: %v, %v", err, logs.All())
	}
	hits, err := a.client.Describe(ctx, "klaxon.hits")
	if err != nil || hits.Partitions != hitShards {
		t.Errorf("%+v, %v", hits, err)
	}
	settings, err := a.client.Settings(ctx, "klaxon.hits")
	if err != nil || settings["retention.ms"] != "86400000" || settings["max.message.bytes"] != "4194304" {
		t.Errorf("settings %v, error %v", settings, err)
	}
	if topics, err := a.client.List(ctx); err != nil || len(topics) != 2 {
		t.Errorf("topics %v, error %v", topics, err)
	}
}

func TestOwnTopicsAreNotCreatedWhereThatIsOff(t *testing.T) {
	t.Parallel()
	a, _ := topicsApp(t, func(c *Config) { c.Kafka.Create, c.Kafka.Replication = false, 3 })
	ctx := topicsContext(t)
	err := a.ensureTopics(ctx)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"klaxon.hits does not exist", "kafka.create_topics is off", "kafka-topics.sh --bootstrap-server " + a.cfg.Kafka.Brokers[0] + " --create --topic klaxon.hits --partitions 32 --replication-factor 3",
		"--config min.insync.replicas=2", "--config retention.ms=86400000"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if topics, err := a.client.List(ctx); err != nil || len(topics) > 0 {
		t.Errorf("topics %v, error %v", topics, err)
	}
}

func TestOwnTopicsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec    kafka.TopicSpec
		refused string // what the error says
		warned  string // what a warning says; "": there is none
	}{
		"few partitions":   {spec: kafka.TopicSpec{Name: "klaxon.hits", Partitions: 3}, refused: "has 3 partitions but needs 32"},
		"compacted":        {spec: kafka.TopicSpec{Name: "klaxon.hits", Config: map[string]string{"cleanup.policy": "compact"}}, refused: "--entity-name klaxon.hits --add-config cleanup.policy=delete"},
		"short retention":  {spec: kafka.TopicSpec{Name: "klaxon.hits", Config: map[string]string{"retention.ms": "60000"}}, warned: "--entity-name klaxon.hits --add-config retention.ms=86400000"},
		"by size":          {spec: kafka.TopicSpec{Name: "klaxon.hits", Config: map[string]string{"retention.bytes": "1000000"}}, warned: "--entity-name klaxon.hits --add-config retention.bytes=-1"},
		"small messages":   {spec: kafka.TopicSpec{Name: "klaxon.deadletters", Config: map[string]string{"max.message.bytes": "1000"}}, warned: "--entity-name klaxon.deadletters --add-config max.message.bytes=4194304"},
		"other partitions": {spec: kafka.TopicSpec{Name: "klaxon.deadletters", Partitions: 7}},
		"kept for ever":    {spec: kafka.TopicSpec{Name: "klaxon.hits", Config: map[string]string{"retention.ms": "-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, logs := topicsApp(t, func(*Config) {})
			ctx := topicsContext(t)
			if c.spec.Partitions == 0 {
				c.spec.Partitions = hitShards
			}
			if _, err := a.client.EnsureTopic(ctx, c.spec); err != nil {
				t.Fatal(err)
			}
			told := map[string]bool{}
			err := a.ensureTopics(ctx)
			for range 2 { // told once
				if err == nil {
					err = a.inspectTopics(ctx, told)
				}
			}
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("error %v", err)
			}
			warned := ""
			for _, l := range logs.FilterLevelExact(zapcore.WarnLevel).All() {
				if warned != "" {
					t.Errorf("warned more than once: %v", l)
				}
				warned, _ = l.ContextMap()["change_with"].(string)
			}
			if (warned == "") != (c.warned == "") || !strings.Contains(warned, c.warned) {
				t.Errorf("warned %q", warned)
			}
		})
	}
}

func TestReplicatedTopicsMustSurviveABroker(t *testing.T) {
	for _, c := range []struct {
		replicas int32
		settings map[string]string
		unheld   string
	}{
		{1, map[string]string{"min.insync.replicas": "1"}, ""},
		{2, map[string]string{"min.insync.replicas": "1"}, ""},
		{3, map[string]string{"min.insync.replicas": "1"}, "min.insync.replicas"},
		{3, map[string]string{"min.insync.replicas": "2"}, ""},
		{1, map[string]string{"unclean.leader.election.enable": "true"}, "unclean.leader.election.enable"},
		{3, map[string]string{}, ""}, // a broker that does not tell
	} {
		unheld := ""
		for _, d := range replicated(c.replicas) {
			if v, ok := c.settings[d.setting]; ok && !d.holds(v) {
				unheld += d.setting
			}
		}
		if unheld != c.unheld {
			t.Errorf("%d replicas, %v: %q", c.replicas, c.settings, unheld)
		}
	}
}

func TestADeletedTopicOfOurOwnIsCreatedAnew(t *testing.T) {
	t.Parallel()
	a, logs := topicsApp(t, func(*Config) {})
	ctx := topicsContext(t)
	hits := a.cfg.ownTopics()[0]
	if err := a.tendTopic(ctx, hits); err != nil {
		t.Fatal(err)
	}
	if topic, err := a.client.Describe(ctx, "klaxon.hits"); err != nil || topic.Partitions != hitShards || logs.FilterMessageSnippet("is created anew").Len() != 1 {
		t.Errorf("%+v, %v, %v", topic, err, logs.All())
	}
	if err := a.tendTopic(ctx, hits); err != nil || logs.Len() != 1 {
		t.Errorf("%v, %v", err, logs.All())
	}
}

func TestTopicsToKeep(t *testing.T) {
	t.Parallel()
	a, _ := topicsApp(t, func(c *Config) { c.Kafka.Topics, c.Kafka.Exclude = []string{"logs.*", "named"}, []string{"logs.x"} })
	ctx := topicsContext(t)
	for _, name := range []string{"logs.a", "logs.x", "other"} {
		if _, err := a.client.EnsureTopic(ctx, kafka.TopicSpec{Name: name, Partitions: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"logs.a": true, "logs.b": false, "logs.x": false, "other": false, "named": false} {
		if a.wanted(ctx, name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if !a.wanted(gone, "logs.b") {
		t.Error("a topic is given up although no broker could be asked")
	}
}
