package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
)

// teapot is a rule that one record meets.
const teapot = `id: teapot
title: Teapot
source: {dataset: json}
where: event.action == "teapot"
severity: high
alert: {title: "teapot", incident_by: [host.name]}
`

const teapotRecord = `{"event":{"action":"teapot"},"host":{"name":"kitchen"}}`

// scene is a broker, an app with one rule that reads it, and the app's log.
type scene struct {
	t      *testing.T
	app    *app
	log    *lineLog
	client *kafka.Client
	stop   context.CancelFunc
	ended  chan error
}

// newScene makes an app and does not start it. Change may change its configuration.
func newScene(t *testing.T, change func(*Config)) *scene {
	t.Helper()
	b, err := broker.Start("", broker.Topic{Name: "logs", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "teapot.yaml"), []byte(teapot), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Topics, cfg.Kafka.Session = []string{b.Addr()}, []string{"logs"}, 6*time.Second
	cfg.Archive.Local = &LocalArchiveConfig{Dir: filepath.Join(dir, "archive"), Every: 50 * time.Millisecond}
	cfg.Store.Path, cfg.Admin.Listen = filepath.Join(dir, "klaxon.db"), "127.0.0.1:0"
	cfg.Rules.Shipped, cfg.Rules.Dirs = false, []string{dir}
	if change != nil {
		change(&cfg)
	}
	s := &scene{t: t, ended: make(chan error, 1), client: kafka.NewClient(kafka.Config{Brokers: cfg.Kafka.Brokers, Log: zap.NewNop()})}
	t.Cleanup(s.client.Close)
	var log *zap.Logger
	log, s.log = jsonLog(t)
	if s.app, err = newApp(cfg, log); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) start() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.t.Cleanup(stop)
	go func() { s.ended <- s.app.run(ctx) }()
	s.eventually("it is ready", func() bool {
		return strings.Contains(s.log.String(), `"started"`) && s.code("/readyz") == http.StatusOK
	})
}

func (s *scene) produce() {
	s.t.Helper()
	ctx, done := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer done()
	if err := s.client.Send(ctx, "logs", []kafka.Message{{Value: []byte(teapotRecord), Headers: []event.Header{{Key: "x", Value: []byte("y")}}}}); err != nil {
		s.t.Fatal(err)
	}
}

// code is the status that a page of the admin port answers with; 0 for no answer.
func (s *scene) code(page string) int {
	resp, err := http.Get("http://" + s.app.admin.addr + page)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (s *scene) eventually(what string, holds func() bool) {
	s.t.Helper()
	eventually(s.t, what, holds, func() string { return s.log.String() })
}

func eventually(t *testing.T, what string, holds func() bool, more func() string) {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("it does not come about that %s:\n%s", what, more())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *scene) end() error {
	s.t.Helper()
	s.stop()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(time.Minute):
		s.t.Fatalf("it does not end:\n%s", s.log)
		return nil
	}
}

// hanging is a server that takes requests and does not answer.
func hanging(t *testing.T) (url string, asked chan struct{}) {
	t.Helper()
	release := make(chan struct{})
	asked = make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(func() {
		close(release)
		server.Close()
	})
	return server.URL, asked
}

// TestStoppingWithAWebhookThatHangs: the process is unready at once, lives until the end, and leaves what was not delivered in the
// outbox.
func TestStoppingWithAWebhookThatHangs(t *testing.T) {
	url, asked := hanging(t)
	s := newScene(t, func(c *Config) {
		c.Deliver.AlertsTopic = ""
		c.Deliver.Webhooks = []WebhookConfig{{ReceiverConfig: ReceiverConfig{Name: "slow", Send: []string{"incident"}}, URL: url, Secret: "x"}}
	})
	s.start()
	s.produce()
	<-asked
	s.stop()
	s.eventually("it says that it is stopping", func() bool { return s.code("/readyz") == http.StatusServiceUnavailable })
	if got := s.code("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz answers %d while draining", got)
	}
	if !s.app.status().Stopping {
		t.Error("the status does not say so")
	}
	if err := s.end(); err != nil {
		t.Errorf("%v\n%s", err, s.log)
	}
	store, err := sqlite.OpenExisting(s.app.cfg.Store.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	tally, err := incidents.NewBook(store, incidents.Policy{}).Tally(t.Context())
	if err != nil || len(tally.Outbox) != 1 || tally.Outbox[0].Waiting != 1 {
		t.Errorf("%+v, %v", tally, err)
	}
}

// stuckSink is an archive that takes documents and makes none durable.
type stuckSink struct {
	documents int
	heed      bool // that ctx ends
	release   chan struct{}
	flushing  chan struct{}
}

func (s *stuckSink) Add(*event.Document)      { s.documents++ }
func (s *stuckSink) Size() (documents, b int) { return s.documents, s.documents }

func (s *stuckSink) Flush(ctx context.Context) ([]event.Rejection, error) {
	if s.documents == 0 {
		return nil, nil
	}
	s.flushing <- struct{}{}
	heard := ctx.Done()
	if !s.heed {
		heard = nil
	}
	select {
	case <-heard:
		return nil, ctx.Err()
	case <-s.release:
		return nil, errors.New("too late")
	}
}

func stuckScene(t *testing.T, heed bool, drain time.Duration) (*scene, *stuckSink) {
	s := newScene(t, func(c *Config) { c.Limits.Drain, c.Roles = drain, []string{"archive"} })
	sink := &stuckSink{heed: heed, release: make(chan struct{}), flushing: make(chan struct{}, 100)}
	t.Cleanup(func() { close(sink.release) })
	s.app.sinks[0].open = func() (pipeline.ArchiveSink, error) { return sink, nil }
	s.start()
	s.produce()
	<-sink.flushing
	return s, sink
}

// TestStoppingWithAnArchiveThatDoesNotAnswer: it has the time of a hand-over, and then the process leaves; what is not archived is
// not committed.
func TestStoppingWithAnArchiveThatDoesNotAnswer(t *testing.T) {
	s, _ := stuckScene(t, true, time.Minute)
	if err := s.end(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"gave partitions back before everything was finished", "the archive did not take everything in time", `"message":"stopped"`} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, s.log)
		}
	}
	if s.app.stats.archive["local"].Commits.Load() != 0 {
		t.Error("something was committed")
	}
}

// TestStoppingWithADiskThatHangs: what nobody can interrupt has limits.drain, and the exit code says that it was not enough.
func TestStoppingWithADiskThatHangs(t *testing.T) {
	s, _ := stuckScene(t, false, 300*time.Millisecond)
	if err := s.end(); !errors.Is(err, errUnfinished) || !strings.Contains(err.Error(), "limits.drain") {
		t.Error(err)
	}
}

// child is a klaxon that runs as a process.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *lineLog
	ended chan error
}

func startChild(t *testing.T, config string, env ...string) *child {
	t.Helper()
	file := filepath.Join(t.TempDir(), "klaxon.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return startFile(t, file, env...)
}

func startFile(t *testing.T, file string, env ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command("klaxon", "run", "-c", file), log: &lineLog{}, ended: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), env...)
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	go func() {
		_, _ = io.Copy(c.log, stderr)
		c.ended <- c.cmd.Wait()
	}()
	return c
}

func (c *child) says(what string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("the log says %q", what), func() bool { return strings.Contains(c.log.String(), what) }, c.log.String)
}

// admin is where its admin port is.
func (c *child) admin() string {
	c.t.Helper()
	c.says(`"started"`)
	scan := bufio.NewScanner(strings.NewReader(c.log.String()))
	for scan.Scan() {
		var line struct{ Message, Admin string }
		if json.Unmarshal(scan.Bytes(), &line) == nil && line.Message == "started" {
			return line.Admin
		}
	}
	c.t.Fatalf("no address in %s", c.log)
	return ""
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Fatal(err)
	}
}

func (c *child) wait() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(time.Minute):
		c.t.Fatalf("it does not end:\n%s", c.log)
		return nil
	}
}

func childConfig(broker, more string) string {
	return fmt.Sprintf("version: 1\nkafka: {brokers: [%q], topics: [logs], session: 6s}\narchive: {local: {dir: archive, flush: 100ms}}\nadmin: {listen: \"127.0.0.1:0\"}\n%s", broker, more)
}

// TestStoppingBeforeKafkaIsReached: a process that waits for its brokers lives, is not ready, tells systemd so, and ends at once.
func TestStoppingBeforeKafkaIsReached(t *testing.T) {
	n := listenNotify(t, filepath.Join(t.TempDir(), "notify"))
	c := startChild(t, childConfig("127.0.0.1:1", ""), "NOTIFY_SOCKET="+n.path, "WATCHDOG_USEC=100000")
	n.until("READY=1")
	admin := c.admin()
	c.says("nothing listens there")
	if got := n.until("STATUS="); !strings.Contains(got, "kafka") {
		t.Error(got)
	}
	n.until("WATCHDOG=1")
	for page, want := range map[string]int{"/readyz": 503, "/healthz": 200, "/status": 200, "/metrics": 200} {
		resp, err := http.Get("http://" + admin + page)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%s answers %d, want %d", page, resp.StatusCode, want)
		}
	}
	var out bytes.Buffer
	if code := run([]string{"status", "--url", admin}, streams{out: &out, err: &out}); code != exitFindings || !strings.Contains(out.String(), "NOT READY") {
		t.Errorf("status ends with %d:\n%s", code, out.String())
	}
	c.signal(syscall.SIGTERM)
	n.until("STOPPING=1")
	if err := c.wait(); err != nil {
		t.Errorf("%v\n%s", err, c.log)
	}
	c.says("stopped before anything was read")
}

// TestSecondSignalStopsAtOnce also while the process waits for somebody who does not answer.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	b, err := broker.Start("", broker.Topic{Name: "logs", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	url, asked := hanging(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "teapot.yaml"), []byte(teapot), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, childConfig(b.Addr(), fmt.Sprintf("rules: {shipped: false, dirs: [%q]}\ndeliver: {webhooks: [{name: slow, url: %q, secret: x}]}\n", dir, url)))
	client := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}, Log: zap.NewNop()})
	defer client.Close()
	if err := client.Send(t.Context(), "logs", []kafka.Message{{Value: []byte(teapotRecord)}}); err != nil {
		t.Fatal(err)
	}
	<-asked
	c.signal(syscall.SIGTERM)
	c.says("stopping: finishing what was begun")
	var exit *exec.ExitError
	for ended := false; !ended; { // the first is answered before the second is let through, which takes a moment
		c.signal(syscall.SIGTERM)
		select {
		case err := <-c.ended:
			if ended = true; !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("ended by %v:\n%s", err, c.log)
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
}
