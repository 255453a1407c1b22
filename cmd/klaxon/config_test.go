package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func noEnv(string) (string, bool) { return "", false }

func parse(t *testing.T, text string, env func(string) (string, bool)) (Config, diag.List) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var list diag.List
	c := parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(text), env, &list)
	return c, list
}

const smallConfig = `version: 1
kafka: {brokers: [localhost:9092], topics: [logs]}
archive: {local: {dir: archive}}
`

func TestConfigDefaults(t *testing.T) {
	c, list := parse(t, smallConfig, noEnv)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if len(c.Roles) != 4 || c.Kafka.HitsTopic != "klaxon.hits" || !c.Rules.Shipped || c.Detect.Lateness != time.Minute || c.Archive.Local == nil || c.Archive.Elasticsearch != nil {
		t.Errorf("%+v", c)
	}
	if !filepath.IsAbs(c.Archive.Local.Dir) || !filepath.IsAbs(c.Store.Path) {
		t.Errorf("paths are not relative to the file: %s, %s", c.Archive.Local.Dir, c.Store.Path)
	}
}

func TestConfigReportsEveryMistakeWithItsPlace(t *testing.T) {
	_, list := parse(t, `version: 2
kafka:
  brokers: [localhost]
  topics: [logs, logs, "a b"]
  sasl: {mechanism: SCRAM, username: x}
archive:
  elasticsearch: {urls: ["http://user:pw@es:9200"], flush: soon}
deliver:
  webhooks: [{name: x, url: "ftp://x"}]
roles: [reader]
admin: {listen: 9464}
lgo: {level: debug}
`, noEnv)
	for _, want := range []string{
		":1:10: version: must be between 1 and 1", `:3:13: kafka.brokers[0]: "localhost" is no host:port`, `the topic logs is named twice`, `"a b" is no topic's name`,
		":5:21: kafka.sasl.mechanism: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", "kafka.sasl: a password is missing",
		"archive.elasticsearch.urls[0]: holds a password", "archive.elasticsearch.flush: must be a duration", "deliver.webhooks[0]: a secret is missing",
		"deliver.webhooks[0].url: is no http or https address", "roles[0]: must be one of", `admin.listen: "9464" is no host:port`, `unknown key "lgo" (did you mean log?)`,
	} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("%q is not reported in\n%s", want, list)
		}
	}
	if strings.Contains(list.String(), "pw@") {
		t.Error("a password is shown")
	}
}

func TestConfigTakesSecretsFromFilesAndEnvironment(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"BROKER": "kafka:9092", "EMPTY": ""}[name]
		return v, ok
	}
	c, list := parse(t, `version: 1
kafka:
  brokers: ["${BROKER}", "${EMPTY:-other:9092}", "${NOT_SET:-third:9092}"]
  topics: logs
  sasl: {mechanism: PLAIN, username: klaxon, password_file: secret}
archive: {local: {dir: "a$$b"}}
`, env)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Kafka.Brokers, " "); got != "kafka:9092 other:9092 third:9092" {
		t.Error(got)
	}
	if c.Kafka.SASL.Password != "s3cret" || !strings.HasSuffix(c.Archive.Local.Dir, "a$b") {
		t.Errorf("%+v", c)
	}
	_, list = parse(t, strings.Replace(smallConfig, "localhost:9092", `"${KAFKA}"`, 1), env)
	if !strings.Contains(list.String(), "needs the environment variable KAFKA, which is not set") {
		t.Error(list)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(smallConfig))
	f.Add([]byte("version: 1\nkafka: {brokers: [a:1], topics: [x], tls: {ca_file: ${X}}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var list diag.List
		parseConfig("/nonexistent/klaxon.yaml", data, noEnv, &list)
	})
}
