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
// up to date. What was committed survives a power failure. A file that holds anything else is refused and left as it is.
func Open(path string) (*Store, error) {
	return named(path, func(ctx context.Context, path string) (*sqlstore.Store, error) {
		made, err := create(path)
		if err != nil {
			return nil, err
		}
		if !made {
			if _, err := inspect(ctx, path); err != nil && !errors.Is(err, errEmpty) {
				return nil, err
			}
		}
		return pools(ctx, path, migrate)
	})
}

// OpenExisting opens a store that is there and of this version, for commands beside the process that owns it: it makes no file,
// changes no table and no file's mode.
func OpenExisting(path string) (*Store, error) {
	return named(path, func(ctx context.Context, path string) (*sqlstore.Store, error) {
		version, err := inspect(ctx, path)
		if err != nil {
			return nil, err
		}
		return pools(ctx, path, func(_ context.Context, db *sql.DB) error { return sameVersion(db, version) })
	})
}

// named gives open an absolute path and bounds its time; errors begin with the path as it was given.
func named(path string, open func(ctx context.Context, path string) (*sqlstore.Store, error)) (*Store, error) {
	ctx, done := context.WithTimeout(context.Background(), openTimeout)
	defer done()
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := open(ctx, absolute)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Store{s}, nil
}

// pools connects to a file that is known to be a store, or empty. The tables are as they should be once ready returns nil.
func pools(ctx context.Context, path string, ready func(context.Context, *sql.DB) error) (*sqlstore.Store, error) {
	write, err := connect(path, 1, "&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if err := ready(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := connect(path, readers, "&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return sqlstore.New(ctx, write, read, sqlstore.Options{View: sql.TxOptions{ReadOnly: true}})
}

// create makes the file, if there is none, before SQLite does, so that nobody else can ever read it; the files beside it take its
// mode over. A file that is there keeps the mode that somebody gave it.
func create(path string) (made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// connect makes a pool. A commit waits for the disk. The log is cut after one big transaction, or it would keep that size for ever;
// it is folded into the database every 16 MiB, and 16 MiB of pages are cached, because ids are random and touch pages everywhere.
func connect(path string, connections int, more string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, "_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"+
		"&_pragma=synchronous(full)&_pragma=journal_size_limit(67108864)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16384)"+more))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// dsn names a file as SQLite wants it, whatever characters its path has.
func dsn(path, query string) string {
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query}
	return name.String()
}

// migrate brings the tables up to date, and refuses those of a newer klaxon.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
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

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files)
}

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
