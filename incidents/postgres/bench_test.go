package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/postgres"
	"github.com/klaxonhq/klaxon/incidents/storetest"
	"github.com/klaxonhq/klaxon/internal/realtest"
)

// server starts a PostgreSQL that waits for the disk, as in production, and returns what opens a new store there.
func server(b *testing.B) func(b *testing.B) incidents.Store {
	b.Helper()
	servers := realtest.New()
	b.Cleanup(servers.Close)
	u, err := url.Parse(servers.Postgres(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	do(b, u, "ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()")
	made := 0
	return func(b *testing.B) incidents.Store {
		b.Helper()
		made++
		name := fmt.Sprintf("bench_%d", made)
		do(b, u, "DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name)
		at := *u
		at.Path = "/" + name
		s, err := postgres.Open(b.Context(), postgres.Config{URL: at.String()})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
}

func do(b *testing.B, u *url.URL, statements ...string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), u.String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, one := range statements {
		if _, err := conn.Exec(b.Context(), one); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) { storetest.BenchmarkApply(b, server(b)) }

func BenchmarkShards(b *testing.B) { storetest.BenchmarkShards(b, server(b)) }
