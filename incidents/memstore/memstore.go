// Package memstore keeps the book in memory: for tests and simulations that make thousands of stores. What it holds is gone with it.
package memstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// Store is an incidents.Store. Transactions that write run one at a time.
type Store struct {
	mu          sync.RWMutex
	shards      map[int32]shard
	checkpoints map[int32][]checkpoint // ascending, at most two
	alerts      map[string]storedAlert
	keys        map[string]incidents.KeyState
	incidents   map[string]incidents.Incident
	links       map[[2]string]bool // incident, alert
	entries     map[string][]incidents.Entry
	outbox      []incidents.Message // by Seq
	known       map[[2]string]bool  // destination and id of what the outbox holds
	seq         int64
	threads     map[[2]string]thread // by destination and subject
	leases      map[string]incidents.Lease
}

// thread is what a destination called its first message about a subject, and when it was last told of it.
type thread struct {
	ref     string
	updated time.Time
}

type shard struct {
	epoch, next int64
	topicID     string
}

type checkpoint struct {
	at      int64
	topicID string
	memory  []byte
}

type storedAlert struct {
	incidents.Known
	tenant, rule, mode string
	updated            time.Time
	body               json.RawMessage
}

// New makes an empty store.
func New() *Store {
	return &Store{shards: map[int32]shard{}, checkpoints: map[int32][]checkpoint{}, alerts: map[string]storedAlert{}, keys: map[string]incidents.KeyState{},
		incidents: map[string]incidents.Incident{}, links: map[[2]string]bool{}, entries: map[string][]incidents.Entry{}, known: map[[2]string]bool{},
		threads: map[[2]string]thread{}, leases: map[string]incidents.Lease{}}
}

// Close has nothing to close.
func (s *Store) Close() error { return nil }

// Claim implements incidents.Store.
func (s *Store) Claim(ctx context.Context, number int32, topicID string) (incidents.ShardState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return incidents.ShardState{}, err
	}
	one, ok := s.shards[number]
	if !ok {
		one = shard{next: -1, topicID: topicID}
	}
	one.epoch++
	s.shards[number] = one
	state := incidents.ShardState{Epoch: one.epoch, Next: one.next, TopicID: one.topicID}
	if c := s.newest(number, func(checkpoint) bool { return true }); c != nil {
		state.CheckpointAt, state.Checkpoint = c.at, slices.Clone(c.memory)
	}
	return state, nil
}

// newest is the newest checkpoint of a shard's present topic that is wanted, or nil.
func (s *Store) newest(number int32, wanted func(checkpoint) bool) *checkpoint {
	list := s.checkpoints[number]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].topicID == s.shards[number].topicID && wanted(list[i]) {
			return &list[i]
		}
	}
	return nil
}

// Update implements incidents.Store.
func (s *Store) Update(ctx context.Context, f func(incidents.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &tx{view: view{s}}
	err := f(t)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		t.rollback()
	}
	return err
}

// View implements incidents.Store.
func (s *Store) View(ctx context.Context, f func(incidents.View) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return f(view{s})
}

// view reads. The store is locked while there is one.
type view struct{ s *Store }

func (v view) Incident(id string) (incidents.Incident, error) {
	in, ok := v.s.incidents[id]
	if !ok {
		return in, fmt.Errorf("incident %s: %w", id, incidents.ErrNotFound)
	}
	return own(in), nil
}

// own is an incident that shares no memory with another.
func own(in incidents.Incident) incidents.Incident {
	in.Rules = slices.Clone(in.Rules)
	return in
}

func (v view) Incidents(f incidents.Filter) ([]incidents.Incident, error) {
	var out []incidents.Incident
	for _, in := range v.s.incidents {
		if strings.HasPrefix(in.ID, f.IDPrefix) && (!f.Open || in.State.Open()) && (len(f.States) == 0 || slices.Contains(f.States, in.State)) &&
			(f.Tenant == "" || in.Tenant == text(f.Tenant)) && in.Severity >= f.MinSeverity && !in.OpenedAt.Before(f.OpenedSince) {
			out = append(out, own(in))
		}
	}
	slices.SortFunc(out, func(a, b incidents.Incident) int {
		return cmp.Or(b.OpenedAt.Compare(a.OpenedAt), cmp.Compare(a.ID, b.ID))
	})
	return first(out, f.Limit), nil
}

func first[T any](list []T, limit int) []T { return list[:min(len(list), incidents.Rows(limit))] }

func (v view) Entries(incident string, limit int) ([]incidents.Entry, error) {
	list := v.s.entries[incident]
	return slices.Clone(list[max(0, len(list)-incidents.Rows(limit)):]), nil
}

func (v view) Alerts(f incidents.AlertFilter) ([]alert.Alert, error) {
	var out []alert.Alert
	for _, id := range slices.Sorted(maps.Keys(v.s.alerts)) {
		a := v.s.alerts[id]
		if f.ID != "" && id != f.ID || f.Incident != "" && !v.s.links[[2]string{f.Incident, id}] || f.Tenant != "" && a.tenant != text(f.Tenant) ||
			f.Rule != "" && a.rule != text(f.Rule) || f.Mode != "" && a.mode != string(f.Mode) || id <= f.After || len(out) == incidents.Rows(f.Limit) {
			continue
		}
		var one alert.Alert
		if err := json.Unmarshal(a.body, &one); err != nil {
			return nil, fmt.Errorf("a document of the store cannot be decoded: %w", err)
		}
		out = append(out, one)
	}
	return out, nil
}

func (v view) Messages(f incidents.MessageFilter) ([]incidents.Message, error) {
	return v.messages(f.Limit, func(m *incidents.Message) bool {
		return (f.Seq == 0 || m.Seq == f.Seq) && (f.Destination == "" || m.Destination == f.Destination) && (f.State == "" || m.State == f.State) &&
			(f.Subject == "" || m.Subject == f.Subject) && m.Seq > f.After
	}), nil
}

func (v view) Due(destination string, now time.Time, limit int) ([]incidents.Message, error) {
	held := map[string]bool{} // subjects of which an earlier message waits for its time
	return v.messages(limit, func(m *incidents.Message) bool {
		if m.Destination != destination || m.State != incidents.Waiting {
			return false
		}
		held[m.Subject] = held[m.Subject] || m.Next.After(now)
		return !held[m.Subject]
	}), nil
}

// messages is the messages that are wanted, by Seq.
func (v view) messages(limit int, wanted func(*incidents.Message) bool) []incidents.Message {
	var out []incidents.Message
	for i := range v.s.outbox {
		if m := &v.s.outbox[i]; wanted(m) && len(out) < incidents.Rows(limit) {
			one := *m
			one.Body, one.Thread = slices.Clone(m.Body), v.s.threads[[2]string{m.Destination, m.Subject}].ref
			out = append(out, one)
		}
	}
	return out
}

func (v view) Tally() (incidents.Tally, error) {
	t := incidents.Tally{Open: map[alert.Severity]int64{}}
	for _, in := range v.s.incidents {
		if in.State.Open() {
			t.Open[in.Severity]++
		}
	}
	backlogs := map[string]*incidents.Backlog{}
	for _, m := range v.s.outbox {
		if m.State == incidents.Sent {
			continue
		}
		b := backlogs[m.Destination]
		if b == nil {
			b = &incidents.Backlog{Destination: m.Destination}
			backlogs[m.Destination] = b
		}
		switch {
		case m.State == incidents.Parked:
			b.Parked++
		case b.Waiting == 0 || m.Created.Before(b.Oldest):
			b.Oldest = m.Created
			b.Waiting++
		default:
			b.Waiting++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(backlogs)) {
		t.Outbox = append(t.Outbox, *backlogs[name])
	}
	return t, nil
}

func (v view) Checkpoint(number int32, before int64) (int64, []byte, error) {
	c := v.s.newest(number, func(c checkpoint) bool { return c.at < before })
	if c == nil {
		return -1, nil, nil
	}
	return c.at, slices.Clone(c.memory), nil
}

func (v view) Lease(name string) (incidents.Lease, error) { return v.s.leases[name], nil }

// text is what every store takes as text.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
