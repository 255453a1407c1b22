package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/internal/certs"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// Bounds of settings.
const (
	minSession   = 6 * time.Second // what brokers allow unless they are told otherwise
	maxSession   = 30 * time.Minute
	minDrain     = 5 * time.Second
	minRetention = 10 * time.Minute
	// retentionCheckpoints is how many checkpoints the hits of their time outlive: after a start a shard reads on from its last one.
	retentionCheckpoints = 10
)

var (
	topicName   = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	indexPrefix = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,63}$`)
)

// firstThere is where to report what concerns several settings: the first that was written.
func firstThere(nodes ...diag.Node) diag.Node {
	for _, n := range nodes {
		if n.Exists() {
			return n
		}
	}
	return diag.Node{}
}

func (r configReader) topicName(n diag.Node) string {
	name := n.Text()
	if n.IsScalar() && n.Exists() && (!topicName.MatchString(name) || name == "." || name == "..") {
		n.Errorf("%q is no topic's name", name).Hint("letters, digits, dots, dashes and underscores, at most 249")
	}
	return name
}

// ownTopics checks what klaxon writes against what it reads: a topic that is both would feed itself without end.
func (r configReader) ownTopics(kafka, deliver *diag.Map, c *Config) {
	own := []struct {
		key, name string
		at        diag.Node
	}{
		{"kafka.hits_topic", c.Kafka.HitsTopic, kafka.Get("hits_topic")},
		{"kafka.dead_letters_topic", c.Kafka.DeadLetters, kafka.Get("dead_letters_topic")},
		{"deliver.alerts_topic", c.Deliver.AlertsTopic, deliver.Get("alerts_topic")},
	}
	var topics []diag.Node
	if n := kafka.Get("topics"); !n.IsMap() { // which was reported already
		topics = n.OneOrMany()
	}
	for i, a := range own {
		if a.name == "" {
			continue
		}
		for _, b := range own[:i] {
			if a.name == b.name {
				firstThere(a.at, b.at).Errorf("%s and %s are both %s", b.key, a.key, a.name).Hint("give each a topic of its own")
			}
		}
		for _, t := range topics {
			if t.Raw() == a.name {
				t.Errorf("%s is the topic that %s writes: klaxon would read what it wrote itself, without end", a.name, a.key).Hint("leave it out: topics names those that hold logs")
			}
		}
	}
}

// retention checks that hits outlive the checkpoints that were made before them.
func (r configReader) retention(kafka, detect *diag.Map, c *Config) {
	retention, checkpoint := kafka.Get("hits_retention"), detect.Get("checkpoint")
	if c.Kafka.Retention < minRetention {
		retention.Errorf("must be at least %s", span(minRetention)).Hint("hits that are gone before they are read are lost: choose longer than any outage, such as 24h")
		return
	}
	if least := retentionCheckpoints * c.Detect.Checkpoint; c.Kafka.Retention < least {
		firstThere(retention, checkpoint).Errorf("kafka.hits_retention is %s, and must be at least ten times detect.checkpoint, which is %s", span(c.Kafka.Retention), span(c.Detect.Checkpoint)).
			Hint("write hits_retention: %s, or a shorter checkpoint", span(least))
	}
}

// session reads how long a member of a group may be silent.
func (r configReader) session(n diag.Node, to *time.Duration) {
	d := n.Duration()
	if d > 0 && (d < minSession || d > maxSession) {
		n.Errorf("must be between %s and %s, not %s", span(minSession), span(maxSession), n.Raw()).Hint("brokers refuse anything else unless they are told otherwise; 10s suits most")
	}
	set(to, d)
}

// drain reads how long stopping may take.
func (r configReader) drain(n diag.Node, to *time.Duration) {
	d := n.Duration()
	if d > 0 && d < minDrain {
		n.Errorf("must be at least %s, not %s", span(minDrain), n.Raw()).Hint("what is under way needs that long to be finished, or it is repeated after the next start")
	}
	set(to, d)
}

// some reports a list that is there and holds nothing.
func (r configReader) some(n diag.Node, hint string) diag.Node {
	if n.IsSeq() && len(n.Seq()) == 0 {
		n.Errorf("is an empty list").Hint("%s", hint)
	}
	return n
}

// words reads a list of some words, each at most once.
func (r configReader) words(n diag.Node, hint string, allowed ...string) []string {
	var out []string
	for _, e := range r.some(n, hint).OneOrMany() {
		w := e.OneOf(allowed...)
		if w != "" && slices.Contains(out, w) {
			e.Errorf("%s is named twice", w).Hint("leave one of them out")
		}
		out = append(out, w)
	}
	return out
}

// What a file in PEM form may hold.
const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// pemFile reads the name of a file and looks into it: it must hold something in PEM form whose name ends in kind. ok is false for
// no file too.
func (r configReader) pemFile(n diag.Node, kind string) (path string, ok bool) {
	if path = r.path(n); path == "" {
		return "", false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		n.Errorf("cannot be read: %s", err).Hint("name a file in PEM form; paths are relative to the configuration's folder")
		return path, false
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, kind) {
			continue
		}
		if kind == pemCertificate {
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				n.Errorf("holds a certificate that cannot be read: %s", err).Hint("get it from its issuer again")
				return path, false
			}
		}
		return path, true
	}
	n.Errorf("%s holds no %s in PEM form", path, strings.ToLower(kind)).Hint("such a file has a line -----BEGIN %s-----", kind)
	return path, false
}

// clientCertificate reads a certificate and its key, which need each other.
func (r configReader) clientCertificate(cert, key diag.Node) (certFile, keyFile string) {
	certFile, certOK := r.pemFile(cert, pemCertificate)
	keyFile, keyOK := r.pemFile(key, pemKey)
	switch {
	case (certFile == "") != (keyFile == ""):
		firstThere(cert, key).Errorf("stands alone: a client certificate needs both cert_file and key_file").Hint("name the other one too")
	case certOK && keyOK:
		if data, err := os.ReadFile(keyFile); err == nil && certs.Encrypted(data) {
			key.Errorf("%s is encrypted with a password, which cannot be given here", keyFile).
				Hint("write it without: openssl pkey -in %s -out plain.key; and let only klaxon read it", filepath.Base(keyFile))
			break
		}
		if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			key.Errorf("does not go with cert_file: %s", err).Hint("the key must be the certificate's own")
		}
	}
	return certFile, keyFile
}

// span is a duration as a configuration has it: 24h, not 24h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
