package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/internal/broker"
	"go.uber.org/zap"
)

// TestDatabaseIsWaitedFor: a server that is not there yet is waited for, and /readyz says what is wrong; a signal ends the waiting.
func TestDatabaseIsWaitedFor(t *testing.T) {
	b, err := broker.Start(filepath.Join(t.TempDir(), "kafka"), broker.Topic{Name: "logs", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cfg := defaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Topics = []string{b.Addr()}, []string{"logs"}
	cfg.Archive.Local = &LocalArchiveConfig{Dir: filepath.Join(t.TempDir(), "archive"), Every: time.Second}
	cfg.Store.Postgres = &PostgresConfig{URL: "postgres://klaxon:s3cret@127.0.0.1:1/klaxon"}
	cfg.Admin.Listen = "127.0.0.1:0"
	a, err := newApp(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	for why := ""; !strings.Contains(why, "PostgreSQL at 127.0.0.1:1, database klaxon: cannot connect"); why = a.state.get()["store"] {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v, having said %q", err, why)
		case <-time.After(10 * time.Millisecond):
		}
		if strings.Contains(why, "s3cret") {
			t.Fatalf("a password is shown: %s", why)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStoreOfAFile: a file that is no store is refused at once: it will not become one.
func TestStoreOfAFile(t *testing.T) {
	cfg := defaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Topics = []string{"127.0.0.1:1"}, []string{"logs"}
	cfg.Archive.Local = &LocalArchiveConfig{Dir: filepath.Join(t.TempDir(), "archive"), Every: time.Second}
	cfg.Store.Path = t.TempDir()
	if _, err := newApp(cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("%v", err)
	}
}
