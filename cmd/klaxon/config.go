package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

// Config is what klaxon.yaml says, with every default filled in.
type Config struct {
	Kafka    KafkaConfig
	Tenant   TenantConfig
	Proxies  []netip.Prefix // believed about the addresses that they forward for, beside private ones
	Datasets DatasetsConfig
	Rules    RulesConfig
	Archive  ArchiveConfig
	Store    StoreConfig
	Detect   DetectConfig
	Deliver  DeliverConfig
	Roles    []string
	Admin    AdminConfig
	Log      LogConfig
	Limits   LimitsConfig
}

// KafkaConfig says where the logs are.
type KafkaConfig struct {
	Brokers     []string
	Topics      []string // of the logs
	Group       string   // prefix of the consumer groups
	Session     time.Duration
	Replication int // of klaxon's own topics; 0: the broker's default
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

// TenantConfig says whose an event is: what the record's header, the topic or a field says, else the fixed name.
type TenantConfig struct{ Header, Topic, Field, Default string }

// DatasetsConfig names folders with datasets beside the shipped ones.
type DatasetsConfig struct{ Dirs []string }

// RulesConfig names folders with rules and lists.
type RulesConfig struct {
	Dirs, Lists []string
	Shipped     bool
}

// ArchiveConfig says where everything is kept. Both may be on.
type ArchiveConfig struct {
	Local         *LocalArchiveConfig
	Elasticsearch *ElasticsearchConfig
}

// LocalArchiveConfig is the archive in a folder.
type LocalArchiveConfig struct {
	Dir   string
	Every time.Duration
}

// ElasticsearchConfig is the archive in a cluster.
type ElasticsearchConfig struct {
	URLs                       []string
	Username, Password, APIKey string
	CAFile                     string
	Prefix                     string
	Retention                  time.Duration
	Shards, Replicas           int
	Every                      time.Duration
}

// StoreConfig says where incidents, the outbox and checkpoints are.
type StoreConfig struct{ Path string }

// DetectConfig is about memory and time.
type DetectConfig struct {
	Lateness, Idle, Checkpoint time.Duration
	MaxKeys                    int
}

// DeliverConfig says who is told.
type DeliverConfig struct {
	AlertsTopic string
	Webhooks    []WebhookConfig
}

// WebhookConfig is one receiver of CloudEvents.
type WebhookConfig struct {
	Name, URL, Secret string
	Send              []string
}

// AdminConfig is the port for metrics and health.
type AdminConfig struct{ Listen string }

// LogConfig is about klaxon's own log.
type LogConfig struct{ Level, Format string }

// LimitsConfig bounds memory.
type LimitsConfig struct {
	RecordBytes, FetchBytes, QueueBytes int
	Drain                               time.Duration
}

var allRoles = [...]string{"archive", "match", "detect", "deliver"}

func defaultConfig() Config {
	return Config{
		Kafka:   KafkaConfig{Group: "klaxon", Session: 10 * time.Second, HitsTopic: "klaxon.hits", DeadLetters: "klaxon.deadletters", Retention: 24 * time.Hour},
		Tenant:  TenantConfig{Default: "default"},
		Rules:   RulesConfig{Shipped: true},
		Store:   StoreConfig{Path: "data/klaxon.db"},
		Detect:  DetectConfig{Lateness: time.Minute, Idle: 5 * time.Second, Checkpoint: 30 * time.Second, MaxKeys: 1 << 16},
		Deliver: DeliverConfig{AlertsTopic: "klaxon.alerts"},
		Roles:   allRoles[:],
		Admin:   AdminConfig{Listen: "127.0.0.1:9464"},
		Log:     LogConfig{Level: "info", Format: "json"},
		Limits:  LimitsConfig{RecordBytes: 1 << 20, FetchBytes: 64 << 20, QueueBytes: 64 << 20, Drain: 20 * time.Second},
	}
}

// loadConfig reads a configuration file. Every mistake is reported at once, with its place.
func loadConfig(path string, env func(string) (string, bool)) (Config, diag.List) {
	var list diag.List
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, diag.List{{File: path, Message: err.Error(), Hint: "copy klaxon.example.yaml and name it with -c"}}
	}
	c := parseConfig(path, data, env, &list)
	return c, list
}

func parseConfig(path string, data []byte, env func(string) (string, bool), list *diag.List) Config {
	c := defaultConfig()
	docs := diag.Documents(path, data, list)
	if len(docs) != 1 {
		if !list.HasErrors() {
			*list = append(*list, diag.Diagnostic{File: path, Message: fmt.Sprintf("holds %d documents, and a configuration is one", len(docs))})
		}
		return c
	}
	docs[0].Substitute(func(s string) (string, error) { return expandEnv(s, env) })
	m, ok := docs[0].Map()
	if !ok {
		return c
	}
	if v := m.Need("version"); v.Exists() {
		v.Int(1, 1)
	}
	r := configReader{dir: filepath.Dir(path)}
	kafka := r.kafka(m.Need("kafka"), &c.Kafka)
	r.tenant(m.Get("tenant"), &c.Tenant)
	c.Proxies = r.networks(m.Get("trusted_proxies"))
	r.datasets(m.Get("datasets"), &c.Datasets)
	r.rules(m.Get("rules"), &c.Rules)
	r.archive(m.Need("archive"), &c.Archive)
	r.store(m.Get("store"), &c.Store)
	detect := r.detect(m.Get("detect"), &c.Detect)
	deliver := r.deliver(m.Get("deliver"), &c.Deliver)
	r.roles(m.Get("roles"), &c.Roles)
	r.ownTopics(kafka, deliver, &c)
	r.retention(kafka, detect, &c)
	r.rest(m, &c)
	m.Done()
	return c
}

var envPattern = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\$\$`)

// expandEnv replaces ${NAME} and ${NAME:-default}; $$ is a dollar sign. A variable that is not set and has no default is an error.
func expandEnv(s string, env func(string) (string, bool)) (string, error) {
	var err error
	out := envPattern.ReplaceAllStringFunc(s, func(m string) string {
		if m == "$$" {
			return "$"
		}
		p := envPattern.FindStringSubmatch(m)
		if v, ok := env(p[1]); ok && (v != "" || p[2] == "") {
			return v
		}
		if p[2] == "" && err == nil {
			err = fmt.Errorf("needs the environment variable %s, which is not set: set it, or write ${%s:-default}", p[1], p[1])
		}
		return p[3]
	})
	return out, err
}

type configReader struct{ dir string }

func set[T comparable](to *T, v T) {
	var zero T
	if v != zero {
		*to = v
	}
}

// path is a file's name relative to the configuration's own folder.
func (r configReader) path(n diag.Node) string {
	s := n.Text()
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(r.dir, s)
}

func (r configReader) paths(n diag.Node) []string {
	var out []string
	for _, e := range n.OneOrMany() {
		p := r.path(e)
		if _, err := os.Stat(p); p != "" && err != nil {
			e.Errorf("cannot be read: %s", err)
		}
		out = append(out, p)
	}
	return out
}

// secret reads `key`, or the file that `key_file` names; secrets belong into files or the environment.
func (r configReader) secret(m *diag.Map, key string) string {
	direct, file := m.Get(key), m.Get(key+"_file")
	if direct.Exists() && file.Exists() {
		file.Errorf("stands beside %s; leave one of them out", key)
	}
	if !file.Exists() {
		return direct.Text()
	}
	data, err := os.ReadFile(r.path(file))
	if err != nil {
		file.Errorf("cannot read the secret: %s", err).Hint("the file holds nothing but the secret")
		return ""
	}
	s := strings.TrimRight(string(data), "\r\n")
	if s == "" {
		file.Errorf("names an empty file")
	}
	return s
}

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
	for _, t := range r.some(m.Need("topics"), "name the topics that hold logs").OneOrMany() {
		name := r.topicName(t)
		if slices.Contains(c.Topics, name) {
			t.Errorf("the topic %s is named twice", name).Hint("leave one of them out")
		}
		c.Topics = append(c.Topics, name)
	}
	set(&c.Group, m.Get("group").Text())
	r.session(m.Get("session"), &c.Session)
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

func (r configReader) tenant(n diag.Node, c *TenantConfig) {
	if n.IsScalar() {
		set(&c.Default, n.Text())
		return
	}
	if m, ok := n.Map(); ok {
		c.Header, c.Topic, c.Field = m.Get("header").Text(), m.Get("topic").Text(), m.Get("field").Text()
		if t := m.Get("topic"); t.Exists() && !strings.Contains(c.Topic, "{tenant}") {
			t.Errorf("says nothing of the tenant").Hint("write {tenant} where the topic names it, as in logs.{tenant}.*")
		}
		set(&c.Default, m.Get("default").Text())
		m.Done()
	}
}

// networks reads networks and single addresses.
func (r configReader) networks(n diag.Node) []netip.Prefix {
	var out []netip.Prefix
	for _, e := range n.OneOrMany() {
		s := e.Text()
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		} else if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
		} else {
			e.Errorf("%q is neither an address nor a network", s).Hint("write 198.51.100.7 or 198.51.100.0/24")
		}
	}
	return out
}

func (r configReader) datasets(n diag.Node, c *DatasetsConfig) {
	if m, ok := n.Map(); ok {
		c.Dirs = r.paths(m.Get("dirs"))
		m.Done()
	}
}

func (r configReader) rules(n diag.Node, c *RulesConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	c.Dirs, c.Lists = r.paths(m.Get("dirs")), r.paths(m.Get("lists"))
	if s := m.Get("shipped"); s.Exists() {
		c.Shipped = s.Bool()
	}
	m.Done()
}

func (r configReader) archive(n diag.Node, c *ArchiveConfig) {
	m, ok := n.Map()
	if !ok {
		return
	}
	if l := m.Get("local"); l.Exists() {
		if lm, ok := l.Map(); ok {
			c.Local = &LocalArchiveConfig{Dir: r.path(lm.Need("dir")), Every: 10 * time.Second}
			set(&c.Local.Every, lm.Get("flush").Duration())
			lm.Done()
		}
	}
	if e := m.Get("elasticsearch"); e.Exists() {
		c.Elasticsearch = r.elasticsearch(e)
	}
	if c.Local == nil && c.Elasticsearch == nil && !m.Has("local") && !m.Has("elasticsearch") {
		n.Errorf("names no archive").Hint("add local, elasticsearch, or both")
	}
	m.Done()
}

func (r configReader) elasticsearch(n diag.Node) *ElasticsearchConfig {
	c := &ElasticsearchConfig{Prefix: "klaxon", Shards: 1, Replicas: 1, Every: time.Second, Retention: 90 * 24 * time.Hour}
	m, ok := n.Map()
	if !ok {
		return c
	}
	for _, u := range r.some(m.Need("urls"), "write them as [\"https://elastic.example:9200\"]").OneOrMany() {
		s := u.Text()
		p, err := url.Parse(s)
		switch {
		case err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https":
			u.Errorf("is no address of a server").Hint("write it as https://elastic.example:9200")
		case p.User != nil:
			u.Errorf("holds a password").Hint("use username and password_file, or api_key_file")
		}
		c.URLs = append(c.URLs, strings.TrimSuffix(s, "/"))
	}
	r.elasticsearchUser(m, c)
	c.CAFile, _ = r.pemFile(m.Get("ca_file"), pemCertificate)
	prefix := m.Get("prefix")
	if set(&c.Prefix, prefix.Text()); !indexPrefix.MatchString(c.Prefix) {
		prefix.Errorf("%q cannot begin an index's name", c.Prefix).Hint("lower-case letters, digits, dashes and dots, a letter first, at most 64")
	}
	set(&c.Retention, m.Get("retention").Duration())
	set(&c.Every, m.Get("flush").Duration())
	if s := m.Get("shards"); s.Exists() {
		c.Shards = int(s.Int(1, 1024))
	}
	if s := m.Get("replicas"); s.Exists() {
		c.Replicas = int(s.Int(0, 16))
	}
	m.Done()
	return c
}

// elasticsearchUser reads who klaxon is to the cluster.
func (r configReader) elasticsearchUser(m *diag.Map, c *ElasticsearchConfig) {
	user, password, key := m.Get("username"), firstThere(m.Get("password"), m.Get("password_file")), firstThere(m.Get("api_key"), m.Get("api_key_file"))
	c.Username, c.Password, c.APIKey = user.Text(), r.secret(m, "password"), r.secret(m, "api_key")
	switch {
	case user.Exists() && key.Exists():
		key.Errorf("stands beside a username").Hint("leave one of them out")
	case user.Exists() && !password.Exists():
		user.Errorf("has no password").Hint("name a file with password_file")
	case !user.Exists() && password.Exists():
		password.Errorf("is nobody's: there is no username").Hint("add username")
	}
}

func (r configReader) store(n diag.Node, c *StoreConfig) {
	c.Path = filepath.Join(r.dir, c.Path)
	if m, ok := n.Map(); ok {
		set(&c.Path, r.path(m.Get("path")))
		m.Done()
	}
}

func (r configReader) detect(n diag.Node, c *DetectConfig) *diag.Map {
	m, ok := n.Map()
	if !ok {
		return m
	}
	set(&c.Lateness, m.Get("lateness").Duration())
	set(&c.Idle, m.Get("idle").Duration())
	set(&c.Checkpoint, m.Get("checkpoint").Duration())
	if k := m.Get("max_keys_per_shard"); k.Exists() {
		c.MaxKeys = int(k.Int(1000, 100_000_000))
	}
	m.Done()
	return m
}

func (r configReader) deliver(n diag.Node, c *DeliverConfig) *diag.Map {
	m, ok := n.Map()
	if !ok {
		return m
	}
	if m.Has("alerts_topic") {
		t := m.Get("alerts_topic")
		if c.AlertsTopic = t.Text(); c.AlertsTopic != "" {
			r.topicName(t)
		}
	}
	names := map[string]bool{}
	for _, w := range m.Get("webhooks").Seq() {
		h := r.webhook(w)
		if names[h.Name] {
			w.Errorf("the name %q is taken", h.Name).Hint("a webhook's name is its identity in the outbox")
		}
		names[h.Name] = true
		c.Webhooks = append(c.Webhooks, h)
	}
	m.Done()
	return m
}

var webhookName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (r configReader) webhook(n diag.Node) WebhookConfig {
	h := WebhookConfig{Send: []string{"incident"}}
	m, ok := n.Map()
	if !ok {
		return h
	}
	name := m.Need("name")
	if h.Name = name.Text(); name.Exists() && !webhookName.MatchString(h.Name) {
		name.Errorf("%q is no name", h.Name).Hint("use lower-case letters, digits and dashes")
	}
	u := m.Need("url")
	h.URL = u.Text()
	if p, err := url.Parse(h.URL); u.Exists() && (err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https") {
		u.Errorf("is no http or https address")
	}
	if h.Secret = r.secret(m, "secret"); h.Secret == "" {
		n.Errorf("a secret is missing, and without one the receiver cannot tell klaxon from anybody else").Hint("name a file with secret_file")
	}
	if s := m.Get("send"); s.Exists() {
		h.Send = r.words(s, "write [incident], [alert] or both; leave it out for incidents", "alert", "incident")
	}
	m.Done()
	return h
}

func (r configReader) roles(n diag.Node, c *[]string) {
	if !n.Exists() {
		return
	}
	*c = r.words(n, "leave it out for all four", allRoles[:]...)
}

func (r configReader) rest(m *diag.Map, c *Config) {
	if a, ok := m.Get("admin").Map(); ok {
		l := a.Get("listen")
		if set(&c.Admin.Listen, l.Text()); l.Exists() {
			if _, _, err := net.SplitHostPort(c.Admin.Listen); err != nil {
				l.Errorf("%q is no host:port", c.Admin.Listen)
			}
		}
		a.Done()
	}
	if l, ok := m.Get("log").Map(); ok {
		set(&c.Log.Level, l.Get("level").OneOf("debug", "info", "warn", "error"))
		set(&c.Log.Format, l.Get("format").OneOf("json", "console"))
		l.Done()
	}
	if l, ok := m.Get("limits").Map(); ok {
		for key, to := range map[string]*int{"record_bytes": &c.Limits.RecordBytes, "fetch_bytes": &c.Limits.FetchBytes, "queue_bytes": &c.Limits.QueueBytes} {
			if n := l.Get(key); n.Exists() {
				set(to, int(n.Int(1024, 1<<30)))
			}
		}
		r.drain(l.Get("drain"), &c.Limits.Drain)
		l.Done()
	}
}
