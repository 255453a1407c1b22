package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// versions is the table that says how far the tables are; its name keeps it apart from that of another program that uses goose.
	versions = "klaxon_schema_version"
	// migrating is the advisory lock of who changes tables: "klaxon" in ASCII.
	migrating = 0x6b6c61786f6e
	// unlockTimeout bounds letting go of it; the end of the session does so too.
	unlockTimeout = 5 * time.Second
)

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(versions))
}

// known is the version of the tables that this program uses.
func known(p *goose.Provider) int64 {
	sources := p.ListSources()
	return sources[len(sources)-1].Version
}

// found is the version of the tables that are there; 0: none are.
func found(ctx context.Context, db *sql.DB) (version int64, err error) {
	there := false
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, versions).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versions).Scan(&version)
	return version, err
}

// migrate brings the tables up to date, and refuses those of a newer klaxon. Of several processes one does it, and the others wait.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	done, err := upToDate(ctx, db, p)
	if err != nil || done {
		return err
	}
	db.SetMaxOpenConns(2) // one holds the lock
	defer db.SetMaxOpenConns(1)
	unlock, err := lock(ctx, db)
	if err != nil {
		return err
	}
	defer unlock()
	if done, err = upToDate(ctx, db, p); err != nil || done {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("cannot bring its tables up to date: %w", err)
	}
	return nil
}

func upToDate(ctx context.Context, db *sql.DB, p *goose.Provider) (bool, error) {
	is, err := found(ctx, db)
	if err == nil && is > known(p) {
		err = newer(is, known(p))
	}
	return is == known(p), err
}

// lock keeps others from changing tables. The session that holds it may stand idle, but in no transaction.
func lock(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrating); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock its tables: %w", err), conn.Close())
	}
	return func() {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer done()
		_, _ = conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, migrating) // the pool is closed soon, which unlocks too
		_ = conn.Close()
	}, nil
}

// sameVersion refuses tables that are older or newer than those of this program.
func sameVersion(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	is, err := found(ctx, db)
	switch need := known(p); {
	case err != nil:
		return err
	case is == 0:
		return errors.New("there is no store in it: 'klaxon run' makes one")
	case is > need:
		return newer(is, need)
	case is < need:
		return fmt.Errorf("it was written by an older klaxon (its tables are of version %d, this one needs %d): start 'klaxon run' of this version first, which brings them up to date", is, need)
	}
	return nil
}

func newer(is, known int64) error {
	return fmt.Errorf("it was written by a newer klaxon (its tables are of version %d, this one knows %d): use that one, or another database", is, known)
}
