package postgrestest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klaxonhq/klaxon/incidents/postgres"
)

// server is the server under test, asked without the code under test.
type server struct {
	url *url.URL // of its first database, as a superuser
	ca  string
}

// database makes a database that ends with the test, and returns its address.
func (s *server) database(t *testing.T, more string) *url.URL {
	t.Helper()
	name := fmt.Sprintf("klaxon_%08x", rand.Uint32())
	s.exec(t, s.url, "CREATE DATABASE "+name+" "+more)
	t.Cleanup(func() { s.exec(t, s.url, "DROP DATABASE "+name+" WITH (FORCE)") })
	u := *s.url
	u.Path = "/" + name
	return &u
}

// schema makes a room of its own in a database, and returns the address that leads there.
func (s *server) schema(t *testing.T, database *url.URL) *url.URL {
	t.Helper()
	name := fmt.Sprintf("s%08x", rand.Uint32())
	s.exec(t, database, "CREATE SCHEMA "+name)
	return with(database, "search_path", name)
}

// with is an address with one parameter more.
func with(u *url.URL, key, value string) *url.URL {
	out := *u
	q := out.Query()
	q.Set(key, value)
	out.RawQuery = q.Encode()
	return &out
}

// exec runs statements in a session of their own.
func (s *server) exec(t *testing.T, u *url.URL, statements ...string) {
	t.Helper()
	conn := s.connect(t, u)
	defer conn.Close(context.Background())
	for _, one := range statements {
		if _, err := conn.Exec(context.Background(), one); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
	}
}

func (s *server) connect(t *testing.T, u *url.URL) *pgx.Conn {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// open opens a store, which ends with the test.
func open(t *testing.T, c postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
