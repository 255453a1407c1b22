// Package postgres keeps incidents, the outbox and the checkpoints of shards in PostgreSQL: for several processes that share them.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/klaxonhq/klaxon/incidents/sqlstore"
)

// Connections of one process: writers do not wait for readers, and a database's limit, often 100, holds several processes.
const (
	writers = 6
	readers = 4
)

// Limits of time. They come in this order, so that the one says what is wrong that knows most of it.
const (
	connectTimeout   = 5 * time.Second
	lockTimeout      = 8 * time.Second
	statementTimeout = 12 * time.Second
	// transactionTimeout bounds a transaction from this side: a server that was cut off answers nothing at all.
	transactionTimeout = 15 * time.Second
	// openTimeout bounds opening, and bringing the tables up to date.
	openTimeout = time.Minute
	// maxIdle is how long a connection stays open unused, maxAge how long at all: after a fail-over all go to the new server in the end.
	maxIdle = 5 * time.Minute
	maxAge  = time.Hour
	// defaultPause is for Config.Pause.
	defaultPause = 5 * time.Second
)

// Store is an incidents.Store in a database.
type Store struct{ *sqlstore.Store }

// Open opens the store in a database, whose tables it makes, or brings up to date: also when several processes do so at once. What was
// committed survives a power failure of the server. Tables of something else are refused and left as they are. Errors name the
// server, say what to do, and hold no password.
func Open(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, migrate) }

// OpenExisting opens a store that is there and of this version, for commands beside the processes that use it: it changes no table.
func OpenExisting(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, sameVersion) }

func open(ctx context.Context, c Config, ready func(context.Context, *sql.DB) error) (*Store, error) {
	cfg, err := c.parse()
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(ctx, openTimeout)
	defer done()
	s, err := pools(ctx, cfg, c.pause(), ready)
	if err != nil {
		return nil, explain(cfg, err)
	}
	return &Store{s}, nil
}

// pools connects to a database. The tables are as they should be once ready returns nil.
func pools(ctx context.Context, cfg *pgx.ConnConfig, pause time.Duration, ready func(context.Context, *sql.DB) error) (*sqlstore.Store, error) {
	first := connect(cfg, 1, timeouts(pause, 0)) // a change of tables takes as long as it takes
	if err := errors.Join(prepare(ctx, first, ready), first.Close()); err != nil {
		return nil, err
	}
	write, read := connect(cfg, writers, timeouts(pause, statementTimeout)), connect(cfg, readers, timeouts(pause, statementTimeout))
	return sqlstore.New(ctx, write, read, sqlstore.Options{
		Update:  sql.TxOptions{Isolation: sql.LevelReadCommitted}, // rows are locked before they are read: see incidents.Tx
		View:    sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		Timeout: transactionTimeout,
		Again:   again,
	})
}

func prepare(ctx context.Context, db *sql.DB, ready func(context.Context, *sql.DB) error) error {
	if err := suitable(ctx, db); err != nil {
		return err
	}
	return ready(ctx, db)
}

// timeouts are the settings of a session. A process that was stopped within a transaction holds its locks until the server ends the
// session; that must come before others take over what the process did, or they would wait for it.
func timeouts(pause, statement time.Duration) string {
	return fmt.Sprintf("SET idle_in_transaction_session_timeout = %d; SET lock_timeout = %d; SET statement_timeout = %d",
		pause.Milliseconds(), lockTimeout.Milliseconds(), statement.Milliseconds())
}

// connect makes a pool whose sessions have these settings. They are set by statement, for not every proxy passes parameters on.
func connect(cfg *pgx.ConnConfig, connections int, settings string) *sql.DB {
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, settings, pgx.QueryExecModeSimpleProtocol)
		return err
	}))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(maxIdle)
	db.SetConnMaxLifetime(maxAge)
	return db
}

// suitable refuses a database that could not keep every text, and a server that takes no writes.
func suitable(ctx context.Context, db *sql.DB) error {
	var encoding string
	var standby bool
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), pg_is_in_recovery()`).Scan(&encoding, &standby)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s, which cannot hold every text: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", encoding)
	case standby:
		return errStandby
	}
	return nil
}
