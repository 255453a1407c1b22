package main

import (
	"fmt"
	"net"
	"net/netip"
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
	Enrich   EnrichConfig
	Datasets DatasetsConfig
	Rules    RulesConfig
	Reload   ReloadConfig
	Archive  ArchiveConfig
	Store    StoreConfig
	Detect   DetectConfig
	Deliver  DeliverConfig
	Roles    []string
	Admin    AdminConfig
	Log      LogConfig
	Limits   LimitsConfig
	File     string // that it was read from, "" where there is none
	Hash     string // of the file; "" where there is none
	Secrets  secrets
}

// TenantConfig says whose an event is: what the record's header, the topic or a field says, else the fixed name.
type TenantConfig struct{ Header, Topic, Field, Default string }

// RulesConfig names folders with rules and lists.
type RulesConfig struct {
	Dirs, Lists []string
	Shipped     bool
}

// DetectConfig is about memory and time.
type DetectConfig struct {
	Lateness, Idle, Checkpoint time.Duration
	MaxKeys, MaxBytes          int // of one shard
}

// AdminConfig is the port for metrics and health.
type AdminConfig struct{ Listen string }

// LogConfig is about klaxon's own log.
type LogConfig struct{ Level, Format string }

// LimitsConfig bounds what a process takes, in bytes, and how long stopping may take.
type LimitsConfig struct {
	Memory                              int // of the whole process; 0: as GOMEMLIMIT or the control group says
	RecordBytes, FetchBytes, QueueBytes int
	DiskFree                            int // less than this being free is warned of
	Drain                               time.Duration
}

var allRoles = [...]string{"archive", "match", "detect", "deliver"}

func defaultConfig() Config {
	return Config{
		Kafka:   KafkaConfig{Group: "klaxon", Session: 10 * time.Second, Create: true, HitsTopic: "klaxon.hits", DeadLetters: "klaxon.deadletters", Retention: 24 * time.Hour},
		Tenant:  TenantConfig{Default: "default"},
		Rules:   RulesConfig{Shipped: true},
		Reload:  ReloadConfig{Every: 10 * time.Second, Wait: 30 * time.Second},
		Store:   StoreConfig{Path: "data/klaxon.db"},
		Detect:  DetectConfig{Lateness: time.Minute, Idle: 5 * time.Second, Checkpoint: 30 * time.Second, MaxKeys: 1 << 16, MaxBytes: 16 << 20},
		Deliver: DeliverConfig{AlertsTopic: "klaxon.alerts"},
		Roles:   allRoles[:],
		Admin:   AdminConfig{Listen: "127.0.0.1:9464"},
		Log:     LogConfig{Level: "info", Format: "json"},
		Limits:  LimitsConfig{RecordBytes: 1 << 20, FetchBytes: 64 << 20, QueueBytes: 64 << 20, DiskFree: 1 << 30, Drain: 20 * time.Second},
	}
}

// loadConfig reads a configuration file. Every mistake is reported at once, with its place.
func loadConfig(path string, env func(string) (string, bool)) (Config, diag.List) {
	var list diag.List
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, diag.List{{File: path, Message: err.Error(), Hint: "write one with 'klaxon init', or copy klaxon.example.yaml, and name it with -c"}}
	}
	c := parseConfig(path, data, env, &list)
	return c, list
}

func parseConfig(path string, data []byte, env func(string) (string, bool), list *diag.List) Config {
	c := defaultConfig()
	c.File, c.Hash = path, hashOf(data)
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
	r := configReader{dir: filepath.Dir(path), known: &c.Secrets}
	kafka := r.kafka(m.Need("kafka"), &c.Kafka)
	r.tenant(m.Get("tenant"), &c.Tenant)
	c.Proxies = r.networks(m.Get("trusted_proxies"))
	r.enrich(m.Get("enrich"), &c.Enrich)
	r.datasets(m.Get("datasets"), &c.Datasets)
	r.rules(m.Get("rules"), &c.Rules)
	r.reload(m.Get("reload"), &c.Reload)
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

type configReader struct {
	dir   string
	known *secrets // that were read
}

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

// secret reads `key`, or the file that `key_file` names; secrets belong into files or the environment. What it reads is shown to
// nobody.
func (r configReader) secret(m *diag.Map, key string) string {
	s := r.readSecret(m, key)
	r.known.add(m.Get("username").Raw(), s)
	return s
}

func (r configReader) readSecret(m *diag.Map, key string) string {
	direct, file := m.Get(key), m.Get(key+"_file")
	if direct.Exists() && file.Exists() {
		file.Errorf("stands beside %s; leave one of them out", key)
	}
	if !file.Exists() {
		return direct.Text()
	}
	return r.secretFile(file)
}

// secrets reads several that are given like one.
func (r configReader) secrets(m *diag.Map, key string) []string {
	var out []string
	for _, n := range m.Get(key).OneOrMany() {
		out = append(out, n.Text())
	}
	for _, n := range m.Get(key + "_file").OneOrMany() {
		out = append(out, r.secretFile(n))
	}
	for _, s := range out {
		r.known.add("", s)
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" }) // which was reported
}

func (r configReader) secretFile(n diag.Node) string {
	data, err := os.ReadFile(r.path(n))
	if err != nil {
		n.Errorf("cannot read the secret: %s", err).Hint("the file holds nothing but the secret")
		return ""
	}
	s := strings.TrimRight(string(data), "\r\n")
	if s == "" {
		n.Errorf("names an empty file").Hint("the file holds nothing but the secret")
	}
	return s
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
			a = a.Unmap()
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		} else if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
			out = append(out, p.Masked())
		} else {
			e.Errorf("%q is neither an address nor a network", s).Hint("write 198.51.100.7 or 198.51.100.0/24")
		}
	}
	return out
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
	r.size(m.Get("max_bytes_per_shard"), &c.MaxBytes, 1<<20, 64<<30)
	m.Done()
	return m
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
		r.limits(l, c)
	}
}
