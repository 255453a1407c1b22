package main

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/klaxonhq/klaxon/incidents/postgres"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// StoreConfig says where incidents, the outbox and checkpoints are: in a file, or, where Postgres is set, in a database.
type StoreConfig struct {
	Path     string
	Postgres *PostgresConfig
}

// PostgresConfig names a database.
type PostgresConfig struct{ URL, Password, CAFile string }

func (r configReader) store(n diag.Node, c *StoreConfig) {
	c.Path = filepath.Join(r.dir, c.Path)
	m, ok := n.Map()
	if !ok {
		return
	}
	path := m.Get("path")
	set(&c.Path, r.path(path))
	if p := m.Get("postgres"); p.Exists() {
		if path.Exists() {
			path.Errorf("stands beside postgres, and there is one store").Hint("leave one of them out: a file is for one process, PostgreSQL for several")
		}
		c.Postgres = r.postgres(p)
	}
	m.Done()
}

func (r configReader) postgres(n diag.Node) *PostgresConfig {
	c := &PostgresConfig{}
	m, ok := n.Map()
	if !ok {
		return c
	}
	u := m.Need("url")
	c.URL, c.Password = u.Text(), r.secret(m, "password")
	if address, err := url.Parse(c.URL); err == nil {
		if password, ok := address.User.Password(); ok {
			r.known.add("", password)
		}
	}
	c.CAFile, _ = r.pemFile(m.Get("ca_file"), pemCertificate)
	if err := (postgres.Config{URL: c.URL, Password: c.Password, CAFile: c.CAFile}).Check(); u.Exists() && err != nil {
		reason, hint, _ := strings.Cut(err.Error(), ": ")
		u.Errorf("%s", reason).Hint("%s", hint)
	}
	m.Done()
	return c
}
