// Package storetest is the contract of a store of incidents, as tests. Every store runs them; what the Book decides is tested here
// as well, for it means nothing without a store.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// Place makes room for one new, empty store, and returns what opens it: called again, as another process would. The suite closes what it
// opened.
type Place func(t *testing.T) (open func() incidents.Store)

// Suite runs the contract.
func Suite(t *testing.T, place Place) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"shards", shardTests()}, {"alerts", alertTests()}, {"folding", foldingTests()}, {"people", peopleTests()},
		{"outbox", outboxTests()}, {"filters", filterTests()}, {"concurrency", concurrencyTests()},
		{"threads", threadTests()}, {"leases", leaseTests()}, {"processes", processTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, one := range group.tests {
				t.Run(one.name, func(t *testing.T) {
					t.Parallel()
					one.run(newFixture(t, place))
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(*fixture)
}

// The destinations of the tests: soc is told of everything but shadows, pager of what is high, archive of every alert.
const (
	soc     = "soc"
	pager   = "pager"
	archive = "archive"
)

func destinations() []incidents.Destination {
	return []incidents.Destination{
		{Name: soc, Types: []string{incidents.TypeAlert, incidents.TypeIncident}},
		{Name: pager, Types: []string{incidents.TypeIncident}, MinSeverity: alert.High},
		{Name: archive, Types: []string{incidents.TypeAlert}, Shadow: true},
	}
}

// topicID is which incarnation of the hits topic the tests read, unless they say otherwise.
const topicID = "topic-1"

// fixture is a book upon a store of its own, and a clock that moves by hand.
type fixture struct {
	*testing.T
	place Place
	open  func() incidents.Store
	store incidents.Store
	book  *incidents.Book
	now   time.Time
	next  int64 // offset of shard 0
}

func newFixture(t *testing.T, place Place) *fixture {
	t.Helper()
	f := &fixture{T: t, place: place, open: place(t), now: start()}
	f.store, f.book = f.process()
	return f
}

// process opens the store as another process would.
func (f *fixture) process() (incidents.Store, *incidents.Book) {
	f.Helper()
	store := f.open()
	f.Cleanup(func() {
		if err := store.Close(); err != nil {
			f.Errorf("close: %v", err)
		}
	})
	return store, incidents.NewBook(store, incidents.Policy{Destinations: destinations()})
}

func start() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// another is a fixture with a store of its own, as empty as this one was.
func (f *fixture) another() *fixture { return newFixture(f.T, f.place) }

func (f *fixture) ctx() context.Context { return f.T.Context() }

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// refused checks that there is an error, and that it is the wanted one.
func (f *fixture) refused(err, want error) {
	f.Helper()
	if err == nil || want != nil && !errors.Is(err, want) {
		f.Fatalf("error %v, want %v", err, want)
	}
}

func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Fatalf("%s: wanted -, got +:\n%s", what, diff)
	}
}

func (f *fixture) claim(shard int32) incidents.ShardState {
	f.Helper()
	s, err := f.book.Claim(f.ctx(), shard, topicID)
	f.must(err)
	return s
}

// apply stores alerts, as the owner of shard 0.
func (f *fixture) apply(alerts ...alert.Alert) {
	f.Helper()
	f.next++
	f.must(f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Epoch: f.epoch(), Next: f.next, TopicID: topicID, Alerts: alerts}}))
}

// epoch is the epoch of shard 0, which is claimed once.
func (f *fixture) epoch() int64 {
	if f.next == 1 {
		f.claim(0)
	}
	return 1
}

func (f *fixture) wait(d time.Duration) { f.now = f.now.Add(d) }

// only returns the one incident that there is.
func (f *fixture) only() incidents.Incident {
	f.Helper()
	list := f.list(incidents.Filter{})
	if len(list) != 1 {
		f.Fatalf("%d incidents, want one: %+v", len(list), list)
	}
	return list[0]
}

func (f *fixture) list(filter incidents.Filter) []incidents.Incident {
	f.Helper()
	list, err := f.book.List(f.ctx(), filter)
	f.must(err)
	return list
}

func (f *fixture) show(id string) (incidents.Incident, []incidents.Entry, []alert.Alert) {
	f.Helper()
	in, timeline, alerts, err := f.book.Show(f.ctx(), id)
	f.must(err)
	return in, timeline, alerts
}

func (f *fixture) due(destination string) []incidents.Message {
	f.Helper()
	due, err := f.book.Due(f.ctx(), destination, f.now, 1000)
	f.must(err)
	return due
}

// ids returns the idempotency keys of messages.
func ids(messages []incidents.Message) []string {
	out := []string{}
	for _, m := range messages {
		out = append(out, m.ID)
	}
	return out
}

// option changes an alert.
type option func(*alert.Alert)

// raised is a live alert of acme: the name is its id and stands for a slot of a key, the incident key.
func raised(name, key string, options ...option) alert.Alert {
	at := start().Add(-time.Minute).UnixMilli()
	a := alert.Alert{ID: alert.NewID(name), Revision: 1, Tenant: "acme", Severity: alert.Normal, Title: name + " title", Explanation: "because of " + name, Incident: key,
		Rule: alert.Rule{ID: "rule-1", Title: "Rule one", Version: "v1", Mode: alert.Live, Runbook: "https://wiki.example/rule-1"},
		Time: at, First: at - 1000, Last: at + 1000, Count: 20, Key: []alert.Field{{Name: "source.ip", Values: []string{"203.0.113.9"}}},
		Events: []alert.Event{{ID: name + "-event", Time: at, Sample: []byte(`{"message":"sample"}`)}}}
	for _, o := range options {
		o(&a)
	}
	return a
}

func revision(n int64) option          { return func(a *alert.Alert) { a.Revision = n } }
func severity(s alert.Severity) option { return func(a *alert.Alert) { a.Severity = s } }
func mode(m alert.Mode) option         { return func(a *alert.Alert) { a.Rule.Mode = m } }
func rule(id string) option            { return func(a *alert.Alert) { a.Rule.ID = id } }
func tenant(name string) option        { return func(a *alert.Alert) { a.Tenant = name } }

// shifted moves all its times.
func shifted(d time.Duration) option {
	return func(a *alert.Alert) {
		a.Time, a.First, a.Last = a.Time+d.Milliseconds(), a.First+d.Milliseconds(), a.Last+d.Milliseconds()
	}
}

// last sets the time of the latest evidence.
func last(at time.Time) option { return func(a *alert.Alert) { a.Last = at.UnixMilli() } }
