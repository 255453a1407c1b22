package real

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// ownTopics runs klaxon where its topics are somebody else's: missing, wrong in ways that are refused, wrong in ways that are
// bearable. Each message names a command, and what it says is done.
func (s *secure) ownTopics(t *testing.T) {
	t.Parallel()
	super, ctx := s.super(t), t.Context()
	s.topic(t, "own.logs")
	config := s.config(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `topics: ["logs.*"]`, `topics: [own.logs]
  group: own
  create_topics: false
  hits_topic: own.hits
  dead_letters_topic: own.dead`, 1)
	changed = regexp.MustCompile(`(?m)^  (exclude_topics|tls|sasl): .*\n`).ReplaceAllString(changed, "")
	changed = strings.Replace(changed, s.SASL, s.Plain, 1) + "deliver: {alerts_topic: own.alerts}\n"
	write(t, config, []byte(changed))

	p := startKlaxon(t, config)
	for _, name := range []string{"own.hits", "own.dead", "own.alerts"} {
		said := ""
		eventually(t, time.Minute, "klaxon says how to create "+name, func() bool {
			said = commandIn(p.trouble(), "kafka-topics.sh", "--topic "+name)
			return said != ""
		})
		spec := parseCreate(t, said)
		switch name {
		case "own.hits":
			spec.Partitions, spec.Config["cleanup.policy"] = 3, "compact"
		case "own.dead":
			spec.Config["max.message.bytes"] = "100000"
		}
		if _, err := super.EnsureTopic(ctx, spec); err != nil {
			t.Fatal(err)
		}
		if name != "own.hits" {
			continue
		}
		eventually(t, time.Minute, "a wrong number of partitions is refused", func() bool {
			why := p.trouble()
			return strings.Contains(why, "has 3 partitions but needs 32") && strings.Contains(why, "kafka-topics.sh --bootstrap-server "+s.Plain+" --delete --topic own.hits")
		})
		remove(t, s.Plain, name)
		spec.Partitions = 32
		eventually(t, time.Minute, "the topic is deleted and created anew", func() bool {
			_, err := super.EnsureTopic(ctx, spec)
			return err == nil
		})
	}
	said := ""
	eventually(t, time.Minute, "compaction is refused", func() bool {
		said = commandIn(p.trouble(), "kafka-configs.sh", "--entity-name own.hits")
		return said != ""
	})
	alter(t, s.Plain, said)
	eventually(t, 2*time.Minute, "klaxon is ready", func() bool { return p.trouble() == "" })
	said = commandIn(p.log.String(), "kafka-configs.sh", "--entity-name own.dead")
	if !strings.HasSuffix(said, "--add-config max.message.bytes=4194304") {
		t.Errorf("of a topic that takes small messages only it is said: %q", said)
	}
	if got, err := super.Settings(ctx, "own.hits"); err != nil || got["cleanup.policy"] != "delete" {
		t.Errorf("settings %v, error %v", got, err)
	}
	p.stop()
}

// commandIn is the first command of a tool in a text that has a part.
func commandIn(text, tool, part string) string {
	for _, c := range regexp.MustCompile(regexp.QuoteMeta(tool)+`[^;\n"]*`).FindAllString(text, -1) {
		c, _, _ = strings.Cut(c, ": ")
		if strings.Contains(c, part) {
			return strings.TrimSpace(c)
		}
	}
	return ""
}

// parseCreate reads a kafka-topics.sh --create command.
func parseCreate(t *testing.T, command string) kafka.TopicSpec {
	t.Helper()
	spec := kafka.TopicSpec{Config: map[string]string{}}
	words := strings.Fields(command)
	for i := 1; i+1 < len(words); i++ {
		var err error
		switch value := words[i+1]; words[i] {
		case "--topic":
			spec.Name = value
		case "--partitions":
			spec.Partitions, err = strconv.Atoi(value)
		case "--config":
			name, setting, _ := strings.Cut(value, "=")
			spec.Config[name] = setting
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if words[0] != "kafka-topics.sh" || !strings.Contains(command, " --create ") || spec.Name == "" || spec.Partitions == 0 || len(spec.Config) == 0 {
		t.Fatalf("not a command that creates a topic: %s", command)
	}
	return spec
}
