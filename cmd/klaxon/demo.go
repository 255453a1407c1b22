package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"go.uber.org/zap"
)

type demoCmd struct {
	For  time.Duration `default:"1m" help:"How long traffic flows."`
	Rate float64       `default:"2000" help:"Events per second."`
	Seed uint64        `default:"1" help:"What the traffic is made from: the same seed makes the same traffic."`
	Dir  string        `type:"path" help:"Keep the data in this folder. Without it, a temporary one is used and removed."`
	JSON bool          `help:"Print JSON lines."`
}

// Bounds of a demo.
const (
	demoPartitions = 4
	demoBatch      = 500
	demoDrain      = 60 * time.Second
	leaveTries     = 100
)

// Run shows klaxon at work: an embedded broker, a generator that writes to it, and the same loops as in production.
func (c *demoCmd) Run(ctx context.Context, std streams) error {
	if c.For < 5*time.Second || c.For > 24*time.Hour {
		return fmt.Errorf("--for %s: choose between 5s and 24h, so that the planted attacks fit", c.For)
	}
	if math.IsNaN(c.Rate) || c.Rate < 10 || c.Rate > 1e6 {
		return fmt.Errorf("--rate %g: choose between 10 and 1000000 events per second", c.Rate)
	}
	d := &demo{cmd: c, std: std, dir: c.Dir, view: newView(std.out, c.JSON)}
	if c.Dir != "" {
		if err := empty(c.Dir); err != nil {
			return err
		}
	} else {
		tmp, err := os.MkdirTemp("", "klaxon-demo-")
		if err != nil {
			return fmt.Errorf("cannot make a temporary folder: %w", err)
		}
		defer os.RemoveAll(tmp)
		d.dir = tmp
	}
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	defer close(done)
	go d.leaveAtSecond(signals, done)
	return d.run(ctx)
}

// empty refuses a folder that holds anything: what an earlier demo left would be counted with this one's.
func empty(dir string) error {
	files, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--dir: %w", err)
	case len(files) > 0:
		return fmt.Errorf("--dir %s is not empty, and what it holds would be counted with this demo: choose an empty folder", dir)
	}
	return nil
}

// leaveAtSecond ends the process at the second signal. The first one ends the traffic, and what was written is finished and counted.
func (d *demo) leaveAtSecond(signals <-chan os.Signal, done <-chan struct{}) {
	for range 2 {
		select {
		case <-signals:
			d.signalled.Store(true)
		case <-done:
			return
		}
	}
	for i := 0; d.cmd.Dir == "" && i < leaveTries; i++ { // the loops may be writing into it
		if os.RemoveAll(d.dir) == nil {
			break
		}
	}
	os.Exit(exitInterrupted)
}

// exitInterrupted is what shells say of a program that an interrupt ended.
const exitInterrupted = 130

// demo is one demonstration under way.
type demo struct {
	cmd  *demoCmd
	std  streams
	dir  string
	view view
	app  *app

	traffic     *traffic.Generator
	began       time.Time
	stopped     time.Time
	interrupted bool // before the traffic's time was over
	signalled   atomic.Bool
	produced    atomic.Int64
	undecodable int64 // of the messages that were produced
	mu          sync.Mutex
	alerts      map[string]*alert.Alert // the newest revision by id
	fresh       []*alert.Alert          // not shown yet
	failed      error                   // why the loops ended before they were told to
}

func (d *demo) config(addr string) Config {
	c := defaultConfig()
	c.Kafka.Brokers, c.Kafka.Topics = []string{addr}, traffic.Topics()
	c.Kafka.Session = 6 * time.Second
	c.Tenant.Header = traffic.TenantHeader
	c.Archive.Local = &LocalArchiveConfig{Dir: filepath.Join(d.dir, "archive"), Every: 5 * time.Second}
	c.Store.Path = filepath.Join(d.dir, "klaxon.db")
	c.Detect.Idle = 2 * time.Second
	c.Admin.Listen = "127.0.0.1:0"
	c.Log.Level = "warn"
	return c
}

func (d *demo) run(ctx context.Context) error {
	var topics []broker.Topic
	for _, t := range traffic.Topics() {
		topics = append(topics, broker.Topic{Name: t, Partitions: demoPartitions})
	}
	b, err := broker.Start(filepath.Join(d.dir, "kafka"), topics...)
	if err != nil {
		return fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	defer b.Close()
	log, err := newLogger(LogConfig{Level: "warn", Format: "console"}, d.std.err)
	if err != nil {
		return err
	}
	d.alerts = map[string]*alert.Alert{}
	d.app, err = newApp(d.config(b.Addr()), log, withWatcher(d.watch))
	if err != nil {
		return err
	}
	appCtx, stopApp := context.WithCancel(context.WithoutCancel(ctx))
	defer stopApp()
	ended := make(chan error, 1)
	go func() {
		ended <- d.app.run(appCtx)
		close(ended)
	}()
	if err := d.produce(ctx, ended); err != nil {
		stopApp()
		return errors.Join(err, <-ended)
	}
	drained := d.drain(ended)
	stopApp()
	err = errors.Join(d.failed, <-ended)
	d.view.close()
	if err != nil {
		return err
	}
	return d.summarise(drained)
}

// watch is told of every revision of every alert, by the outbox.
func (d *demo) watch(a *alert.Alert) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.alerts[a.ID]; old == nil {
		d.fresh = append(d.fresh, a)
	} else if old.Revision >= a.Revision {
		return
	}
	d.alerts[a.ID] = a
}

// produce writes traffic at its pace until its time is over or ctx ends. On a slow machine it takes longer than its time, so that
// what was planted is written all the same; stopped is the time of the traffic that was reached.
func (d *demo) produce(ctx context.Context, ended <-chan error) error {
	client := kafka.NewClient(kafka.Config{Brokers: d.app.cfg.Kafka.Brokers, ClientID: "klaxon-demo", Log: zap.NewNop()})
	defer client.Close()
	d.began = time.Now()
	d.traffic = traffic.New(traffic.Options{Seed: d.cmd.Seed, Start: d.began, Rate: d.cmd.Rate, Duration: d.cmd.For})
	shown, next, end := time.Now(), d.traffic.Next(), d.began.Add(d.cmd.For)
	for d.stopped = d.began; ctx.Err() == nil && d.stopped.Before(end); {
		select {
		case err := <-ended:
			return errors.Join(errors.New("the loops ended before the traffic"), err)
		default:
		}
		pending, n, now := map[string][]kafka.Message{}, 0, time.Now()
		for ; n < demoBatch && !next.Time.After(now) && next.Time.Before(end); n++ {
			pending[next.Topic] = append(pending[next.Topic], toKafka(next))
			d.undecodable = d.traffic.Undecodable() // before the next one, which may never be written
			next = d.traffic.Next()
		}
		for topic, msgs := range pending {
			if err := d.send(ctx, client, topic, msgs); err != nil {
				return fmt.Errorf("cannot write traffic: %w", err)
			}
			d.produced.Add(int64(len(msgs)))
		}
		if d.stopped = next.Time; n < demoBatch && d.stopped.Before(end) {
			time.Sleep(5 * time.Millisecond)
		}
		if time.Since(shown) > 500*time.Millisecond {
			shown = time.Now()
			d.show()
		}
	}
	d.interrupted = d.stopped.Before(end)
	return nil
}

// send writes even when ctx has ended meanwhile, so that what was produced is known exactly.
func (d *demo) send(ctx context.Context, client *kafka.Client, topic string, msgs []kafka.Message) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer done()
	return client.Send(ctx, topic, msgs)
}

func toKafka(m traffic.Message) kafka.Message {
	out := kafka.Message{Key: m.Key, Value: m.Value, Time: m.Time.UnixMilli()}
	for k, v := range m.Headers {
		out.Headers = append(out.Headers, event.Header{Key: k, Value: []byte(v)})
	}
	return out
}

// drain waits until everything that was written is archived and detected.
func (d *demo) drain(ended <-chan error) bool {
	limit := time.Now().Add(demoDrain)
	for time.Now().Before(limit) {
		if d.settled() {
			d.show()
			return true
		}
		select {
		case err := <-ended:
			d.failed = err
			return false
		case <-time.After(200 * time.Millisecond):
			d.show()
		}
	}
	return false
}

func (d *demo) settled() bool {
	s, n := d.app.stats, d.produced.Load()
	for _, a := range s.archive {
		if a.Records.Load() < n {
			return false
		}
	}
	return s.match.Records.Load() >= n && s.match.QueuedBytes.Load() == 0 && s.detect.Hits.Load() >= s.match.Hits.Load() && d.app.outboxEmpty()
}

func (d *demo) show() {
	d.mu.Lock()
	fresh, n := d.fresh, len(d.alerts)
	d.fresh = nil
	d.mu.Unlock()
	for _, a := range fresh {
		d.view.alert(a)
	}
	s := d.snapshot()
	s.Alerts, s.Stopping = int64(n), d.signalled.Load()
	d.view.status(s)
}

func (d *demo) snapshot() snapshot {
	st := d.app.stats
	s := snapshot{Elapsed: time.Since(d.began), Produced: d.produced.Load(), Matched: st.match.Records.Load(), Hits: st.match.Hits.Load(),
		P50: st.detect.Age.Quantile(0.5), P99: st.detect.Age.Quantile(0.99), Incidents: d.app.openIncidents()}
	for _, a := range st.archive {
		s.Archived, s.Dead = a.Archived.Load(), a.DeadLettered.Load()
	}
	s.Seconds = s.Elapsed.Seconds()
	s.Rate = float64(s.Matched) / max(s.Seconds, 0.001)
	s.Lag = max(0, s.Produced-s.Matched)
	return s
}
