// Package sqlstore is the store of incidents in SQL that SQLite and PostgreSQL both understand. What differs between them, which is
// how a database is opened and how its tables are made, is in incidents/sqlite and incidents/postgres.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
)

// Options says how a database differs from the other one.
type Options struct {
	Update, View sql.TxOptions
	// Timeout bounds every transaction, with its repetitions: a database that answers nothing must not hold its callers for ever.
	// 0: only the caller's context does.
	Timeout time.Duration
	// Again says whether a transaction that failed so left nothing behind and may be tried again; one that could not begin may, for the
	// pool may hold connections that are no more. nil: none is.
	Again func(error) bool
}

// Store is an incidents.Store upon a database.
type Store struct {
	write, read *sql.DB
	options     Options
	hot         map[string]*sql.Stmt // of write
}

// New makes a store upon two pools of connections, which may be the same, and which it closes. Writing transactions exclude each
// other by row locks, or because there is one connection.
func New(ctx context.Context, write, read *sql.DB, o Options) (*Store, error) {
	s := &Store{write: write, read: read, options: o, hot: map[string]*sql.Stmt{}}
	for _, query := range hot() {
		prepared, err := write.PrepareContext(ctx, query)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the store's tables are not as they should be: %w", err), s.Close())
		}
		s.hot[query] = prepared
	}
	return s, nil
}

// Close closes both pools when the transactions under way have ended.
func (s *Store) Close() error {
	var err error
	for _, prepared := range s.hot {
		err = errors.Join(err, prepared.Close())
	}
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return errors.Join(err, s.write.Close())
}

// Claim is one statement in a transaction of its own: it waits for a transaction that holds the shard, and every later one with the
// old epoch finds no row.
func (s *Store) Claim(ctx context.Context, shard int32, topicID string) (incidents.ShardState, error) {
	ctx, done := s.bounded(ctx)
	defer done()
	var st incidents.ShardState
	err := s.again(ctx, func() error {
		return s.in(ctx, s.write, &s.options.Update, nil, func(t *tx) error {
			_, err := t.row(`INSERT INTO shards (shard, epoch, next, topic_id, updated_at) VALUES ($1, 1, -1, $2, 0)
				ON CONFLICT (shard) DO UPDATE SET epoch = shards.epoch + 1 RETURNING epoch, next, topic_id`, []any{shard, topicID}, &st.Epoch, &st.Next, &st.TopicID)
			return err
		})
	})
	if err != nil {
		return st, err
	}
	err = s.write.QueryRowContext(ctx, `SELECT at, memory FROM checkpoints WHERE shard = $1 AND topic_id = $2 ORDER BY at DESC LIMIT 1`, shard, st.TopicID).
		Scan(&st.CheckpointAt, &st.Checkpoint)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return st, fmt.Errorf("cannot read a checkpoint: %w", err)
	}
	return st, nil
}

// Update calls f in a transaction that may write.
func (s *Store) Update(ctx context.Context, f func(incidents.Tx) error) error {
	ctx, done := s.bounded(ctx)
	defer done()
	return s.again(ctx, func() error {
		return s.in(ctx, s.write, &s.options.Update, s.hot, func(t *tx) error { return f(t) })
	})
}

// View calls f in a transaction that may not.
func (s *Store) View(ctx context.Context, f func(incidents.View) error) error {
	ctx, done := s.bounded(ctx)
	defer done()
	return s.again(ctx, func() error {
		return s.in(ctx, s.read, &s.options.View, nil, func(t *tx) error { return f(t) })
	})
}

func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.options.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.options.Timeout)
}

// Bounds of trying a transaction again.
const (
	tries      = 8
	firstPause = 2 * time.Millisecond
)

var errNotBegun = errors.New("cannot begin a transaction of the store")

// again repeats what may be repeated, after pauses that differ: two that were in each other's way must not meet again at once.
func (s *Store) again(ctx context.Context, act func() error) error {
	for try := 1; ; try++ {
		err := act()
		if err == nil || try == tries || ctx.Err() != nil || s.options.Again == nil || !errors.Is(err, errNotBegun) && !s.options.Again(err) {
			return err
		}
		t := time.NewTimer(firstPause<<try/2 + rand.N(firstPause<<try))
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

func (s *Store) in(ctx context.Context, db *sql.DB, o *sql.TxOptions, hot map[string]*sql.Stmt, f func(*tx) error) error {
	began, err := db.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	if err := f(&tx{ctx: ctx, tx: began, hot: hot}); err != nil {
		if undo := began.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
		return err
	}
	if err := began.Commit(); err != nil {
		return fmt.Errorf("cannot commit to the store: %w", err)
	}
	return nil
}

// tx is one transaction. It lives no longer than the call it was made for, and so may hold that call's context.
type tx struct {
	ctx context.Context
	tx  *sql.Tx
	hot map[string]*sql.Stmt
}

func (t *tx) exec(query string, args ...any) (rows int64, err error) {
	var r sql.Result
	if s := t.hot[query]; s != nil {
		r, err = t.tx.StmtContext(t.ctx, s).ExecContext(t.ctx, args...)
	} else {
		r, err = t.tx.ExecContext(t.ctx, query, args...)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot write to the store: %w", err)
	}
	return r.RowsAffected()
}

// row scans the one row of a query, and answers false where there is none.
func (t *tx) row(query string, args []any, to ...any) (bool, error) {
	var r *sql.Row
	if s := t.hot[query]; s != nil {
		r = t.tx.StmtContext(t.ctx, s).QueryRowContext(t.ctx, args...)
	} else {
		r = t.tx.QueryRowContext(t.ctx, query, args...)
	}
	switch err := r.Scan(to...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot read from the store: %w", err)
	}
	return true, nil
}

// rows calls scan for every row of a query.
func (t *tx) rows(query string, args []any, scan func(func(to ...any) error) error) error {
	rows, err := t.tx.QueryContext(t.ctx, query, args...)
	if err != nil {
		return fmt.Errorf("cannot read from the store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return fmt.Errorf("cannot read from the store: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read from the store: %w", err)
	}
	return nil
}
