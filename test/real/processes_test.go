package real

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/postgres"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/realtest"
	"github.com/klaxonhq/klaxon/internal/traffic"
	kafkago "github.com/segmentio/kafka-go"
)

const (
	sharedRecords = 100_000
	// stands is how long a process stands still: past its session of six seconds, and its leases, which last as long.
	stands = 9 * time.Second
)

// severalProcesses runs three processes and more upon one PostgreSQL and one archive: one joins late, one is killed with -9, one stands
// still past its session and goes on, and the database ends all connections. The archive, the alerts with their revisions, the incidents and what a webhook was told are those
// of one undisturbed process.
func severalProcesses(t *testing.T, servers *realtest.Servers) {
	t.Helper()
	k, pg := servers.Kafka(t), servers.Postgres(t)
	client := kafka.NewClient(kafka.Config{Brokers: []string{k.Brokers}})
	t.Cleanup(client.Close)
	run := fmt.Sprintf("shared%d", time.Now().UnixNano())
	topics := map[string]string{traffic.TopicNginx: run + ".nginx", traffic.TopicAuth: run + ".auth", traffic.TopicApp: run + ".app"}
	produced := produceAll(t, client, topics, sharedRecords)

	calm := newCluster(t, run+"-calm", k.Brokers, pg.URL, topics)
	p := calm.start("")
	calm.settles()
	dead := int(p.metric("klaxon_archive_dead_letter_records_total"))
	p.stop()
	want := calm.ledger()
	if len(want.Alerts) < 500 || len(want.Incidents) < 5 {
		t.Fatalf("the undisturbed run raised %d alerts and %d incidents, which proves little", len(want.Alerts), len(want.Incidents))
	}

	rough := newCluster(t, run+"-rough", k.Brokers, pg.URL, topics)
	rough.disturbed(produced)

	checkIDs(t, "undisturbed", calm.documents(), produced-dead)
	checkIDs(t, "disturbed", rough.documents(), produced-dead)
	if d := cmp.Diff(calm.documents(), rough.documents()); d != "" {
		t.Errorf("the archives differ (-undisturbed +disturbed):\n%.2000s", d)
	}
	got := rough.ledger()
	if d := cmp.Diff(want.Alerts, got.Alerts); d != "" {
		t.Errorf("alerts differ (-undisturbed +disturbed):\n%s", d)
	}
	if d := cmp.Diff(want.Incidents, got.Incidents); d != "" {
		t.Errorf("incidents differ (-undisturbed +disturbed):\n%s", d)
	}
	calm.checkTold(0)
	rough.checkTold(3) // one message may be under way when a process is killed, when another stands still, and when the store is gone
	if d := cmp.Diff(calm.hook.alerts(), rough.hook.alerts()); d != "" {
		t.Errorf("messages about alerts differ (-undisturbed +disturbed):\n%s", d)
	}
	t.Logf("%d records, %d dead letters, %d alerts, %d incidents, %d messages, %d of them twice", produced, dead, len(got.Alerts), len(got.Incidents), len(rough.hook.messages()), rough.hook.repeats())
}

// manyAlerts are rules that raise hundreds of alerts in many shards, of which most are of one incident a tenant: what different processes
// decide meets there.
const manyAlerts = `id: server-errors
title: The server failed
mode: live
owner: test
source: {dataset: [nginx.access, apache.access]}
where: http.response.status_code >= 500
severity: normal
alert: {title: "{{http.response.status_code}} for {{source.ip}}", incident_by: [event.dataset]}
---
id: refused
title: Refused again and again
mode: live
owner: test
source: {dataset: [nginx.access, apache.access]}
where: http.response.status_code >= 400
count: {by: [source.ip], within: 10s, at_least: 2}
severity: [{when: count >= 20, is: high}, {is: low}]
alert: {title: "{{source.ip}} was refused {{count}} times", incident_by: [event.dataset], quiet: 10s}
`

// cluster is processes with one configuration, and what they share.
type cluster struct {
	t            *testing.T
	dir, config  string
	server, name string // of the database
	group        string
	topics       []string
	kafka        *kafkago.Client
	look         *pgx.Conn // to look into the database
	hook         *receiver
	store        incidents.Store
	book         *incidents.Book
}

func newCluster(t *testing.T, name, brokers, server string, topics map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), server: server, name: strings.ReplaceAll(name, "-", "_"), group: name, hook: newReceiver(t),
		topics: slices.Sorted(maps.Values(topics)), kafka: &kafkago.Client{Addr: kafkago.TCP(brokers), Timeout: 30 * time.Second}}
	database := newDatabase(t, server, c.name)
	c.config = fmt.Sprintf(`version: 1
kafka:
  brokers: [%[1]s]
  topics: [%[2]s]
  group: %[3]s
  session: 6s
  hits_topic: %[3]s.hits
  dead_letters_topic: %[3]s.dead
tenant: {header: tenant}
rules: {dirs: [rules]}
archive: {local: {dir: archive, flush: 500ms}}
store: {postgres: {url: "%[4]s"}}
detect: {checkpoint: 2s, idle: 1s}
deliver:
  alerts_topic: %[3]s.alerts
  webhooks: [{name: soc, url: "%[5]s", secret: s3cret, send: [alert, incident]}]
limits: {fetch_bytes: 1000000}
admin: {listen: "127.0.0.1:0"}
`, brokers, strings.Join(c.topics, ", "), name, database, c.hook.URL)
	err := os.Mkdir(filepath.Join(c.dir, "rules"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, "rules", "many.yaml"), []byte(manyAlerts), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.store, err = postgres.Open(t.Context(), postgres.Config{URL: database}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.Close() })
	if c.look, err = pgx.Connect(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.look.Close(context.Background()) })
	c.book = incidents.NewBook(c.store, incidents.Policy{})
	return c
}

// newDatabase makes a database that ends with the test.
func newDatabase(t *testing.T, server, name string) string {
	t.Helper()
	query(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { query(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// query runs a statement in a session of its own.
func query(t *testing.T, server, statement string) {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// start starts a process with some of the roles, or, without a word, with all.
func (c *cluster) start(roles string) *process {
	c.t.Helper()
	text, name := c.config, filepath.Join(c.dir, "klaxon.yaml")
	if roles != "" {
		text, name = text+"roles: ["+roles+"]\n", filepath.Join(c.dir, strings.ReplaceAll(roles, ", ", "-")+".yaml")
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return startKlaxon(c.t, name)
}

// disturbed runs processes that come, go, die and stand still, until all is done.
func (c *cluster) disturbed(produced int) {
	c.t.Helper()
	killed, still := c.start(""), c.start("")
	eventually(c.t, time.Minute, "both detect, and a part is archived", func() bool {
		return killed.metric("klaxon_detect_shards") > 0 && still.metric("klaxon_detect_shards") > 0 && c.archived() > produced/10
	})
	c.logs("kill -9 of one of two")
	killed.kill9()
	late := c.start("")
	eventually(c.t, time.Minute, "the process that came late has taken over", func() bool { return late.metric("klaxon_detect_shards") > 0 })
	c.logs("the database ends all connections")
	query(c.t, c.server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+c.name+"' AND pid <> "+fmt.Sprint(c.look.PgConn().PID()))
	c.logs("another stands still, two more join")
	still.signal(syscall.SIGSTOP)
	reader, thinker := c.start("archive, match"), c.start("detect, deliver")
	time.Sleep(stands) // not a wait for something: it is what is done to the process
	eventually(c.t, time.Minute, "the others have taken over from the one that stands still", func() bool {
		return late.metric("klaxon_detect_shards")+thinker.metric("klaxon_detect_shards") == 32
	})
	c.logs("it goes on")
	still.signal(syscall.SIGCONT)
	processes := []*process{late, reader, thinker, still}
	c.settles()
	for _, p := range processes {
		p.stop()
	}
}

// logs notes how far all is when something is done to a process.
func (c *cluster) logs(what string) {
	l, err := ledgerOf(c.book)
	if err != nil {
		l, err = ledgerOf(c.book) // its connections may have been ended too
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("%s: %d documents, %d alerts, %d of them not ended, %d messages told", what, c.archived(), len(l.Alerts), l.open, len(c.hook.messages()))
}

// settles waits until everything is read, archived, decided and told. What processes say of their lag is of when they last looked, so
// offsets are asked for: those of the groups, and those of the shards in the store.
func (c *cluster) settles() {
	c.t.Helper()
	eventually(c.t, 100*time.Second, "everything is read and archived", func() bool {
		for _, topic := range c.topics {
			for partition, end := range c.ends(topic) {
				if c.committed("match", topic, partition) < end || c.committed("archive.local", topic, partition) < end {
					return false
				}
			}
		}
		return true
	})
	hits := c.ends(c.group + ".hits") // behind the last hit
	eventually(c.t, 100*time.Second, "everything is decided and told", func() bool {
		for shard, end := range hits {
			if c.next(shard) < end {
				return false
			}
		}
		l, err := ledgerOf(c.book)
		tally, tallyErr := c.book.Tally(context.Background())
		waiting := int64(0)
		for _, b := range tally.Outbox {
			waiting += b.Waiting
		}
		return err == nil && tallyErr == nil && len(l.Alerts) > 0 && l.open == 0 && waiting == 0
	})
}

// ends is the end of each partition of a topic.
func (c *cluster) ends(topic string) map[int]int64 {
	c.t.Helper()
	partitions := e2ePartitions
	if topic == c.group+".hits" {
		partitions = 32
	}
	var asked []kafkago.OffsetRequest
	for p := range partitions {
		asked = append(asked, kafkago.LastOffsetOf(p))
	}
	r, err := c.kafka.ListOffsets(c.t.Context(), &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{topic: asked}})
	if err != nil {
		c.t.Fatal(err)
	}
	out := map[int]int64{}
	for _, p := range r.Topics[topic] {
		out[p.Partition] = p.LastOffset
	}
	return out
}

// committed is how far one of the groups has come in a partition.
func (c *cluster) committed(loop, topic string, partition int) int64 {
	c.t.Helper()
	r, err := c.kafka.OffsetFetch(c.t.Context(), &kafkago.OffsetFetchRequest{GroupID: c.group + "." + loop, Topics: map[string][]int{topic: {partition}}})
	if err != nil || r.Error != nil || len(r.Topics[topic]) != 1 {
		return -1 // the coordinator may be moving
	}
	return r.Topics[topic][0].CommittedOffset
}

// next is the offset that the store has of a shard.
func (c *cluster) next(shard int) (next int64) {
	c.t.Helper()
	if err := c.look.QueryRow(c.t.Context(), "SELECT next FROM shards WHERE shard = $1", shard).Scan(&next); err != nil {
		return -1
	}
	return next
}

func (c *cluster) ledger() ledger {
	c.t.Helper()
	l, err := ledgerOf(c.book)
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

// archived is how many documents the archive holds.
func (c *cluster) archived() int {
	c.t.Helper()
	r, err := archive.Open(filepath.Join(c.dir, "archive"))
	if err != nil {
		return 0 // nobody has made it yet
	}
	n, err := r.Count(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return int(n)
}

// documents is the id of every document of the archive, sorted.
func (c *cluster) documents() []string {
	c.t.Helper()
	r, err := archive.Open(filepath.Join(c.dir, "archive"))
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	report, err := r.Search(c.t.Context(), archive.Query{}, func(_ []byte, e *event.Event) error {
		out = append(out, string(e.ID.Append(nil)))
		return nil
	})
	if err != nil || len(report.Damages) > 0 {
		c.t.Fatalf("%v, %+v", err, report)
	}
	slices.Sort(out)
	return out
}

// checkTold wants everything that the outbox had for the webhook to have come there once, and in order.
func (c *cluster) checkTold(repeats int) {
	c.t.Helper()
	list, err := c.book.Outbox(context.Background(), incidents.MessageFilter{Destination: "webhook.soc", Limit: 10_000})
	if err != nil {
		c.t.Fatal(err)
	}
	var sent []string
	for _, m := range list {
		if m.State != incidents.Sent {
			c.t.Errorf("message %s is %s: %s", m.ID, m.State, m.Cause)
		}
		sent = append(sent, m.ID)
	}
	slices.Sort(sent)
	if d := cmp.Diff(sent, c.hook.messages()); d != "" {
		c.t.Errorf("the webhook was told something else (-outbox +webhook):\n%s", d)
	}
	for _, wrong := range c.hook.wrong() {
		c.t.Error(wrong)
	}
	if n := c.hook.repeats(); n > repeats {
		c.t.Errorf("%d messages came twice, and %d may", n, repeats)
	}
}
