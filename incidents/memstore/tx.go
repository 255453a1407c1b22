package memstore

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// tx writes at once, and keeps how to take everything back.
type tx struct {
	view
	undo []func()
}

func (t *tx) rollback() {
	for _, undo := range slices.Backward(t.undo) {
		undo()
	}
}

// put sets a value of a map.
func put[K comparable, V any](t *tx, m map[K]V, key K, value V) {
	was, ok := m[key]
	t.undo = append(t.undo, func() {
		if ok {
			m[key] = was
		} else {
			delete(m, key)
		}
	})
	m[key] = value
}

// remove takes a key out of a map.
func remove[K comparable, V any](t *tx, m map[K]V, key K) {
	was := m[key]
	t.undo = append(t.undo, func() { m[key] = was })
	delete(m, key)
}

// keepOutbox lets the outbox be taken back as it is, as far as messages stay what they are.
func (t *tx) keepOutbox() {
	was, seq := t.s.outbox, t.s.seq
	t.undo = append(t.undo, func() { t.s.outbox, t.s.seq = was, seq })
}

func (t *tx) Fence(w incidents.ShardWrite, _ time.Time) error {
	one, ok := t.s.shards[w.Shard]
	if !ok || one.epoch != w.Epoch {
		return incidents.ErrFenced
	}
	one.next, one.topicID = w.Next, w.TopicID
	put(t, t.s.shards, w.Shard, one)
	if w.Checkpoint == nil {
		return nil
	}
	// What another incarnation of the topic left, or a future that was lost with the end of the log, is no state of this shard.
	list := slices.Clone(t.s.checkpoints[w.Shard])
	list = slices.DeleteFunc(list, func(c checkpoint) bool { return c.topicID != w.TopicID || c.at >= w.Next })
	list = append(list, checkpoint{w.Next, w.TopicID, slices.Clone(w.Checkpoint)})
	put(t, t.s.checkpoints, w.Shard, list[max(0, len(list)-2):])
	return nil
}

func (t *tx) LockKey(keyID string) (incidents.KeyState, error) { return t.s.keys[keyID], nil }

func (t *tx) PutKey(keyID string, k incidents.KeyState) error {
	put(t, t.s.keys, keyID, k)
	return nil
}

func (t *tx) Known(alertID string) (incidents.Known, error) {
	k := t.s.alerts[alertID].Known
	k.KeyID = t.s.incidents[k.Incident].KeyID
	return k, nil
}

func (t *tx) PutAlert(a *alert.Alert, body json.RawMessage, incident string, now time.Time) error {
	put(t, t.s.alerts, a.ID, storedAlert{Known: incidents.Known{Revision: a.Revision, Incident: incident}, tenant: text(a.Tenant), rule: text(a.Rule.ID),
		mode: text(string(a.Rule.Mode)), updated: now, body: slices.Clone(body)})
	return nil
}

func (t *tx) Link(incident, alertID string) error {
	put(t, t.s.links, [2]string{incident, alertID}, true)
	return nil
}

func (t *tx) PutIncident(in *incidents.Incident) error {
	put(t, t.s.incidents, in.ID, own(*in))
	return nil
}

func (t *tx) AddEntry(e *incidents.Entry) error {
	list := t.s.entries[e.Incident]
	put(t, t.s.entries, e.Incident, append(list[:len(list):len(list)], *e))
	return nil
}

func (t *tx) AddMessage(m *incidents.Message) error {
	key := [2]string{m.Destination, m.ID}
	if t.s.known[key] {
		return nil
	}
	t.keepOutbox()
	put(t, t.s.known, key, true)
	one := *m
	t.s.seq++
	one.Seq, one.Body = t.s.seq, slices.Clone(m.Body)
	t.s.outbox = append(t.s.outbox, one)
	return nil
}

func (t *tx) PutMessage(m *incidents.Message) (bool, error) {
	i := slices.IndexFunc(t.s.outbox, func(o incidents.Message) bool { return o.Seq == m.Seq })
	if i < 0 || t.s.outbox[i].State == incidents.Sent {
		return false, nil
	}
	o := &t.s.outbox[i]
	was := *o
	t.undo = append(t.undo, func() { *o = was })
	o.State, o.Created, o.Attempts, o.Next, o.Cause, o.Ref, o.Done = m.State, m.Created, m.Attempts, m.Next, m.Cause, m.Ref, m.Done
	if m.State == incidents.Sent {
		o.Body = nil
	}
	return true, nil
}

func (t *tx) PutThread(destination, subject, ref string, now time.Time) error {
	key := [2]string{destination, subject}
	if before, ok := t.s.threads[key]; ok {
		ref = before.ref
	}
	put(t, t.s.threads, key, thread{ref, now})
	return nil
}

func (t *tx) PutLease(name string, l incidents.Lease, seen int64) (bool, error) {
	if before, ok := t.s.leases[name]; ok && before.Turn != seen {
		return false, nil
	}
	put(t, t.s.leases, name, l)
	return true, nil
}

const (
	gaveUp   = "not delivered in time: given up"
	overflow = "too many messages wait for this destination: the oldest are given up"
)

func (t *tx) Prune(p incidents.Pruning) (done incidents.Pruned, err error) {
	t.keepOutbox()
	t.s.outbox = slices.Clone(t.s.outbox)
	waiting := map[string]int64{}
	for i := range t.s.outbox {
		m := &t.s.outbox[i]
		if m.State != incidents.Waiting {
			continue
		}
		if m.Created.Before(p.Waiting) && done.GivenUp < int64(p.Limit) {
			park(m, gaveUp, p.Now)
			done.GivenUp++
			continue
		}
		waiting[m.Destination]++
	}
	over := map[string]int64{}
	for i := range t.s.outbox {
		m := &t.s.outbox[i]
		if m.State == incidents.Waiting && over[m.Destination] < min(waiting[m.Destination]-p.MaxWaiting, int64(p.Limit)) {
			park(m, overflow, p.Now)
			over[m.Destination]++
			done.Overflowed++
		}
	}
	done.Sent = t.forget(incidents.Sent, p.Sent, p.Limit)
	done.Parked = t.forget(incidents.Parked, p.Parked, p.Limit)
	for id, a := range t.s.alerts {
		if a.Incident == "" && a.updated.Before(p.Alerts) && done.Alerts < int64(p.Limit) {
			remove(t, t.s.alerts, id)
			done.Alerts++
		}
	}
	for key, one := range t.s.threads {
		in, ok := t.s.incidents[key[1]]
		if open := ok && in.State.Open(); !open && one.updated.Before(p.Threads) && done.Threads < int64(p.Limit) {
			remove(t, t.s.threads, key)
			done.Threads++
		}
	}
	return done, nil
}

func park(m *incidents.Message, cause string, now time.Time) {
	m.State, m.Cause, m.Done = incidents.Parked, cause, now
}

// forget removes messages of a state that were done with before a time.
func (t *tx) forget(state string, before time.Time, limit int) (n int64) {
	t.s.outbox = slices.DeleteFunc(t.s.outbox, func(m incidents.Message) bool {
		if m.State != state || !m.Done.Before(before) || n == int64(limit) {
			return false
		}
		n++
		remove(t, t.s.known, [2]string{m.Destination, m.ID})
		return true
	})
	return n
}
