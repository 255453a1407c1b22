package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"go.uber.org/zap"
)

// The load under which rules are exchanged.
const (
	reloadRecords    = 60_000
	reloadPartitions = 1 // of each topic: so revisions are the same whatever is read first
	reloadChanges    = 40
)

// TestNewRuleReachesOneProcessFirst: of two processes that share the roles the one that matches has a new rule a while earlier. The one
// that detects sees hits that it cannot know, looks at its own files, and waits for them: nothing of the new rule is missed.
func TestNewRuleReachesOneProcessFirst(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs two processes' loops over a broker")
	}
	t.Parallel()
	l := newLogWriter(t)
	matcher := newLoadRun(t, l, "shared", "archive", "match")
	thinker := newLoadRun(t, l, "shared", "detect", "deliver")
	matcher.write("rules/visitor.yaml", visitorRule("10.0.0.0/8"))
	if !matcher.app.loaded.look(t.Context(), true) {
		t.Fatal(matcher.app.notes())
	}
	if err := l.client.Send(t.Context(), traffic.TopicNginx, []kafka.Message{{Value: []byte(`10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`)}}); err != nil {
		t.Fatal(err)
	}
	waits := &thinker.app.stats.detect.RuleWaits
	until(t, "the hit is waited for", func() bool { return waits.Load() > 0 })
	thinker.write("rules/visitor.yaml", visitorRule("10.0.0.0/8"))
	until(t, "the alert is there", func() bool {
		list, err := thinker.app.book.Alerts(t.Context(), incidents.AlertFilter{Rule: "visitor"})
		return err == nil && len(list) == 1
	})
	if n := thinker.app.stats.detect.StaleRule.Load(); n != 0 {
		t.Errorf("%d hits were left out", n)
	}
	for _, r := range []*loadRun{matcher, thinker} {
		r.stop()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// visitorRule alerts at every request of a network.
func visitorRule(network string) string {
	return fmt.Sprintf("id: visitor\ntitle: Visitor\nsource: {dataset: [nginx.access]}\nwhere: source.ip in cidr(%q)\nseverity: low\nalert: {title: \"{{source.ip}}\", incident_by: [source.ip]}\n", network)
}

const ownRule = `id: own-requests
title: Requests of one address
source: {dataset: [nginx.access]}
where: has(source.ip)
count: {by: [source.ip], within: 1m, at_least: 50}
severity: low
alert: {title: "{{source.ip}}: {{count}} requests", incident_by: [source.ip]}
`

// TestReloadUnderLoad runs klaxon over the same records twice: once while rules, datasets and lists change all the time, some of them
// to files that do not load, and once undisturbed. Of the rules that stay the same no alert differs, and every record is archived once.
func TestReloadUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs klaxon twice over many records")
	}
	t.Parallel()
	l := newLogWriter(t)
	rough := newLoadRun(t, l, "rough", allRoles[:]...)
	rough.change(l)
	rough.finish()
	calm := newLoadRun(t, l, "calm", allRoles[:]...)
	calm.finish()

	loads, failures := rough.app.stats.generation.Loads.Load(), rough.app.stats.generation.Failures.Load()
	if rough.during < 10 || failures < 3 {
		t.Fatalf("rules were exchanged %d times while records were read, and %d times refused: that proves little", rough.during, failures)
	}
	if len(calm.alerts) < 20 {
		t.Fatalf("the undisturbed run raised %d alerts, which proves little", len(calm.alerts))
	}
	if d := cmp.Diff(calm.alerts, rough.alerts); d != "" {
		t.Errorf("alerts differ (-undisturbed +with other rules coming and going):\n%s", d)
	}
	if d := cmp.Diff(calm.archived(), rough.archived()); d != "" {
		t.Errorf("archives differ:\n%s", d)
	}
	t.Logf("%d records, %d alerts; %d generations, %d refused, %d exchanged while records were read", reloadRecords, len(calm.alerts), loads, failures, rough.during)
}

// logWriter is a broker, and what is written to it piece by piece: the traffic of some days ago.
type logWriter struct {
	broker *broker.Broker
	client *kafka.Client
	topics []string
	g      *traffic.Generator
	made   int
}

func newLogWriter(t *testing.T) *logWriter {
	t.Helper()
	l := &logWriter{topics: []string{traffic.TopicNginx, traffic.TopicAuth, traffic.TopicApp}}
	var topics []broker.Topic
	for _, name := range l.topics {
		topics = append(topics, broker.Topic{Name: name, Partitions: reloadPartitions})
	}
	var err error
	if l.broker, err = broker.Start("", topics...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.broker.Close() })
	l.client = kafka.NewClient(kafka.Config{Brokers: []string{l.broker.Addr()}, Log: zap.NewNop()})
	t.Cleanup(l.client.Close)
	l.g = traffic.New(traffic.Options{Seed: 11, Start: time.Now().Add(-72 * time.Hour).Truncate(time.Second), Rate: 1000, Duration: time.Minute})
	return l
}

// more writes the next records.
func (l *logWriter) more(ctx context.Context, n int) error {
	batches := map[string][]kafka.Message{}
	for ; n > 0; n-- {
		m := l.g.Next()
		for !slices.Contains(l.topics, m.Topic) {
			m = l.g.Next()
		}
		msg := kafka.Message{Key: m.Key, Value: m.Value, Time: m.Time.UnixMilli()}
		for k, v := range m.Headers {
			msg.Headers = append(msg.Headers, event.Header{Key: k, Value: []byte(v)})
		}
		batches[m.Topic] = append(batches[m.Topic], msg)
		l.made++
	}
	for name, msgs := range batches {
		if err := l.client.Send(ctx, name, msgs); err != nil {
			return err
		}
	}
	return nil
}

// loadRun is one klaxon that reads everything.
type loadRun struct {
	t      *testing.T
	app    *app
	dir    string
	stop   context.CancelFunc
	ended  chan error
	alerts []string // of the rules that it had all the time, by id
	during int      // how many generations came into force while there was something to read
}

func newLoadRun(t *testing.T, l *logWriter, group string, roles ...string) *loadRun {
	t.Helper()
	r := &loadRun{t: t, dir: t.TempDir(), ended: make(chan error, 1)}
	for _, sub := range []string{"rules", "datasets", "lists"} {
		if err := os.Mkdir(filepath.Join(r.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.write("rules/own.yaml", ownRule)
	c := defaultConfig()
	c.Kafka.Brokers, c.Kafka.Topics, c.Kafka.Group = []string{l.broker.Addr()}, l.topics, group
	c.Kafka.Session, c.Kafka.HitsTopic, c.Kafka.DeadLetters = 6*time.Second, group+".hits", group+".dead"
	c.Tenant.Header = traffic.TenantHeader
	c.Rules.Dirs, c.Rules.Lists, c.Datasets.Dirs = []string{filepath.Join(r.dir, "rules")}, []string{filepath.Join(r.dir, "lists")}, []string{filepath.Join(r.dir, "datasets")}
	c.Roles = roles
	c.Reload.Every = 0 // the test says when
	c.Archive.Local = &LocalArchiveConfig{Dir: filepath.Join(r.dir, "archive"), Every: time.Second}
	c.Store.Path = filepath.Join(r.dir, "klaxon.db")
	c.Detect.Idle, c.Detect.Checkpoint = 1000*time.Hour, 2*time.Second // time stands still where nothing is written
	c.Deliver.AlertsTopic, c.Admin.Listen = "", "127.0.0.1:0"
	var err error
	if r.app, err = newApp(c, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	t.Cleanup(stop)
	go func() { r.ended <- r.app.run(ctx) }()
	return r
}

func (r *loadRun) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *loadRun) read() int64 { return r.app.stats.match.Records.Load() }

// change writes records, and meanwhile exchanges rules, datasets and lists: harmless changes, new units that come and go, and files
// that do not load.
func (r *loadRun) change(l *logWriter) {
	r.t.Helper()
	const dataset = "dataset: visitor.log\nclaim: {topic: [\"visitor.*\"]}\nparse: json\nfields: {visitor.name: keyword}\nmap: {visitor.name: name}\ntests:\n  - line: '{\"name\":\"a\"}'\n    expect: {visitor.name: a}\n"
	for i := 0; l.made < reloadRecords; i++ {
		written, before := make(chan error, 1), r.read()
		go func() { written <- l.more(r.t.Context(), reloadRecords/reloadChanges) }()
		switch i % 5 {
		case 0:
			r.write("rules/own.yaml", fmt.Sprintf("# change %d\n%s", i, ownRule))
		case 1:
			r.write("lists/visitors.txt", fmt.Sprintf("192.0.2.%d\n", i%250))
			r.write("datasets/visitor.yaml", dataset)
			r.write("rules/visitor.yaml", strings.Replace(visitorRule("10.0.0.0/8"), `in cidr("10.0.0.0/8")`, `in list("visitors")`, 1))
		case 2:
			r.write("rules/bad.yaml", "id: bad\nwhere: source.ipp ==\n")
		case 3:
			_ = os.Remove(filepath.Join(r.dir, "rules/bad.yaml"))
			r.write("rules/own.yaml", ownRule)
		case 4:
			_ = os.Remove(filepath.Join(r.dir, "rules/visitor.yaml"))
			_ = os.Remove(filepath.Join(r.dir, "datasets/visitor.yaml"))
		}
		changed := r.app.loaded.look(r.t.Context(), true)
		if i%5 == 2 && (changed || !strings.Contains(r.app.notes()["generation"], "bad.yaml")) {
			r.t.Fatalf("a bad file came into force, or nobody was told: %q", r.app.notes())
		}
		if i%5 != 2 && !changed {
			r.t.Fatalf("change %d did not come into force: %q", i, r.app.notes())
		}
		if changed && r.read() > before {
			r.during++
		}
		if err := <-written; err != nil {
			r.t.Fatal(err)
		}
	}
}

// finish waits until everything is read, archived and decided, ticks behind the last hits included, and ends klaxon.
func (r *loadRun) finish() {
	r.t.Helper()
	s, frames := r.app.stats, int64(-1)
	deadline := time.After(3 * time.Minute)
	for frames < 0 || s.detect.Frames.Load() < frames+4*3*hitShards || s.detect.Lag.Load() > 0 {
		if frames < 0 && s.archive["local"].Records.Load() == reloadRecords && s.match.Records.Load() == reloadRecords && s.match.QueuedBytes.Load() == 0 {
			frames = s.detect.Frames.Load() + s.detect.Lag.Load()
		}
		select {
		case err := <-r.ended:
			r.t.Fatal(err)
		case <-deadline:
			r.t.Fatalf("not finished: %d records archived, %d matched", s.archive["local"].Records.Load(), s.match.Records.Load())
		case <-time.After(50 * time.Millisecond):
		}
	}
	r.note()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Fatal(err)
	}
}

// note notes the alerts of the rules that it had all the time.
func (r *loadRun) note() {
	r.t.Helper()
	list, err := r.app.book.Alerts(r.t.Context(), incidents.AlertFilter{Limit: 10_000})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, a := range list {
		if a.Rule.ID != "visitor" {
			r.alerts = append(r.alerts, fmt.Sprintf("%s revision %d final %v %s %s %s count %d first %d last %d",
				a.ID, a.Revision, a.Final, a.Rule.ID, a.Rule.Version, a.Severity, a.Count, a.First, a.Last))
		}
	}
}

// archived is the id of every document.
func (r *loadRun) archived() []string {
	r.t.Helper()
	dir, err := archive.Open(filepath.Join(r.dir, "archive"))
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	report, err := dir.Search(r.t.Context(), archive.Query{}, func(_ []byte, e *event.Event) error {
		out = append(out, strings.Clone(e.Text(event.EventID)))
		return nil
	})
	if err != nil || len(report.Damages) > 0 {
		r.t.Fatal(err, report.Damages)
	}
	slices.Sort(out)
	if n := len(out); len(slices.Compact(slices.Clone(out))) != n {
		r.t.Error("a document is there twice")
	}
	return out
}

// TestSIGHUP runs klaxon as a process of its own, which reads changed rules when it is told to, and ends well afterwards.
func TestSIGHUP(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs klaxon as a process")
	}
	t.Parallel()
	l, dir := newLogWriter(t), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("own.yaml", ownRule)
	write("klaxon.conf", fmt.Sprintf("version: 1\nkafka: {brokers: [%q], topics: [%s], session: 6s}\narchive: {local: {dir: archive}}\nstore: {path: klaxon.db}\nrules: {dirs: [.]}\nreload: {every: never}\nadmin: {listen: \"127.0.0.1:0\"}\n",
		l.broker.Addr(), strings.Join(l.topics, ", ")))
	cmd, lines := startProcess(t, filepath.Join(dir, "klaxon.conf"))
	waitFor(t, lines, `"loop":"match"`)
	write("more.yaml", visitorRule("10.0.0.0/8"))
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, lines, `"rules_added":["visitor"]`)
	config, err := os.ReadFile(filepath.Join(dir, "klaxon.conf"))
	if err != nil {
		t.Fatal(err)
	}
	write("klaxon.conf", string(config)+"# another time\n")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, lines, "the configuration file has changed")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, lines, `"message":"stopped"`)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestSIGHUPBeforeTheLoops: the signal ends no process that waits for its brokers.
func TestSIGHUPBeforeTheLoops(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs klaxon as a process")
	}
	t.Parallel()
	config := filepath.Join(t.TempDir(), "klaxon.conf")
	text := "version: 1\nkafka: {brokers: [\"127.0.0.1:1\"], topics: [logs]}\narchive: {local: {dir: archive}}\nstore: {path: klaxon.db}\nadmin: {listen: \"127.0.0.1:0\"}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, lines := startProcess(t, config)
	waitFor(t, lines, "cannot start yet")
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, lines, "stopped before anything was read")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// startProcess runs klaxon as a process of its own; the answer has what it logs.
func startProcess(t *testing.T, config string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"klaxon", "run", "-c", config} // the test's binary is klaxon under that name
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(stderr)
}
