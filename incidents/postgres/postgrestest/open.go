package postgrestest

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/postgres"
)

// openedAtOnce: of several processes that start together each may be the first.
func openedAtOnce(t *testing.T, s *server) {
	at := s.database(t, "").String()
	var wg sync.WaitGroup
	for i := range int32(5) {
		wg.Go(func() {
			store, err := postgres.Open(context.Background(), postgres.Config{URL: at})
			if err != nil {
				t.Error(err)
				return
			}
			defer store.Close()
			if st, err := store.Claim(context.Background(), i, "x"); err != nil || st.Epoch != 1 {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
	wg.Wait()
}

// openExisting: a command makes no tables and changes none.
func openExisting(t *testing.T, s *server) {
	u := s.database(t, "")
	c := postgres.Config{URL: u.String()}
	if _, err := postgres.OpenExisting(t.Context(), c); err == nil || !strings.Contains(err.Error(), "there is no store in it: 'klaxon run' makes one") {
		t.Errorf("an empty database: %v", err)
	}
	first := open(t, c)
	if _, err := first.Claim(t.Context(), 3, "x"); err != nil {
		t.Fatal(err)
	}
	second, err := postgres.OpenExisting(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if st, err := second.Claim(t.Context(), 3, "x"); err != nil || st.Epoch != 2 {
		t.Errorf("what the other process wrote is not there: %+v, %v", st, err)
	}
	s.exec(t, u, "DELETE FROM klaxon_schema_version WHERE version_id > 0")
	if _, err := postgres.OpenExisting(t.Context(), c); err == nil || !strings.Contains(err.Error(), "there is no store in it") {
		t.Errorf("tables that were never finished: %v", err)
	}
}

// refuses: every error says where and what to do, and shows no password.
func refuses(t *testing.T, s *server) {
	empty, used, newer, broken := s.database(t, ""), s.database(t, ""), s.database(t, ""), s.database(t, "")
	latin := s.database(t, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
	s.exec(t, used, "CREATE TABLE alerts (id TEXT)")
	open(t, postgres.Config{URL: newer.String()})
	s.exec(t, newer, "INSERT INTO klaxon_schema_version (version_id, is_applied) VALUES (999, true)")
	open(t, postgres.Config{URL: broken.String()})
	s.exec(t, broken, "ALTER TABLE entries RENAME TO gone")
	user := "guest" + strings.TrimPrefix(empty.Path, "/klaxon_")
	s.exec(t, empty, "CREATE USER "+user+" PASSWORD 's3cret'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	t.Cleanup(func() { s.exec(t, s.url, "DROP USER "+user) })
	guest := *empty
	guest.User = url.UserPassword(user, "s3cret")
	wrong, nobody, nowhere, missing := *empty, *empty, *empty, *empty
	wrong.User, nobody.User = url.UserPassword(s.url.User.Username(), "n0tthis"), url.UserPassword("nobody_here", "s3cret")
	nowhere.Host, missing.Path = "127.0.0.1:1", "/no_such_database"
	for name, c := range map[string]struct {
		url  *url.URL
		want []string
	}{
		"a wrong password":      {&wrong, []string{"password authentication failed", "check the user", s.url.Host}},
		"no such user":          {&nobody, []string{"nobody_here"}},
		"no such database":      {&missing, []string{`"no_such_database" does not exist`, "CREATE DATABASE no_such_database OWNER"}},
		"nobody there":          {&nowhere, []string{"127.0.0.1:1", "connection refused", "that the server runs"}},
		"no right to create":    {&guest, []string{"permission denied for schema public", "GRANT CREATE"}},
		"somebody else's":       {used, []string{`relation "alerts" already exists`, "a database of its own"}},
		"a newer klaxon's":      {newer, []string{"newer klaxon", "version 999"}},
		"a table gone":          {broken, []string{"not as they should be"}},
		"an encoding too small": {latin, []string{"its encoding is LATIN1", "ENCODING 'UTF8'"}},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := postgres.Open(t.Context(), postgres.Config{URL: c.url.String()})
			if err == nil {
				t.Fatal("no error", store.Close())
			}
			for _, want := range append(c.want, "PostgreSQL at ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "n0tthis") || strings.Contains(err.Error(), "\n") {
				t.Errorf("a password, or several lines: %v", err)
			}
		})
	}
}

// overTLS: with an authority the server has to prove itself.
func overTLS(t *testing.T, s *server) {
	if s.ca == "" {
		t.Skip("the server's authority is not known: TLS is tested with a local process only")
	}
	u := s.database(t, "")
	u.Host = "localhost:" + u.Port()
	store := open(t, postgres.Config{URL: u.String(), CAFile: s.ca})
	if err := store.View(t.Context(), func(v incidents.View) error { _, err := v.Tally(); return err }); err != nil {
		t.Error(err)
	}
	conn := s.connect(t, u)
	defer conn.Close(context.Background())
	var plain int
	if err := conn.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'klaxon' AND datname = current_database() AND NOT ssl`).Scan(&plain); err != nil || plain != 0 {
		t.Errorf("%d connections without TLS, %v", plain, err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: with(u, "sslmode", "verify-full").String()}); err == nil || !strings.Contains(err.Error(), "name the right one in ca_file") {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	u.Host = "127.0.0.2:" + u.Port()
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: u.String(), CAFile: s.ca}); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("another host's certificate: %v", err)
	}
}
