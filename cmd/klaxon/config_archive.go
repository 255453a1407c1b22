package main

import (
	"net/url"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
)

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
