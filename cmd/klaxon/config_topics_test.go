package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func topicsConfig(topics string) string {
	return "version: 1\nkafka: {brokers: [localhost:9092], topics: " + topics + "}\narchive: {local: {dir: archive}}\n"
}

func TestTopicsThatAreRead(t *testing.T) {
	for topics, want := range map[string]map[string]bool{
		"logs":                         {"logs": true, "logs.a": false},
		`["logs.*", audit]`:            {"logs.a": true, "audit": true, "klaxon.hits": false},
		`["*"]`:                        {"a": true, "klaxon.hits": false, "klaxon.alerts": false, "klaxon.deadletters": false, "__consumer_offsets": false, "klaxon.hits2": true},
		`["*"], hits_topic: h`:         {"h": false, "klaxon.hits": true},
		`["a.?"]`:                      {"a.b": true, "a.bc": false},
		`[logs.*], exclude_topics: a*`: nil,
		`[logs.*], exclude_topics: [logs.debug.*, logs.x]`: {"logs.a": true, "logs.debug.a": false, "logs.x": false, "logs.x2": true},
		`["__named"]`: {"__named": true},
	} {
		var list diag.List
		c := parseConfig(filepath.Join(t.TempDir(), "klaxon.yaml"), []byte(topicsConfig(topics)), noEnv, &list)
		if (want == nil) != list.HasErrors() {
			t.Errorf("%s: %v", topics, list)
		}
		for name, selected := range want {
			if c.logs().Has(name) != selected {
				t.Errorf("%s: %s is read: %v", topics, name, !selected)
			}
		}
	}
}

func TestTopicsThatCannotBeRead(t *testing.T) {
	for topics, want := range map[string]string{
		`["logs.*", "!logs.debug"]`:           `:2:55: kafka.topics[1]: "!logs.debug" is no topic's name`,
		`["^logs\\..*"]`:                      `:2:45: kafka.topics[0]: "^logs\\..*" is no pattern of topics' names`,
		`["logs.*", "logs.*"]`:                `:2:55: kafka.topics[1]: the topic logs.* is named twice`,
		`["__*"]`:                             `kafka.topics[0]: __* fits internal topics only`,
		`[a/b]`:                               `kafka.topics[0]: "a/b" is no topic's name`,
		`[logs], exclude_topics: logs.x`:      `:2:68: kafka.exclude_topics: logs.x excludes nothing`,
		`[logs.*], exclude_topics: [audit.*]`: `kafka.exclude_topics[0]: audit.* excludes nothing`,
		`[logs.*, logs.a], exclude_topics: ["logs.?"]`: `kafka.exclude_topics[0]: logs.? excludes logs.a, which topics names`,
		`[logs.*], exclude_topics: [logs.*]`:           `kafka.exclude_topics[0]: logs.* leaves nothing of that pattern`,
		`[logs.*], exclude_topics: [logs.a, logs.a]`:   `kafka.exclude_topics[1]: the topic logs.a is named twice`,
		`[*logs]`:                                             `put a value that begins with * into quotes`,
		`[logs.*], exclude_topics: {a: b}`:                    `kafka.exclude_topics`,
		`[logs.*], create_topics: maybe`:                      `kafka.create_topics`,
		`["logs.*"], hits_topic: "klaxon.*"`:                  `kafka.hits_topic: "klaxon.*" is no topic's name`,
		`["logs.*", klaxon.hits]`:                             `kafka.topics[1]: klaxon.hits is the topic that kafka.hits_topic writes`,
		`["logs.*"], exclude_topics: "logs.` + "\u00e4" + `"`: `is no topic's name`,
	} {
		var list diag.List
		parseConfig(filepath.Join(t.TempDir(), "klaxon.yaml"), []byte(topicsConfig(topics)), noEnv, &list)
		if !strings.Contains(list.String(), want) {
			t.Errorf("%s: %q is not reported in\n%s", topics, want, list)
		}
	}
}
