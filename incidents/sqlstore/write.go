package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// What every transaction of the detect loop runs.
const (
	fence   = `UPDATE shards SET next = $1, topic_id = $2, updated_at = $3 WHERE shard = $4 AND epoch = $5`
	lockKey = `INSERT INTO incident_keys (key_id, episode, open_incident) VALUES ($1, 0, '')
		ON CONFLICT (key_id) DO UPDATE SET episode = incident_keys.episode RETURNING episode, open_incident`
	putKey = `UPDATE incident_keys SET episode = $1, open_incident = $2 WHERE key_id = $3`
	known  = `SELECT alerts.revision, alerts.incident_id, COALESCE(incidents.key_id, '') FROM alerts
		LEFT JOIN incidents ON incidents.id = alerts.incident_id WHERE alerts.id = $1`
	putAlert = `INSERT INTO alerts (id, revision, tenant, rule, mode, incident_id, updated_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, tenant = excluded.tenant, rule = excluded.rule, mode = excluded.mode,
		incident_id = excluded.incident_id, updated_at = excluded.updated_at, body = excluded.body`
	link        = `INSERT INTO incident_alerts (incident_id, alert_id) VALUES ($1, $2) ON CONFLICT (incident_id, alert_id) DO NOTHING`
	getIncident = `SELECT body FROM incidents WHERE id = $1`
	putIncident = `INSERT INTO incidents (id, key_id, tenant, is_open, state, severity, opened_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, state = excluded.state, severity = excluded.severity, body = excluded.body`
	addEntry   = `INSERT INTO entries (incident_id, seq, body) VALUES ($1, $2, $3)`
	addMessage = `INSERT INTO outbox (id, destination, type, tenant, subject, revision, severity, time, body, state, created_at, attempts, next_at, cause, ref, done_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (destination, id) DO NOTHING`
	putMessage = `UPDATE outbox SET state = $1, created_at = $2, attempts = $3, next_at = $4, cause = $5, ref = $6, done_at = $7,
		body = CASE WHEN $9 = 1 THEN '' ELSE body END WHERE seq = $8 AND state <> 'sent'`
	putThread = `INSERT INTO threads (destination, subject, ref, updated_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (destination, subject) DO UPDATE SET updated_at = excluded.updated_at`
)

// hot returns the statements that are worth preparing.
func hot() []string {
	return []string{fence, lockKey, putKey, known, putAlert, link, getIncident, putIncident, addEntry, addMessage, putMessage, putThread}
}

// Fence is the row lock that a transaction begins with.
func (t *tx) Fence(w incidents.ShardWrite, now time.Time) error {
	n, err := t.exec(fence, w.Next, w.TopicID, millis(now), w.Shard, w.Epoch)
	if err != nil {
		return err
	}
	if n != 1 {
		return incidents.ErrFenced
	}
	if w.Checkpoint == nil {
		return nil
	}
	// What another incarnation of the topic left, or a future that was lost with the end of the log, is no state of this shard.
	if _, err := t.exec(`DELETE FROM checkpoints WHERE shard = $1 AND (topic_id <> $2 OR at >= $3)`, w.Shard, w.TopicID, w.Next); err != nil {
		return err
	}
	if _, err := t.exec(`INSERT INTO checkpoints (shard, at, topic_id, memory) VALUES ($1, $2, $3, $4)`, w.Shard, w.Next, w.TopicID, w.Checkpoint); err != nil {
		return err
	}
	_, err = t.exec(`DELETE FROM checkpoints WHERE shard = $1 AND at NOT IN (SELECT at FROM checkpoints WHERE shard = $1 ORDER BY at DESC LIMIT 2)`, w.Shard)
	return err
}

// LockKey is a write, so that others wait.
func (t *tx) LockKey(keyID string) (k incidents.KeyState, err error) {
	_, err = t.row(lockKey, []any{keyID}, &k.Episode, &k.Open)
	return k, err
}

func (t *tx) PutKey(keyID string, k incidents.KeyState) error {
	_, err := t.exec(putKey, k.Episode, k.Open, keyID)
	return err
}

func (t *tx) Known(alertID string) (k incidents.Known, err error) {
	_, err = t.row(known, []any{alertID}, &k.Revision, &k.Incident, &k.KeyID)
	return k, err
}

func (t *tx) PutAlert(a *alert.Alert, body json.RawMessage, incident string, now time.Time) error {
	_, err := t.exec(putAlert, a.ID, a.Revision, text(a.Tenant), text(a.Rule.ID), text(string(a.Rule.Mode)), incident, millis(now), string(body))
	return err
}

func (t *tx) Link(incident, alertID string) error {
	_, err := t.exec(link, incident, alertID)
	return err
}

func (t *tx) PutIncident(in *incidents.Incident) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("cannot encode incident %s: %w", in.ID, err)
	}
	_, err = t.exec(putIncident, in.ID, in.KeyID, in.Tenant, number(in.State.Open()), string(in.State), int(in.Severity), millis(in.OpenedAt), string(body))
	return err
}

func (t *tx) AddEntry(e *incidents.Entry) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cannot encode an entry of incident %s: %w", e.Incident, err)
	}
	_, err = t.exec(addEntry, e.Incident, e.Seq, string(body))
	return err
}

func (t *tx) AddMessage(m *incidents.Message) error {
	_, err := t.exec(addMessage, m.ID, m.Destination, m.Type, m.Tenant, m.Subject, m.Revision, int(m.Severity), millis(m.Time), string(m.Body), m.State,
		millis(m.Created), m.Attempts, millis(m.Next), m.Cause, m.Ref, millis(m.Done))
	return err
}

func (t *tx) PutMessage(m *incidents.Message) (bool, error) {
	n, err := t.exec(putMessage, m.State, millis(m.Created), m.Attempts, millis(m.Next), m.Cause, m.Ref, millis(m.Done), m.Seq, number(m.State == incidents.Sent))
	return n == 1, err
}

func (t *tx) PutThread(destination, subject, ref string, now time.Time) error {
	_, err := t.exec(putThread, destination, subject, ref, millis(now))
	return err
}

func (t *tx) PutLease(name string, l incidents.Lease, seen int64) (bool, error) {
	n, err := t.exec(`INSERT INTO leases (name, owner, turn) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, turn = excluded.turn WHERE leases.turn = $4`, name, l.Owner, l.Turn, seen)
	return n == 1, err
}

const (
	gaveUp   = "not delivered in time: given up"
	overflow = "too many messages wait for this destination: the oldest are given up"
)

// pruning is the row that a transaction that prunes locks, or two that touch the same rows in different orders would wait for each
// other for ever.
const pruning = `INSERT INTO leases (name, owner, turn) VALUES ('prune', '', 1) ON CONFLICT (name) DO UPDATE SET turn = leases.turn + 1`

// Prune touches at most p.Limit rows of a kind, oldest first.
func (t *tx) Prune(p incidents.Pruning) (done incidents.Pruned, err error) {
	if _, err := t.exec(pruning); err != nil {
		return done, err
	}
	park := `UPDATE outbox SET state = 'parked', cause = $1, done_at = $2 WHERE seq IN (SELECT seq FROM outbox WHERE `
	if done.GivenUp, err = t.exec(park+`state = 'waiting' AND created_at < $3 ORDER BY seq LIMIT $4)`, gaveUp, millis(p.Now), millis(p.Waiting), p.Limit); err != nil {
		return done, err
	}
	if done.Overflowed, err = t.parkOverflow(park, p); err != nil {
		return done, err
	}
	for _, one := range []struct {
		rows   *int64
		query  string
		before time.Time
	}{
		{&done.Sent, `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE state = 'sent' AND done_at < $1 LIMIT $2)`, p.Sent},
		{&done.Parked, `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE state = 'parked' AND done_at < $1 LIMIT $2)`, p.Parked},
		{&done.Alerts, `DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE incident_id = '' AND updated_at < $1 LIMIT $2)`, p.Alerts},
		{&done.Threads, `DELETE FROM threads WHERE (destination, subject) IN (SELECT destination, subject FROM threads WHERE updated_at < $1
			AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = threads.subject AND is_open = 1) LIMIT $2)`, p.Threads},
	} {
		if *one.rows, err = t.exec(one.query, millis(one.before), p.Limit); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (t *tx) parkOverflow(park string, p incidents.Pruning) (parked int64, err error) {
	over := map[string]int64{}
	err = t.rows(`SELECT destination, COUNT(*) FROM outbox WHERE state = 'waiting' GROUP BY destination HAVING COUNT(*) > $1`, []any{p.MaxWaiting},
		func(scan func(...any) error) error {
			var name string
			var n int64
			err := scan(&name, &n)
			over[name] = n - p.MaxWaiting
			return err
		})
	if err != nil {
		return 0, err
	}
	for name, n := range over {
		rows, err := t.exec(park+`state = 'waiting' AND destination = $3 ORDER BY seq LIMIT $4)`, overflow, millis(p.Now), name, min(n, int64(p.Limit)))
		if err != nil {
			return 0, err
		}
		parked += rows
	}
	return parked, nil
}

// millis is a time as it is stored; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// number is a truth value as it is stored.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// text is what every database takes as text.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
