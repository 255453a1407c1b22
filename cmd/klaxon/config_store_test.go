package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func TestConfigStore(t *testing.T) {
	dir := t.TempDir()
	writeCertificates(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(store string) (Config, diag.List) {
		var list diag.List
		c := parseConfig(filepath.Join(dir, "klaxon.yaml"), []byte(smallConfig+"store: "+store+"\n"), noEnv, &list)
		return c, list
	}
	for name, c := range map[string]struct{ store, want string }{
		"both":                 {`{path: x.db, postgres: {url: "postgres://klaxon@db/klaxon"}}`, ":4:15: store.path: stands beside postgres, and there is one store"},
		"no address":           {`{postgres: {password_file: secret}}`, "the key url is missing"},
		"another database's":   {`{postgres: {url: "mysql://klaxon:s3cret@db/klaxon"}}`, ":4:25: store.postgres.url: it is no address of a PostgreSQL database"},
		"a password with an @": {`{postgres: {url: "postgres://klaxon:s3cret%@db/klaxon"}}`, "are written as %40 and %2F"},
		"no database":          {`{postgres: {url: "postgres://klaxon:s3cret@db"}}`, "the address names no database"},
		"an odd sslmode":       {`{postgres: {url: "postgres://klaxon:s3cret@db/klaxon?sslmode=maybe"}}`, "sslmode is invalid"},
		"a CA for nothing":     {`{postgres: {url: "postgres://klaxon:s3cret@db/klaxon?sslmode=disable", ca_file: ca.pem}}`, "sslmode=disable does not go with ca_file"},
		"no CA":                {`{postgres: {url: "postgres://klaxon:s3cret@db/klaxon", ca_file: nowhere.pem}}`, "store.postgres.ca_file: cannot be read"},
		"a key for a CA":       {`{postgres: {url: "postgres://klaxon:s3cret@db/klaxon", ca_file: client.key}}`, "holds no certificate in PEM form"},
		"two passwords":        {`{postgres: {url: "postgres://klaxon@db/klaxon", password: s3cret, password_file: secret}}`, "stands beside password"},
		"an unknown key":       {`{postgres: {url: "postgres://klaxon@db/klaxon", user: klaxon}}`, `unknown key "user"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, list := read(c.store)
			if !strings.Contains(list.String(), c.want) {
				t.Errorf("%q is not reported in\n%s", c.want, list)
			}
			if strings.Contains(list.String(), "s3cret") {
				t.Errorf("a password is shown:\n%s", list)
			}
		})
	}
	c, list := read(`{postgres: {url: "postgres://klaxon@db-1,db-2/klaxon?target_session_attrs=read-write", password_file: secret, ca_file: ca.pem}}`)
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	if p := c.Store.Postgres; p == nil || p.Password != "s3cret" || p.CAFile != filepath.Join(dir, "ca.pem") {
		t.Errorf("%+v", c.Store)
	}
	if c, list := read("{path: x.db}"); list.HasErrors() || c.Store.Postgres != nil || c.Store.Path != filepath.Join(dir, "x.db") {
		t.Errorf("%+v %s", c.Store, list)
	}
}

// TestStoreFlag: a file or an address; what is wrong is told without a password.
func TestStoreFlag(t *testing.T) {
	if c, err := storeFlag("data/klaxon.db"); err != nil || c.Path != "data/klaxon.db" || c.Postgres != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := storeFlag("postgresql://klaxon@db/klaxon"); err != nil || c.Postgres == nil {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := storeFlag("postgres://klaxon:s3cret@db"); err == nil || !strings.Contains(err.Error(), "names no database") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}
