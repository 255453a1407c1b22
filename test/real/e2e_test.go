package real

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/realtest"
	"github.com/klaxonhq/klaxon/internal/traffic"
)

// The size of the run.
const (
	e2eRecords    = 200_000
	e2ePartitions = 4
)

// nothingLostNothingTwice runs klaxon over the same 200,000 records twice: once undisturbed, once stopped in the middle with
// SIGTERM, then with kill -9, and finished by two processes that share the roles. Every record is in Elasticsearch exactly once, or is a dead letter; alerts, their revisions and
// the incidents are those of the undisturbed run.
func nothingLostNothingTwice(t *testing.T, servers *realtest.Servers) {
	t.Helper()
	k, es := servers.Kafka(t), servers.Elasticsearch(t)
	client := kafka.NewClient(kafka.Config{Brokers: []string{k.Brokers}})
	t.Cleanup(client.Close)
	run := fmt.Sprintf("e2e%d", time.Now().UnixNano())
	topics := map[string]string{traffic.TopicNginx: run + ".nginx", traffic.TopicAuth: run + ".auth", traffic.TopicApp: run + ".app"}
	produced := produceAll(t, client, topics, e2eRecords)

	calm := newWorld(t, run+"-calm", k.Brokers, es.URL, topics)
	p := startKlaxon(t, calm.config)
	calm.wait(p)
	dead := int(p.metric("klaxon_archive_dead_letter_records_total"))
	p.stop()

	rough := newWorld(t, run+"-rough", k.Brokers, es.URL, topics)
	p = startKlaxon(t, rough.config)
	eventually(t, 2*time.Minute, "a quarter is archived", func() bool { return rough.count() > e2eRecords/4 })
	p.stop()
	p = startKlaxon(t, rough.config)
	eventually(t, 2*time.Minute, "half is archived", func() bool { return rough.count() > e2eRecords/2 })
	p.kill9()
	reader := startKlaxon(t, rough.with("archive, match"))
	thinker := startKlaxon(t, rough.with("detect, deliver"))
	rough.wait(reader, thinker)
	reader.stop()
	thinker.stop()

	calmIDs, roughIDs := calm.ids(), rough.ids()
	checkIDs(t, "undisturbed", calmIDs, produced-dead)
	checkIDs(t, "disturbed", roughIDs, produced-dead)
	if !slices.Equal(calmIDs, roughIDs) {
		t.Errorf("the archives differ: %d and %d documents", len(calmIDs), len(roughIDs))
	}
	calmBook, roughBook := calm.book(), rough.book()
	if len(calmBook.Alerts) < 5 || len(calmBook.Incidents) < 3 {
		t.Fatalf("the undisturbed run raised %d alerts and %d incidents, which proves little", len(calmBook.Alerts), len(calmBook.Incidents))
	}
	if d := cmp.Diff(calmBook.Alerts, roughBook.Alerts); d != "" {
		t.Errorf("alerts differ (-undisturbed +disturbed):\n%s", d)
	}
	if d := cmp.Diff(calmBook.Incidents, roughBook.Incidents); d != "" {
		t.Errorf("incidents differ (-undisturbed +disturbed):\n%s", d)
	}
	if n := rough.alertsIndexed(); n != len(roughBook.Alerts) {
		t.Errorf("the index of alerts holds %d of %d", n, len(roughBook.Alerts))
	}
	t.Logf("%d records, %d dead letters, %d documents, %d alerts, %d incidents", produced, dead, len(roughIDs), len(roughBook.Alerts), len(roughBook.Incidents))
}

// produceAll writes traffic of a few days ago, so that every episode has ended when the run is over, and answers how many records
// that is.
func produceAll(t *testing.T, client *kafka.Client, topics map[string]string, records int) int {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), 3*time.Minute)
	defer done()
	for _, name := range topics {
		if _, err := client.EnsureTopic(ctx, kafka.TopicSpec{Name: name, Partitions: e2ePartitions, Config: map[string]string{"retention.ms": "-1"}}); err != nil {
			t.Fatal(err)
		}
	}
	g := traffic.New(traffic.Options{Seed: 7, Start: time.Now().Add(-72 * time.Hour).Truncate(time.Second), Rate: 2000, Duration: 90 * time.Second})
	batches, n := map[string][]kafka.Message{}, 0
	for n < records {
		m := g.Next()
		name, ok := topics[m.Topic]
		if !ok {
			continue
		}
		msg := kafka.Message{Key: m.Key, Value: m.Value, Time: m.Time.UnixMilli()}
		for k, v := range m.Headers {
			msg.Headers = append(msg.Headers, event.Header{Key: k, Value: []byte(v)})
		}
		batches[name] = append(batches[name], msg)
		n++
		if n%5000 == 0 || n == records {
			for name, msgs := range batches {
				if err := client.Send(ctx, name, msgs); err != nil {
					t.Fatal(err)
				}
			}
			clear(batches)
		}
	}
	return n
}

// world is one run's configuration and what it leaves behind.
type world struct {
	t                       *testing.T
	config, store, es, name string
	dead                    string
}

func newWorld(t *testing.T, name, brokers, es string, topics map[string]string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, config: filepath.Join(dir, "klaxon.yaml"), store: filepath.Join(dir, "klaxon.db"), es: es, name: name, dead: name + ".dead"}
	names := []string{topics[traffic.TopicNginx], topics[traffic.TopicAuth], topics[traffic.TopicApp]}
	text := fmt.Sprintf(`version: 1
kafka:
  brokers: [%s]
  topics: [%s]
  group: %s
  session: 6s
  hits_topic: %s.hits
  dead_letters_topic: %s.dead
tenant: {header: tenant}
archive:
  elasticsearch: {urls: ["%s"], prefix: %s, replicas: 0}
store: {path: klaxon.db}
detect: {checkpoint: 2s, idle: 1s}
deliver: {alerts_topic: %s.alerts}
admin: {listen: "127.0.0.1:0"}
`, brokers, strings.Join(names, ", "), name, name, name, es, name, name)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// count is how many documents Elasticsearch holds of this run.
func (w *world) count() int {
	_ = getJSON("POST", w.es+"/"+w.name+"-*/_refresh", "", &struct{}{})
	var r struct{ Count int }
	if err := getJSON("GET", w.es+"/"+w.name+"-*,-"+w.name+"-alerts/_count?allow_no_indices=true&ignore_unavailable=true", "", &r); err != nil {
		return 0
	}
	return r.Count
}

// alertsIndexed is how many alerts Elasticsearch holds of this run.
func (w *world) alertsIndexed() int {
	w.t.Helper()
	_ = getJSON("POST", w.es+"/"+w.name+"-alerts/_refresh", "", &struct{}{})
	var r struct{ Count int }
	if err := getJSON("GET", w.es+"/"+w.name+"-alerts/_count", "", &r); err != nil {
		w.t.Fatal(err)
	}
	return r.Count
}

// with is the configuration with only some of the roles.
func (w *world) with(roles string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	name := filepath.Join(filepath.Dir(w.config), strings.ReplaceAll(roles, ", ", "-")+".yaml")
	if err := os.WriteFile(name, append(text, "roles: ["+roles+"]\n"...), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// wait waits until the processes have read everything, and every episode has ended.
func (w *world) wait(processes ...*process) {
	w.t.Helper()
	sum := func(metric string) (n float64) {
		for _, p := range processes {
			n += p.metric(metric)
		}
		return n
	}
	eventually(w.t, 4*time.Minute, "everything is read, archived and decided", func() bool {
		if sum("klaxon_archive_lag_records") > 0 || sum("klaxon_match_lag_records") > 0 || sum("klaxon_detect_lag_frames") > 0 {
			return false
		}
		if sum("klaxon_detect_frames_total") == 0 || w.count() < e2eRecords*9/10 {
			return false
		}
		b := w.book()
		return len(b.Alerts) > 0 && b.open == 0 && b.settled
	})
}

// ids is the id of every document, read page by page.
func (w *world) ids() []string {
	w.t.Helper()
	_ = getJSON("POST", w.es+"/"+w.name+"-*/_refresh", "", &struct{}{})
	var out []string
	after := ""
	for {
		var r struct {
			Hits struct {
				Hits []struct {
					Fields map[string][]string `json:"fields"`
					Sort   json.RawMessage     `json:"sort"`
				}
			}
		}
		body := `{"size":10000,"_source":false,"fields":["klaxon.id"],"sort":["klaxon.id"],"query":{"exists":{"field":"klaxon.id"}}` + after + `}`
		if err := getJSON("POST", w.es+"/"+w.name+"-*,-"+w.name+"-alerts/_search", body, &r); err != nil {
			w.t.Fatal(err)
		}
		if len(r.Hits.Hits) == 0 {
			return out
		}
		for _, h := range r.Hits.Hits {
			out = append(out, h.Fields["klaxon.id"][0])
		}
		after = `,"search_after":` + string(r.Hits.Hits[len(r.Hits.Hits)-1].Sort)
	}
}

// checkIDs wants every id once, and one for each record that is no dead letter: the records of these topics hold one event each.
func checkIDs(t *testing.T, name string, ids []string, want int) {
	t.Helper()
	if unique := slices.Compact(slices.Clone(ids)); len(unique) != len(ids) {
		t.Errorf("%s: %d documents are there twice", name, len(ids)-len(unique))
	}
	if len(ids) != want {
		t.Errorf("%s: %d documents, want %d", name, len(ids), want)
	}
}

// ledger is what a run's store says, as far as it must be the same in every run.
type ledger struct {
	// Alerts is ids, last revisions and contents, but not their titles: which values stand for many is chosen by the id of the hits
	// topic, and each run has its own.
	Alerts    []string
	Incidents []string
	open      int
	settled   bool
}

func (w *world) book() ledger {
	var l ledger
	if _, err := os.Stat(w.store); err != nil {
		return l
	}
	store, err := sqlite.Open(w.store)
	if err != nil {
		return l
	}
	defer store.Close()
	l, err = ledgerOf(incidents.NewBook(store, incidents.Policy{}))
	if err != nil {
		return ledger{}
	}
	return l
}

// ledgerOf reads a store.
func ledgerOf(b *incidents.Book) (l ledger, err error) {
	ctx := context.Background()
	alerts, err := b.Alerts(ctx, incidents.AlertFilter{Limit: 10_000})
	if err != nil {
		return l, err
	}
	for _, a := range alerts {
		if !a.Final {
			l.open++
		}
		l.Alerts = append(l.Alerts, fmt.Sprintf("%s revision %d final %v %s %s count %d first %d last %d", a.ID, a.Revision, a.Final, a.Rule.ID, a.Severity, a.Count, a.First, a.Last))
	}
	list, err := b.List(ctx, incidents.Filter{Limit: 10_000})
	if err != nil {
		return l, err
	}
	for _, in := range list {
		l.Incidents = append(l.Incidents, fmt.Sprintf("%s %s %s %s alerts %d %v", in.ID, in.Tenant, in.Key, in.Severity, in.Alerts, in.Rules))
	}
	slices.Sort(l.Alerts)
	slices.Sort(l.Incidents)
	l.settled = true
	return l, nil
}
