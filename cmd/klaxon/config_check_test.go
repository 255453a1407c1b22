package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// writeCertificates writes ca.pem, client.pem with client.key, and what is wrong in ways of its own: other.key, locked.key and garbage.pem.
func writeCertificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func(name string) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		write(name, "PRIVATE KEY", der)
		return k
	}
	own := key("client.key")
	key("other.key")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, own.Public(), own)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", der)
	write("client.pem", "CERTIFICATE", der)
	write("garbage.pem", "CERTIFICATE", []byte("garbage"))
	write("locked.key", "ENCRYPTED PRIVATE KEY", []byte("garbage"))
}

// TestConfigChecks: each of these would have klaxon run into a wall, or quietly in circles.
func TestConfigChecks(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kafka := func(more string) string {
		return "version: 1\nkafka: {brokers: [localhost:9092], topics: [logs], " + more + "}\narchive: {local: {dir: archive}}\n"
	}
	elastic := func(more string) string {
		return "version: 1\nkafka: {brokers: [localhost:9092], topics: [logs]}\narchive:\n  elasticsearch: {urls: [\"http://es:9200\"], " + more + "}\n"
	}
	webhook := func(more string) string {
		return smallConfig + "deliver:\n  webhooks: [{name: soc, url: \"http://soc\", secret_file: secret, " + more + "}]\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"reads its dead letters": {strings.Replace(smallConfig, "topics: [logs]", "topics: [logs, klaxon.deadletters]", 1),
			":2:51: kafka.topics[1]: klaxon.deadletters is the topic that kafka.dead_letters_topic writes"},
		"reads its hits":        {strings.Replace(smallConfig, "topics: [logs]", "topics: klaxon.hits", 1), ":2:44: kafka.topics: klaxon.hits is the topic that kafka.hits_topic writes"},
		"reads its alerts":      {smallConfig + "deliver: {alerts_topic: logs}\n", ":2:45: kafka.topics[0]: logs is the topic that deliver.alerts_topic writes"},
		"two on one topic":      {kafka("hits_topic: k, dead_letters_topic: k"), ":2:87: kafka.dead_letters_topic: kafka.hits_topic and kafka.dead_letters_topic are both k"},
		"two, one by default":   {kafka("hits_topic: klaxon.alerts"), ":2:64: kafka.hits_topic: kafka.hits_topic and deliver.alerts_topic are both klaxon.alerts"},
		"no topic's name":       {kafka(`hits_topic: "a b"`), `:2:64: kafka.hits_topic: "a b" is no topic's name`},
		"a dot is no name":      {kafka(`dead_letters_topic: ".."`), `kafka.dead_letters_topic: ".." is no topic's name`},
		"no alerts topic":       {smallConfig + "deliver: {alerts_topic: a/b}\n", `:4:25: deliver.alerts_topic: "a/b" is no topic's name`},
		"short retention":       {kafka("hits_retention: 5m"), ":2:68: kafka.hits_retention: must be at least 10m"},
		"retention, checkpoint": {kafka("hits_retention: 1h") + "detect: {checkpoint: 10m}\n", ":2:68: kafka.hits_retention: kafka.hits_retention is 1h, and must be at least ten times detect.checkpoint, which is 10m"},
		"a long checkpoint":     {smallConfig + "detect: {checkpoint: 3h}\n", ":4:22: detect.checkpoint: kafka.hits_retention is 24h"},
		"short session":         {kafka("session: 5s"), ":2:61: kafka.session: must be between 6s and 30m, not 5s"},
		"long session":          {kafka("session: 31m"), "kafka.session: must be between 6s and 30m, not 31m"},
		"short drain":           {smallConfig + "limits: {drain: 4s}\n", ":4:17: limits.drain: must be at least 5s, not 4s"},
		"sends nothing":         {webhook("send: []"), ":5:72: deliver.webhooks[0].send: is an empty list"},
		"sends twice":           {webhook("send: [alert, alert]"), "deliver.webhooks[0].send[1]: alert is named twice"},
		"no roles":              {smallConfig + "roles: []\n", ":4:8: roles: is an empty list"},
		"roles twice":           {smallConfig + "roles: [match, archive, match]\n", ":4:25: roles[2]: match is named twice"},
		"no brokers":            {strings.Replace(smallConfig, "[localhost:9092]", "[]", 1), ":2:18: kafka.brokers: is an empty list"},
		"no topics":             {strings.Replace(smallConfig, "[logs]", "[]", 1), "kafka.topics: is an empty list"},
		"no urls":               {strings.Replace(elastic("shards: 1"), `["http://es:9200"]`, "[]", 1), "archive.elasticsearch.urls: is an empty list"},
		"no CA":                 {kafka("tls: {ca_file: nowhere.pem}"), ":2:67: kafka.tls.ca_file: cannot be read"},
		"no certificate":        {kafka("tls: {ca_file: secret}"), "holds no certificate in PEM form"},
		"a broken certificate":  {kafka("tls: {ca_file: garbage.pem}"), "kafka.tls.ca_file: holds a certificate that cannot be read"},
		"a key for a CA":        {elastic("ca_file: client.key"), "archive.elasticsearch.ca_file: "},
		"no key":                {kafka("tls: {cert_file: client.pem, key_file: ca.pem}"), "holds no private key in PEM form"},
		"another's key":         {kafka("tls: {cert_file: client.pem, key_file: other.key}"), "kafka.tls.key_file: does not go with cert_file"},
		"a key with a password": {kafka("tls: {cert_file: client.pem, key_file: locked.key}"), "locked.key is encrypted with a password"},
		"a key that is missing": {kafka("tls: {cert_file: client.pem}"), ":2:69: kafka.tls.cert_file: stands alone"},
		"no password":           {elastic("username: klaxon"), ":4:55: archive.elasticsearch.username: has no password"},
		"no user":               {elastic("password_file: secret"), "archive.elasticsearch.password_file: is nobody's"},
		"a user and a key":      {elastic("username: klaxon, password_file: secret, api_key_file: secret"), "archive.elasticsearch.api_key_file: stands beside a username"},
		"a prefix in capitals":  {elastic("prefix: Klaxon"), `:4:53: archive.elasticsearch.prefix: "Klaxon" cannot begin an index's name`},
		"a prefix with a dash":  {elastic("prefix: -klaxon"), "cannot begin an index's name"},
	} {
		t.Run(name, func(t *testing.T) {
			var list diag.List
			parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(c.text), noEnv, &list)
			if !strings.Contains(list.String(), c.want) {
				t.Errorf("%q is not reported in\n%s", c.want, list)
			}
			for _, d := range list {
				if d.Hint == "" || d.Line == 0 || d.Column == 0 {
					t.Errorf("no place or no hint: %s", d)
				}
			}
		})
	}
	for name, text := range map[string]string{
		"TLS":          kafka("session: 6s, hits_retention: 10m, tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key}") + "detect: {checkpoint: 1m}\nlimits: {drain: 5s}\nroles: [match]\n",
		"a password":   elastic("username: klaxon, password_file: secret, prefix: k-1.x, ca_file: ca.pem"),
		"an API key":   elastic("api_key_file: secret"),
		"both to send": webhook("send: [alert, incident]"),
		"no alerts":    smallConfig + "deliver: {alerts_topic: \"\"}\n",
	} {
		var list diag.List
		parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(text), noEnv, &list)
		if err := list.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 20 * time.Second: "20s", time.Hour + time.Second: "1h0m1s"} {
		if got := span(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}
