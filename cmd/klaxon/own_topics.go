package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"go.uber.org/zap"
)

// Settings of klaxon's own topics.
const (
	deadLetterPartitions = 4
	alertPartitions      = 8
	// Dead letters hold whole records of any size that a source topic takes, with headers on top, and are the only copy of what was
	// in them once the source has forgotten it.
	maxMessageBytes     = 4 << 20
	leastMessageBytes   = 1 << 20             // what frames of hits and alerts need
	deadLetterRetention = 30 * 24 * time.Hour // as they are created; another is not objected to
	tendEvery           = 10 * time.Second    // how often it is looked whether the topics are still there
	tendTimeout         = 15 * time.Second
	fewReplicas         = 3 // from here on one of them may be missing without harm
)

// ownTopic is a topic that klaxon writes: how it is created, and what must hold where it exists already.
type ownTopic struct {
	kafka.TopicSpec
	fixed   bool // it must have so many partitions and no others
	demands []demand
	rights  []string // what klaxon does with it, as kafka-acls.sh names that
}

// demand is a setting without which records of a topic are lost.
type demand struct {
	setting string
	holds   func(value string) bool
	want    string
	why     string // what happens without it
	refuse  bool   // klaxon does not start without it
}

// ownTopics is what this configuration needs.
func (c *Config) ownTopics() []ownTopic {
	k := c.Kafka
	retention, writes := k.Retention.Milliseconds(), []string{"Create", "Write", "DescribeConfigs"}
	out := []ownTopic{
		{kafka.TopicSpec{Name: k.HitsTopic, Partitions: hitShards, Config: map[string]string{
			"retention.ms": fmt.Sprint(retention), "cleanup.policy": "delete", "compression.type": "producer", "max.message.bytes": fmt.Sprint(maxMessageBytes)}}, true,
			[]demand{
				{"cleanup.policy", func(v string) bool { return v == "delete" }, "delete", "compaction removes hits before they are read", true},
				{"retention.ms", atLeast(retention), fmt.Sprint(retention), "hits are gone before kafka.hits_retention is over: a detect loop that stood still for long misses them", false},
				{"retention.bytes", func(v string) bool { return v == "-1" }, "-1", "hits are gone when there are many, before kafka.hits_retention is over", false},
				{"max.message.bytes", atLeast(leastMessageBytes), fmt.Sprint(maxMessageBytes), "hits of large records are refused, and lost", false},
			}, []string{"Create", "Read", "Write", "DescribeConfigs"}},
		{kafka.TopicSpec{Name: k.DeadLetters, Partitions: deadLetterPartitions, Config: map[string]string{
			"cleanup.policy": "delete", "max.message.bytes": fmt.Sprint(maxMessageBytes), "retention.ms": fmt.Sprint(deadLetterRetention.Milliseconds())}}, false,
			[]demand{{"max.message.bytes", atLeast(max(leastMessageBytes, int64(c.Limits.RecordBytes))), fmt.Sprint(maxMessageBytes), "dead letters of large records are cut", false}},
			writes},
	}
	if c.Deliver.AlertsTopic != "" {
		out = append(out, ownTopic{kafka.TopicSpec{Name: c.Deliver.AlertsTopic, Partitions: alertPartitions, Config: map[string]string{"cleanup.policy": "delete"}}, false,
			[]demand{{"max.message.bytes", atLeast(leastMessageBytes), fmt.Sprint(leastMessageBytes), "large alerts are refused", false}}, writes})
	}
	for i := range out {
		out[i].Replication = k.Replication
		if k.Replication >= fewReplicas {
			out[i].Config["min.insync.replicas"] = "2"
		}
	}
	return out
}

// atLeast holds for numbers from n on, and for -1, which is unlimited.
func atLeast(n int64) func(string) bool {
	return func(v string) bool {
		have, err := strconv.ParseInt(v, 10, 64)
		return err == nil && (have >= n || have == -1)
	}
}

// replicated is what a topic with so many replicas needs to survive the loss of a broker.
func replicated(replicas int32) []demand {
	out := []demand{{"unclean.leader.election.enable", func(v string) bool { return v != "true" }, "false", "records that were acknowledged are lost when a broker that missed them becomes leader", false}}
	if replicas >= fewReplicas {
		out = append(out, demand{"min.insync.replicas", atLeast(2), "2", "a record that one broker alone has acknowledged is lost with that broker", false})
	}
	return out
}

// ensureTopics makes sure that klaxon's own topics are there.
func (a *app) ensureTopics(ctx context.Context) error {
	for _, t := range a.cfg.ownTopics() {
		if err := a.ensureTopic(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// ensureTopic creates a topic unless it exists or klaxon is not to create any.
func (a *app) ensureTopic(ctx context.Context, t ownTopic) error {
	if !a.cfg.Kafka.Create {
		have, err := a.client.Describe(ctx, t.Name)
		switch {
		case errors.Is(err, kafka.ErrUnknownTopic):
			return fmt.Errorf("the topic %s does not exist, and kafka.create_topics is off: create it with: %s: %w", t.Name, a.client.CreateCommand(t.TopicSpec), err)
		case err != nil:
			return a.explainAccess(t, err)
		case t.fixed && have.Partitions != int32(t.Partitions):
			return a.explainCount(t, &kafka.PartitionCountError{Topic: t.Name, Want: int32(t.Partitions), Have: have.Partitions})
		}
		return nil
	}
	_, err := a.client.EnsureTopic(ctx, t.TopicSpec)
	var count *kafka.PartitionCountError
	switch {
	case errors.As(err, &count) && !t.fixed:
		return nil
	case errors.As(err, &count):
		return a.explainCount(t, err)
	}
	return a.explainAccess(t, err)
}

// explainAccess names all rights on a topic at once, where one is lacking, and the other way to come to the topic.
func (a *app) explainAccess(t ownTopic, err error) error {
	var access *kafka.AccessError
	if !errors.As(err, &access) {
		return err
	}
	if !a.cfg.Kafka.Create {
		return a.client.AccessToTopic(access, t.rights[1:]...)
	}
	return fmt.Errorf("%w; or have somebody create the topic with: %s, and set kafka.create_topics to false", a.client.AccessToTopic(access, t.rights...), a.client.CreateCommand(t.TopicSpec))
}

func (a *app) explainCount(t ownTopic, err error) error {
	return fmt.Errorf("%w; what is in it and was not read yet is lost with: %s; then: %s", err, a.client.DeleteCommand(t.Name), a.client.CreateCommand(t.TopicSpec))
}

// inspectTopics looks whether klaxon's own topics lose records as they are set up. What is dangerous but bearable is logged, once
// for each text in told; what is not is the error.
func (a *app) inspectTopics(ctx context.Context, told map[string]bool) error {
	var refused []error
	for _, t := range a.cfg.ownTopics() {
		have, err := a.client.Describe(ctx, t.Name)
		if err != nil {
			return err
		}
		if int(have.Replication) < t.Replication {
			a.warnOnce(told, "a topic of klaxon's own has fewer replicas than kafka.replication says; give it more with kafka-reassign-partitions.sh",
				zap.String("topic", t.Name), zap.Int32("replicas", have.Replication), zap.Int("replication", t.Replication))
		}
		settings, err := a.client.Settings(ctx, t.Name)
		var access *kafka.AccessError
		switch {
		case errors.As(err, &access):
			a.warnOnce(told, "cannot check whether klaxon's own topics are set up safely; without the right to look that stays open", zap.Error(err))
			continue
		case err != nil:
			return err
		}
		refused = append(refused, a.judge(t, have, settings, told))
	}
	return errors.Join(refused...)
}

// judge compares a topic's settings with what is demanded of it.
func (a *app) judge(t ownTopic, have kafka.Topic, settings map[string]string, told map[string]bool) error {
	for _, d := range slices.Concat(t.demands, replicated(have.Replication)) {
		value, known := settings[d.setting]
		if !known || d.holds(value) {
			continue
		}
		command := a.client.AlterCommand(t.Name, map[string]string{d.setting: d.want})
		if d.refuse {
			return fmt.Errorf("topic %s has %s=%s: %s; change it with: %s", t.Name, d.setting, value, d.why, command)
		}
		a.warnOnce(told, "a topic of klaxon's own can lose records", zap.String("topic", t.Name), zap.String("setting", d.setting+"="+value), zap.String("because", d.why), zap.String("change_with", command))
	}
	return nil
}

// warnOnce logs a warning unless the same was logged before.
func (a *app) warnOnce(told map[string]bool, message string, fields ...zap.Field) {
	var key strings.Builder
	key.WriteString(message)
	for _, f := range fields {
		fmt.Fprint(&key, " ", f.String, f.Integer, f.Interface)
	}
	if !told[key.String()] {
		told[key.String()] = true
		a.log.Warn(message, fields...)
	}
}

// tendTopics creates klaxon's own topics anew when somebody has deleted them, until ctx ends. The detect loop tells the gap when it
// comes to the new topic.
func (a *app) tendTopics(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, t := range a.cfg.ownTopics() {
			if err := a.tendTopic(ctx, t); err != nil && ctx.Err() == nil {
				a.state.tell("kafka", err.Error())
				a.log.Error("a topic of klaxon's own is not as it must be", zap.String("topic", t.Name), zap.String("error", kafka.Explain(err)))
			}
		}
	}
}

func (a *app) tendTopic(ctx context.Context, t ownTopic) error {
	ctx, done := context.WithTimeout(ctx, tendTimeout)
	defer done()
	if _, err := a.client.Describe(ctx, t.Name); a.cfg.Kafka.Create && errors.Is(err, kafka.ErrUnknownTopic) {
		a.log.Error("a topic of klaxon's own is gone and is created anew; what was in it and not read yet is lost", zap.String("topic", t.Name))
	}
	return a.ensureTopic(ctx, t)
}

// wanted says whether a topic of the logs is to be read: it is selected, and it exists. Where brokers do not tell, it may. One that
// fits a pattern but may not be looked at any more has ceased to exist for whoever reads by pattern.
func (a *app) wanted(ctx context.Context, topic string) bool {
	logs := a.cfg.logs()
	if !logs.Has(topic) {
		return false
	}
	ctx, done := context.WithTimeout(ctx, wantedTimeout)
	defer done()
	_, err := a.client.Shape(ctx, topic)
	var hidden *kafka.AccessError
	if errors.As(err, &hidden) {
		return logs.Named(topic)
	}
	return !errors.Is(err, kafka.ErrUnknownTopic)
}

const wantedTimeout = 2 * time.Second // the detect loop stands still for so long
