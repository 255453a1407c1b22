package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/postgres"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"go.uber.org/zap"
)

// openStore opens the store that a configuration names, which is made if it is not there.
func openStore(ctx context.Context, c StoreConfig, session time.Duration) (incidents.Store, error) {
	if c.Postgres != nil {
		return openPostgres(ctx, c.Postgres, session, postgres.Open)
	}
	return opened(sqlite.Open(c.Path))
}

// openExistingStore opens a store that is there, for commands beside the processes that use it.
func openExistingStore(ctx context.Context, c StoreConfig) (incidents.Store, error) {
	if c.Postgres != nil {
		return openPostgres(ctx, c.Postgres, 0, postgres.OpenExisting)
	}
	return opened(sqlite.OpenExisting(c.Path))
}

// openPostgres opens a database. A process that stands still within a transaction has to be let go of before it has lost its
// partitions, or those who take them over would wait for it: within half of its session.
func openPostgres(ctx context.Context, c *PostgresConfig, session time.Duration, open func(context.Context, postgres.Config) (*postgres.Store, error)) (incidents.Store, error) {
	return opened(open(ctx, postgres.Config{URL: c.URL, Password: c.Password, CAFile: c.CAFile, Pause: min(session/2, maxPause)}))
}

// maxPause bounds how long a process may stand still in a transaction, however long its session is.
const maxPause = 10 * time.Second

// opened makes nothing of a store that could not be opened: a nil pointer in an interface is not nil.
func opened[S incidents.Store](s S, err error) (incidents.Store, error) {
	if err != nil {
		return nil, fmt.Errorf("cannot open the store: %w", err)
	}
	return s, nil
}

// useStore opens the configured store for the process's roles, and makes the book upon it.
func (a *app) useStore(ctx context.Context) error {
	store, err := openStore(ctx, a.cfg.Store, a.cfg.Kafka.Session)
	if err != nil {
		return err
	}
	policy := incidents.Policy{}
	for _, d := range a.told {
		policy.Destinations = append(policy.Destinations, d.Destination)
	}
	a.store, a.book = store, incidents.NewBook(store, policy)
	a.stats.store.setName(a.cfg.Store)
	a.log.Info("the store is open", zap.Stringer("store", a.cfg.Store))
	return nil
}

// String names the store for people, without a password.
func (c StoreConfig) String() string {
	if c.Postgres == nil {
		return c.Path
	}
	return postgres.Config{URL: c.Postgres.URL}.String()
}

// needsStore says whether a role of the process uses the store.
func (a *app) needsStore() bool { return a.has("detect") || a.has("deliver") }

// storeFlag reads what --store names: a file, or the address of a database.
func storeFlag(s string) (StoreConfig, error) {
	if !postgres.IsURL(s) {
		return StoreConfig{Path: s}, nil
	}
	c := &PostgresConfig{URL: s}
	if err := (postgres.Config{URL: s}).Check(); err != nil {
		return StoreConfig{}, fmt.Errorf("--store: %w", err)
	}
	return StoreConfig{Postgres: c}, nil
}

var errWhichStore = errors.New("name either a configuration with -c or a store with --store")
