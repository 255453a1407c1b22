package main

import (
	"net"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// KafkaConfig says where the logs are.
type KafkaConfig struct {
	Brokers     []string
	Topics      []string // of the logs: names and patterns
	Exclude     []string // names and patterns of topics that no pattern selects
	Group       string   // prefix of the consumer groups
	Session     time.Duration
	Create      bool // whether klaxon creates its own topics
	Replication int  // of klaxon's own topics; 0: the broker's default
	HitsTopic   string
	DeadLetters string
	Retention   time.Duration // of the hits topic
	TLS         *TLSConfig
	SASL        *SASLConfig
}

// TLSConfig turns on TLS.
type TLSConfig struct{ CAFile, CertFile, KeyFile, ServerName string }

// SASLConfig says who klaxon is to the brokers.
type SASLConfig struct{ Mechanism, Username, Password string }

func (r configReader) kafka(n diag.Node, c *KafkaConfig) *diag.Map {
	m, ok := n.Map()
	if !ok {
		return m
	}
	for _, b := range r.some(m.Need("brokers"), "write them as [broker.example:9092]").OneOrMany() {
		addr := b.Text()
		if _, _, err := net.SplitHostPort(addr); err != nil {
			b.Errorf("%q is no host:port", addr).Hint("write it as broker.example:9092")
		}
		c.Brokers = append(c.Brokers, addr)
	}
	r.selection(m.Need("topics"), m.Get("exclude_topics"), c)
	set(&c.Group, m.Get("group").Text())
	r.session(m.Get("session"), &c.Session)
	if n := m.Get("create_topics"); n.Exists() {
		c.Create = n.Bool()
	}
	c.Replication = int(m.Get("replication").Int(1, 9))
	set(&c.HitsTopic, r.topicName(m.Get("hits_topic")))
	set(&c.DeadLetters, r.topicName(m.Get("dead_letters_topic")))
	set(&c.Retention, m.Get("hits_retention").Duration())
	r.tls(m.Get("tls"), c)
	r.sasl(m.Get("sasl"), c)
	m.Done()
	return m
}

func (r configReader) tls(n diag.Node, c *KafkaConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	c.TLS = &TLSConfig{ServerName: m.Get("server_name").Text()}
	c.TLS.CAFile, _ = r.pemFile(m.Get("ca_file"), pemCertificate)
	c.TLS.CertFile, c.TLS.KeyFile = r.clientCertificate(m.Get("cert_file"), m.Get("key_file"))
	m.Done()
}

func (r configReader) sasl(n diag.Node, c *KafkaConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	c.SASL = &SASLConfig{Mechanism: m.Need("mechanism").OneOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), Username: m.Need("username").Text(), Password: r.secret(m, "password")}
	if c.SASL.Password == "" && !m.Has("password_file") {
		n.Errorf("a password is missing").Hint("name a file with password_file")
	}
	m.Done()
}
