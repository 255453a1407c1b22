package sqlstore

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func (t *tx) Incident(id string) (in incidents.Incident, err error) {
	var body string
	ok, err := t.row(getIncident, []any{id}, &body)
	switch {
	case err != nil:
		return in, err
	case !ok:
		return in, fmt.Errorf("incident %s: %w", id, incidents.ErrNotFound)
	}
	return in, decode(body, &in)
}

func (t *tx) Incidents(f incidents.Filter) ([]incidents.Incident, error) {
	q := query{text: "SELECT body FROM incidents"}
	if f.IDPrefix != "" {
		q.and("id >= ", f.IDPrefix)
		q.and("id < ", f.IDPrefix+"g") // behind all that begin so, for ids are hexadecimal
	}
	if f.Open {
		q.and("is_open = ", 1)
	}
	if len(f.States) > 0 {
		q.in("state", f.States)
	}
	if f.Tenant != "" {
		q.and("tenant = ", text(f.Tenant))
	}
	if f.MinSeverity > 0 {
		q.and("severity >= ", int(f.MinSeverity))
	}
	if !f.OpenedSince.IsZero() {
		q.and("opened_at >= ", millis(f.OpenedSince))
	}
	q.end("opened_at DESC, id", f.Limit)
	return list[incidents.Incident](t, q)
}

func (t *tx) Entries(incident string, limit int) ([]incidents.Entry, error) {
	q := query{text: "SELECT body FROM entries"}
	q.and("incident_id = ", incident)
	q.end("seq DESC", limit)
	entries, err := list[incidents.Entry](t, q)
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	return entries, err
}

func (t *tx) Alerts(f incidents.AlertFilter) ([]alert.Alert, error) {
	q := query{text: "SELECT alerts.body FROM alerts"}
	if f.Incident != "" {
		q.text += " JOIN incident_alerts ON incident_alerts.alert_id = alerts.id"
		q.and("incident_alerts.incident_id = ", f.Incident)
	}
	if f.ID != "" {
		q.and("alerts.id = ", f.ID)
	}
	if f.Tenant != "" {
		q.and("tenant = ", text(f.Tenant))
	}
	if f.Rule != "" {
		q.and("rule = ", text(f.Rule))
	}
	if f.Mode != "" {
		q.and("mode = ", text(string(f.Mode)))
	}
	if f.After != "" {
		q.and("alerts.id > ", f.After)
	}
	q.end("alerts.id", f.Limit)
	return list[alert.Alert](t, q)
}

const columns = `SELECT outbox.seq, id, outbox.destination, type, tenant, outbox.subject, COALESCE(threads.ref, ''), revision, severity, time, body, state,
	created_at, attempts, next_at, cause, outbox.ref, done_at FROM outbox
	LEFT JOIN threads ON threads.destination = outbox.destination AND threads.subject = outbox.subject`

func (t *tx) Messages(f incidents.MessageFilter) ([]incidents.Message, error) {
	q := query{text: columns}
	if f.Seq != 0 {
		q.and("seq = ", f.Seq)
	}
	if f.Destination != "" {
		q.and("outbox.destination = ", f.Destination)
	}
	if f.State != "" {
		q.and("state = ", f.State)
	}
	if f.Subject != "" {
		q.and("outbox.subject = ", f.Subject)
	}
	if f.After != 0 {
		q.and("seq > ", f.After)
	}
	q.end("seq", f.Limit)
	return t.messages(q.text, q.args)
}

func (t *tx) Due(destination string, now time.Time, limit int) ([]incidents.Message, error) {
	return t.messages(columns+` WHERE outbox.destination = $1 AND state = 'waiting' AND next_at <= $2 AND NOT EXISTS (SELECT 1 FROM outbox earlier
		WHERE earlier.destination = outbox.destination AND earlier.subject = outbox.subject AND earlier.state = 'waiting'
		AND earlier.seq < outbox.seq AND earlier.next_at > $2) ORDER BY seq LIMIT $3`, []any{destination, millis(now), incidents.Rows(limit)})
}

func (t *tx) messages(query string, args []any) (out []incidents.Message, err error) {
	err = t.rows(query, args, func(scan func(...any) error) error {
		var m incidents.Message
		var body string
		var severity int
		var at, created, next, done int64
		err := scan(&m.Seq, &m.ID, &m.Destination, &m.Type, &m.Tenant, &m.Subject, &m.Thread, &m.Revision, &severity, &at, &body, &m.State,
			&created, &m.Attempts, &next, &m.Cause, &m.Ref, &done)
		m.Severity, m.Time, m.Created, m.Next, m.Done = alert.Severity(severity), instant(at), instant(created), instant(next), instant(done)
		if body != "" {
			m.Body = json.RawMessage(body)
		}
		out = append(out, m)
		return err
	})
	return out, err
}

func (t *tx) Tally() (n incidents.Tally, err error) {
	n.Open = map[alert.Severity]int64{}
	err = t.rows(`SELECT severity, COUNT(*) FROM incidents WHERE is_open = 1 GROUP BY severity`, nil, func(scan func(...any) error) error {
		var severity int
		var count int64
		err := scan(&severity, &count)
		n.Open[alert.Severity(severity)] = count
		return err
	})
	if err != nil {
		return n, err
	}
	// One query a state, for each has an index of its own; most rows are of messages that were sent.
	err = t.rows(`SELECT destination, SUM(waiting), SUM(parked), MAX(oldest) FROM (
		SELECT destination, COUNT(*) AS waiting, 0 AS parked, MIN(created_at) AS oldest FROM outbox WHERE state = 'waiting' GROUP BY destination
		UNION ALL SELECT destination, 0, COUNT(*), 0 FROM outbox WHERE state = 'parked' GROUP BY destination) AS counted
		GROUP BY destination ORDER BY destination`, nil, func(scan func(...any) error) error {
		var b incidents.Backlog
		var oldest int64
		err := scan(&b.Destination, &b.Waiting, &b.Parked, &oldest)
		b.Oldest = instant(oldest)
		n.Outbox = append(n.Outbox, b)
		return err
	})
	return n, err
}

func (t *tx) Checkpoint(shard int32, before int64) (at int64, state []byte, err error) {
	ok, err := t.row(`SELECT at, memory FROM checkpoints WHERE shard = $1 AND at < $2 AND topic_id = (SELECT topic_id FROM shards WHERE shard = $1)
		ORDER BY at DESC LIMIT 1`, []any{shard, before}, &at, &state)
	if err != nil || !ok {
		return -1, nil, err
	}
	return at, state, nil
}

func (t *tx) Lease(name string) (l incidents.Lease, err error) {
	_, err = t.row(`SELECT owner, turn FROM leases WHERE name = $1`, []any{name}, &l.Owner, &l.Turn)
	return l, err
}

// query is a statement under construction.
type query struct {
	text string
	args []any
}

// and adds a condition that ends in the value.
func (q *query) and(condition string, value any) {
	word := " AND "
	if len(q.args) == 0 {
		word = " WHERE "
	}
	q.args = append(q.args, value)
	q.text += word + condition + "$" + strconv.Itoa(len(q.args))
}

func (q *query) in(column string, states []incidents.State) {
	word := " AND "
	if len(q.args) == 0 {
		word = " WHERE "
	}
	marks := make([]string, len(states))
	for i, s := range states {
		q.args = append(q.args, string(s))
		marks[i] = "$" + strconv.Itoa(len(q.args))
	}
	q.text += word + column + " IN (" + strings.Join(marks, ", ") + ")"
}

func (q *query) end(order string, limit int) {
	q.args = append(q.args, incidents.Rows(limit))
	q.text += " ORDER BY " + order + " LIMIT $" + strconv.Itoa(len(q.args))
}

// list reads rows that are one JSON document each.
func list[T any](t *tx, q query) (out []T, err error) {
	err = t.rows(q.text, q.args, func(scan func(...any) error) error {
		var body string
		if err := scan(&body); err != nil {
			return err
		}
		var one T
		out = append(out, one)
		return decode(body, &out[len(out)-1])
	})
	return out, err
}

func decode(body string, to any) error {
	if err := json.Unmarshal([]byte(body), to); err != nil {
		return fmt.Errorf("a document of the store cannot be decoded: %w", err)
	}
	return nil
}
