package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/glob"
)

var topicPattern = regexp.MustCompile(`^[a-zA-Z0-9._*?-]{1,249}$`)

// logs is the topics that klaxon reads. Patterns never select what it writes: it would feed itself without end.
func (c *Config) logs() kafka.Selection {
	own := []string{c.Kafka.HitsTopic, c.Kafka.DeadLetters}
	if c.Deliver.AlertsTopic != "" {
		own = append(own, c.Deliver.AlertsTopic)
	}
	return kafka.Select(c.Kafka.Topics...).Except(c.Kafka.Exclude...).Except(own...)
}

// selection reads which topics hold logs.
func (r configReader) selection(topics, exclude diag.Node, c *KafkaConfig) {
	for _, t := range r.some(topics, "name the topics that hold logs").OneOrMany() {
		c.Topics = append(c.Topics, r.topicOrPattern(t, c.Topics))
	}
	for _, e := range exclude.OneOrMany() {
		name := r.topicOrPattern(e, c.Exclude)
		c.Exclude = append(c.Exclude, name)
		if name != "" {
			excludes(e, name, c.Topics)
		}
	}
}

// topicOrPattern reads a topic's name, or a pattern of names.
func (r configReader) topicOrPattern(n diag.Node, before []string) string {
	name := n.Text()
	switch {
	case !n.IsScalar() || !n.Exists():
	case strings.HasPrefix(name, "!"):
		n.Errorf("%q is no topic's name", name).Hint("what patterns leave out stands in exclude_topics")
	case !glob.Is(name):
		r.topicName(n)
	case !topicPattern.MatchString(name):
		n.Errorf("%q is no pattern of topics' names", name).
			Hint("letters, digits, dots, dashes and underscores, * for any text and ? for one character: a pattern is written like logs.*, and is no regular expression")
	case strings.HasPrefix(name, "__"):
		n.Errorf("%s fits internal topics only, which no pattern selects", name).Hint("name such a topic in full, if it holds logs")
	}
	if name != "" && slices.Contains(before, name) {
		n.Errorf("the topic %s is named twice", name).Hint("leave one of them out")
	}
	return name
}

// excludes checks what is excluded against what is selected: an exclusion without effect is a mistake somewhere.
func excludes(n diag.Node, name string, topics []string) {
	meets := false
	for _, t := range topics {
		switch {
		case !glob.Is(t) && glob.Match(name, t):
			n.Errorf("%s excludes %s, which topics names", name, t).Hint("leave it out in one of the two places")
			return
		case t == name:
			n.Errorf("%s leaves nothing of that pattern in topics", name).Hint("leave it out in both places")
			return
		case glob.Is(t):
			meets = meets || glob.Meet(t, name)
		}
	}
	if !meets {
		n.Errorf("%s excludes nothing: no pattern in topics selects such a topic", name).Hint("correct it, or leave it out")
	}
}
