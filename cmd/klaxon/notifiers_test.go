package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/slack/slacktest"
)

// toldSlack is a klaxon that tells one Slack channel, with a store of its own and without Kafka.
func toldSlack(t *testing.T, s *slacktest.Server) *app {
	t.Helper()
	cfg := defaultConfig()
	cfg.Deliver = DeliverConfig{Slack: []SlackConfig{{ReceiverConfig: ReceiverConfig{Name: "soc", Send: []string{incidents.TypeIncident}, MinSeverity: alert.Normal}, Channel: s.Channel, Token: s.Token, URL: s.API()}}}
	a := &app{cfg: cfg, log: zap.NewNop(), stats: newStats(), wake: map[string]chan struct{}{}}
	if err := a.wireDestinations(); err != nil {
		t.Fatal(err)
	}
	a.cfg.Store.Path = filepath.Join(t.TempDir(), "klaxon.db")
	store, err := sqlite.Open(a.cfg.Store.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	a.store, a.book = store, incidents.NewBook(store, incidents.Policy{Destinations: []incidents.Destination{a.told[0].Destination}})
	return a
}

// raise has the book learn of an alert about an address, as the detect loop does.
func raise(t *testing.T, a *app, n int, severity alert.Severity) {
	t.Helper()
	now := time.Now()
	shard, err := a.book.Claim(t.Context(), 0, "topic")
	if err != nil {
		t.Fatal(err)
	}
	one := alert.Alert{ID: alert.NewID(fmt.Sprint(n), severity.String()), Revision: 1, Rule: alert.Rule{ID: "ssh-bruteforce", Mode: alert.Live}, Tenant: "acme", Severity: severity,
		Title: fmt.Sprintf("192.0.2.%d: failed SSH logins", n), Explanation: "44 events", Incident: fmt.Sprintf("ssh-bruteforce source.ip=192.0.2.%d", n),
		Time: now.UnixMilli(), First: now.UnixMilli(), Last: now.UnixMilli(), Count: 44, Events: []alert.Event{}}
	if err := a.book.Apply(t.Context(), now, []incidents.ShardWrite{{Epoch: shard.Epoch, Next: shard.Next + 1, TopicID: "topic", Alerts: []alert.Alert{one}}}); err != nil {
		t.Fatal(err)
	}
}

// killed is an outbox of a process that is killed before it can write down what it delivered.
type killed struct {
	pipeline.Outbox[incidents.Message]
}

func (killed) Sent(context.Context, incidents.Message, string, time.Time) error {
	return context.Canceled
}

// TestIncidentsReachSlackOnce: from alerts through store and deliver loop into the channel, with a kill behind every delivery.
func TestIncidentsReachSlackOnce(t *testing.T) {
	s := slacktest.New()
	defer s.Close()
	a := toldSlack(t, s)
	flush := func() {
		for range 10 { // no process gets further than one message
			dying := a.delivery(a.told[0])
			dying.Outbox = killed{a.book}
			dying.Flush(t.Context())
		}
		a.delivery(a.told[0]).Flush(t.Context())
	}
	raise(t, a, 0, alert.High)
	raise(t, a, 1, alert.Low) // below min_severity
	raise(t, a, 2, alert.Normal)
	flush()
	list, err := a.book.List(t.Context(), incidents.Filter{MinSeverity: alert.High})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	raise(t, a, 0, alert.Urgent)
	if _, err := a.book.Acknowledge(t.Context(), time.Now(), list[0].ID, "kim"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.book.Close(t.Context(), time.Now(), list[0].ID, "kim", incidents.Closed, "blocked"); err != nil {
		t.Fatal(err)
	}
	flush()

	var texts []string
	for _, m := range s.Messages() {
		texts = append(texts, m.Text)
	}
	want := []string{"✅ Closed · 192.0.2.0: failed SSH logins (acme)", "🟡 Normal · 192.0.2.2: failed SSH logins (acme)"}
	if !slices.Equal(texts, want) {
		t.Errorf("%q, want %q", texts, want)
	}
	var replies []string
	for _, m := range s.Replies(s.Messages()[0].TS) {
		replies = append(replies, m.Text)
	}
	if got := strings.Join(replies, "; "); got != "Severity raised from *`high`* to *`urgent`*; `kim`: `new` → `acknowledged`; `kim`: `acknowledged` → `closed`" {
		t.Error(got)
	}
	if waiting, err := a.book.Outbox(t.Context(), incidents.MessageFilter{State: incidents.Waiting}); err != nil || len(waiting) != 0 {
		t.Errorf("%v %v", waiting, err)
	}
}
