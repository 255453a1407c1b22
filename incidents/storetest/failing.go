package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// ErrInjected is the error of a failing store.
var ErrInjected = errors.New("injected failure")

// failing is a store whose transactions fail at one of their calls.
type failing struct {
	incidents.Store
	at     int // the call that fails, from 1
	failed bool
}

func (s *failing) Update(ctx context.Context, do func(incidents.Tx) error) error {
	s.failed = false
	return s.Store.Update(ctx, func(tx incidents.Tx) error { return do(&failingTx{Tx: tx, store: s}) })
}

// failingTx does what the call asks for, and says that it failed: the worst that can happen between two calls.
type failingTx struct {
	incidents.Tx
	store *failing
	calls int
}

func (t *failingTx) fail(err error) error {
	t.calls++
	if t.calls == t.store.at {
		t.store.failed = true
		return errors.Join(err, ErrInjected)
	}
	return err
}

func (t *failingTx) Fence(w incidents.ShardWrite, now time.Time) error {
	return t.fail(t.Tx.Fence(w, now))
}

func (t *failingTx) LockKey(keyID string) (incidents.KeyState, error) {
	k, err := t.Tx.LockKey(keyID)
	return k, t.fail(err)
}

func (t *failingTx) PutKey(keyID string, k incidents.KeyState) error {
	return t.fail(t.Tx.PutKey(keyID, k))
}

func (t *failingTx) Known(alertID string) (incidents.Known, error) {
	k, err := t.Tx.Known(alertID)
	return k, t.fail(err)
}

func (t *failingTx) PutAlert(a *alert.Alert, body json.RawMessage, incident string, now time.Time) error {
	return t.fail(t.Tx.PutAlert(a, body, incident, now))
}

func (t *failingTx) Link(incident, alertID string) error { return t.fail(t.Tx.Link(incident, alertID)) }

func (t *failingTx) PutIncident(in *incidents.Incident) error { return t.fail(t.Tx.PutIncident(in)) }

func (t *failingTx) AddEntry(e *incidents.Entry) error { return t.fail(t.Tx.AddEntry(e)) }

func (t *failingTx) AddMessage(m *incidents.Message) error { return t.fail(t.Tx.AddMessage(m)) }

func (t *failingTx) PutMessage(m *incidents.Message) (bool, error) {
	ok, err := t.Tx.PutMessage(m)
	return ok, t.fail(err)
}

func (t *failingTx) PutThread(destination, subject, ref string, now time.Time) error {
	return t.fail(t.Tx.PutThread(destination, subject, ref, now))
}
