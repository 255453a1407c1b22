package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Why a file is not taken for a store.
var (
	errEmpty   = errors.New("it is empty: 'klaxon run' makes a store of it")
	errForeign = errors.New("it is not a database of klaxon, and is left as it is: name the file that store.path in the configuration names")
)

// header is what every SQLite database begins with.
const header = "SQLite format 3\x00"

// inspect says of which version the store in a file is, and refuses what is no store, without changing a byte. 0 is a database
// without tables. The error is errEmpty for a file of no bytes: a process that was killed while it made its store leaves one.
func inspect(ctx context.Context, path string) (version int64, err error) {
	if err := checkHeader(path); err != nil {
		return 0, err
	}
	db, err := sql.Open("sqlite", dsn(path, "mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	tables, err := tablesOf(ctx, db)
	if err != nil || len(tables) == 0 {
		return 0, err
	}
	// The table of versions comes first, the others in one transaction behind it.
	if !slices.Contains(tables, "goose_db_version") || len(tables) > 1 && !slices.Contains(tables, "incident_keys") {
		return 0, errForeign
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	return version, err
}

func checkHeader(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return errForeign
	case info.Size() == 0:
		return errEmpty
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	begins, err := io.ReadAll(io.LimitReader(f, int64(len(header))))
	if err == nil && !bytes.Equal(begins, []byte(header)) {
		return errForeign
	}
	return err
}

func tablesOf(ctx context.Context, db *sql.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// sameVersion refuses tables that are older or newer than those of this program.
func sameVersion(db *sql.DB, found int64) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	known := sources[len(sources)-1].Version
	switch {
	case found > known:
		return &newerError{found, known}
	case found < known:
		return fmt.Errorf("it was written by an older klaxon (its tables are of version %d, this one needs %d): start 'klaxon run' of this version first, which brings them up to date", found, known)
	}
	return nil
}
