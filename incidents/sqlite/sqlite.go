// Package sqlite keeps incidents, the outbox and the checkpoints of shards in one SQLite file: for one detect process and the
// commands that look at it.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/klaxonhq/klaxon/incidents/sqlstore"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many connections read at a time. One writes.
const readers = 4

// openTimeout bounds opening, and bringing the tables up to date.
const openTimeout = time.Minute

// Store is an incidents.Store in a file.
type Store struct{ *sqlstore.Store }

// Open opens the store in a file, which it makes if there is none, with its folder, readable by nobody else. Its tables are brought
// up to date. What was committed survives a power failure.
func Open(path string) (*Store, error) {
	s, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Store{s}, nil
}

func open(path string) (*sqlstore.Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(context.Background(), openTimeout)
	defer done()
	write, err := connect(path, 1, "&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := connect(path, readers, "&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return sqlstore.New(ctx, write, read)
}

// private makes the file before SQLite does, so that nobody else can ever read it; the files beside it take its mode over.
func private(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// connect makes a pool. A commit waits for the disk. The log is cut after one big transaction, or it would keep that size for ever;
// it is folded into the database every 16 MiB, and 16 MiB of pages are cached, because ids are random and touch pages everywhere.
func connect(path string, connections int, more string) (*sql.DB, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)" +
		"&_pragma=synchronous(full)&_pragma=journal_size_limit(67108864)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16384)" + more}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// migrate brings the tables up to date, and refuses those of a newer klaxon.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		err := up(ctx, p)
		if err == nil {
			return nil
		}
		var newer *newerError
		if try == migrateTries || errors.As(err, &newer) || ctx.Err() != nil {
			return err
		}
		// Another process may be making the same tables: then they are there when we look again.
	}
}

const migrateTries = 3

type newerError struct{ found, known int64 }

func (e *newerError) Error() string {
	return fmt.Sprintf("it was written by a newer klaxon (its tables are of version %d, this one knows %d): use that one, or another file", e.found, e.known)
}

func up(ctx context.Context, p *goose.Provider) error {
	found, known, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return err
	case found > known:
		return &newerError{found, known}
	case found == known:
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("cannot bring its tables up to date: %w", err)
	}
	return nil
}
