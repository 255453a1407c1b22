package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigIsRead(t *testing.T) {
	t.Setenv("PGPASSWORD", "")
	cfg, err := Config{URL: "postgres://klaxon:in-url@db.example:6432/incidents", Password: "in-file"}.parse()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Host != "db.example" || cfg.Port != 6432 || cfg.Database != "incidents" || cfg.User != "klaxon" || cfg.Password != "in-file" ||
		cfg.ConnectTimeout != connectTimeout || cfg.RuntimeParams["application_name"] != "klaxon" {
		t.Errorf("%+v", cfg)
	}
	cfg, err = Config{URL: "postgres://a@b/c?connect_timeout=9&application_name=mine"}.parse()
	if err != nil || cfg.ConnectTimeout != 9*time.Second || cfg.RuntimeParams["application_name"] != "mine" {
		t.Errorf("what the address says does not count: %+v, %v", cfg, err)
	}
	if got := (Config{URL: "postgres://klaxon:s3cret@db-1,db-2:6432/incidents"}).String(); got != "PostgreSQL at db-1:5432, db-2:6432, database incidents" {
		t.Error(got)
	}
	if (Config{}).pause() != defaultPause || (Config{Pause: time.Second}).pause() != time.Second {
		t.Error("pause")
	}
}

// TestConfigErrors: the address may hold a password, so none of it is shown.
func TestConfigErrors(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"nothing":           {Config{}, "no address of a PostgreSQL database"},
		"a file":            {Config{URL: "s3cret.db"}, "no address of a PostgreSQL database"},
		"a broken escape":   {Config{URL: "postgres://u:s3cret%zz@h/db"}, "no address of a PostgreSQL database"},
		"a bad port":        {Config{URL: "postgres://u:s3cret@h:port/db"}, "no address of a PostgreSQL database"},
		"no database":       {Config{URL: "postgres://u:s3cret@h/"}, "names no database"},
		"an odd sslmode":    {Config{URL: "postgres://u:s3cret@h/db?sslmode=maybe"}, "sslmode is invalid"},
		"no CA":             {Config{URL: "postgres://u:s3cret@h/db", CAFile: notPEM + ".not"}, "cannot read ca_file"},
		"a CA that is none": {Config{URL: "postgres://u:s3cret@h/db", CAFile: notPEM}, "cannot be used"},
		"two CAs":           {Config{URL: "postgres://u:s3cret@h/db?sslrootcert=x", CAFile: notPEM}, "beside ca_file"},
		"a CA for nothing":  {Config{URL: "postgres://u:s3cret@h/db?sslmode=prefer", CAFile: notPEM}, "sslmode=prefer does not go with ca_file"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.config.Check()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("a password, or several lines: %v", err)
			}
		})
	}
}

// FuzzConfig: no address makes it panic, and no password comes into an error.
func FuzzConfig(f *testing.F) {
	f.Add("postgres://klaxon:", "@db.example/klaxon?sslmode=verify-full")
	f.Add("postgres://klaxon:", "@db-1,db-2:5433/klaxon?target_session_attrs=read-write")
	f.Add("postgresql:///klaxon?host=/run/postgresql&password=", "&user=klaxon")
	f.Add("postgres://klaxon:", "%zz@db/klaxon")
	f.Fuzz(func(t *testing.T, before, after string) {
		const password = "f8Kq2zR7"
		if err := (Config{URL: before + password + after}).Check(); err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%q...%q: the error shows what may be a password: %v", before, after, err)
		}
	})
}
