package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/sqlite"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
)

// app is a running klaxon: everything that a configuration asks for, wired. A test or the demo can hold one.
type app struct {
	cfg    Config
	log    *zap.Logger
	stats  *stats
	loaded *loaded
	client *kafka.Client
	store  incidents.Store
	book   *incidents.Book
	sinks  []archiveSink
	told   []destination
	wake   map[string]chan struct{} // by destination
	state  *states
	admin  *admin
	keeper *keeper // nil: nobody started the process who wants to be told
	hide   *strings.Replacer
}

// option changes an app before it is wired.
type option func(*app)

// withWatcher tells f every revision of every alert, through the outbox like any other destination.
func withWatcher(f func(*alert.Alert)) option {
	return func(a *app) {
		a.told = append(a.told, destination{Destination: incidents.Destination{Name: "watcher", Types: []string{incidents.TypeAlert}, Shadow: true}, notifier: watcher(f)})
	}
}

// newApp wires a configuration without talking to anybody.
func newApp(cfg Config, log *zap.Logger, opts ...option) (*app, error) {
	a := &app{cfg: cfg, log: log, stats: newStats(), wake: map[string]chan struct{}{}, hide: cfg.Secrets.replacer()}
	a.state, a.stats.log, a.stats.config = &a.stats.state, repeatsOf(log), cfg.Hash
	var err error
	if a.loaded, err = a.load(); err != nil {
		return nil, err
	}
	kc, err := kafkaConfig(cfg.Kafka, log)
	if err != nil {
		return nil, err
	}
	a.client = kafka.NewClient(kc)
	for _, o := range opts {
		o(a)
	}
	if err := a.wireSinks(); err != nil {
		return nil, err
	}
	if err := a.wireDestinations(); err != nil {
		return nil, err
	}
	if a.has("detect") || a.has("deliver") {
		if err := a.openStore(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// load compiles what the configuration names, and notes what that is.
func (a *app) load() (*loaded, error) {
	s := a.cfg.sources()
	hash, err := s.hash()
	if err != nil {
		return nil, fmt.Errorf("cannot read datasets, rules or lists: %w", err)
	}
	g, err := loadOrExplain(s)
	if err != nil {
		return nil, err
	}
	a.stats.generation.loaded(g, hash, time.Now())
	return g, nil
}

func loadOrExplain(s sources) (*loaded, error) {
	g, list := load(s)
	if list.HasErrors() {
		return nil, fmt.Errorf("datasets or rules have mistakes:\n%s", list)
	}
	return g, nil
}

func (a *app) has(role string) bool { return slices.Contains(a.cfg.Roles, role) }

func (a *app) openStore() error {
	if err := os.MkdirAll(filepath.Dir(a.cfg.Store.Path), 0o700); err != nil {
		return fmt.Errorf("cannot make the folder of the store: %w", err)
	}
	store, err := sqlite.Open(a.cfg.Store.Path)
	if err != nil {
		return fmt.Errorf("cannot open the store: %w", err)
	}
	policy := incidents.Policy{}
	for _, d := range a.told {
		policy.Destinations = append(policy.Destinations, d.Destination)
	}
	a.store, a.book, a.stats.store.name = store, incidents.NewBook(store, policy), a.cfg.Store.Path
	return nil
}

// errUnfinished ends a process that could not finish in time what it had begun.
var errUnfinished = errors.New("stopped in the middle")

// run runs the loops until ctx ends, and then drains them within the configured time. From ctx's end on nobody is sent here any
// more who asks whether the process is ready.
func (a *app) run(ctx context.Context) (err error) {
	defer a.client.Close()
	defer func() { err = errors.Join(err, a.closeStore()) }()
	reg, err := a.stats.registry()
	if err != nil {
		return err
	}
	a.starting()
	if a.admin, err = startAdmin(a.cfg.Admin.Listen, adminPages{reg, a.ready, a.status}); err != nil {
		return err
	}
	defer a.admin.close(context.WithoutCancel(ctx))
	end := a.beside(ctx)
	defer end()
	a.log.Info("started", zap.Strings("roles", a.cfg.Roles), zap.String("admin", a.admin.addr), zap.Int("rules", len(a.loaded.Rules.Rules())), zap.Strings("topics", a.cfg.Kafka.Topics))
	if !a.prepare(ctx) {
		a.log.Info("stopped before anything was read")
		return nil
	}
	a.stats.start.Store(time.Now().UnixMilli())
	reading, delivering := a.start(ctx)
	<-ctx.Done()
	return a.finish(reading, delivering)
}

// beside starts what goes on beside the loops, until the answer is called: also while they drain.
func (a *app) beside(ctx context.Context) (end func()) {
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	told := context.AfterFunc(ctx, a.stopping)
	a.keeper.tell("READY=1")
	go a.watchDisks(own) // nobody waits for it: a file system that hangs does not even say how full it is
	var keeping sync.WaitGroup
	keeping.Go(func() { a.keeper.keep(own, a.summary) })
	return func() {
		told()
		stop()
		keeping.Wait()
	}
}

// stopping says at once that no more is taken on.
func (a *app) stopping() {
	a.state.stop()
	a.keeper.stopping(a.cfg.Limits.Drain + adminGrace + closeGrace)
	a.log.Info("stopping: finishing what was begun", zap.Duration("within", a.cfg.Limits.Drain))
}

// finish waits for the loops that read and then for delivery.
func (a *app) finish(reading *sync.WaitGroup, delivering func()) error {
	done := make(chan struct{})
	go func() {
		reading.Wait()
		delivering() // what the detect loop wrote last is delivered too
		close(done)
	}()
	select {
	case <-done:
		a.log.Info("stopped")
		return nil
	case <-time.After(a.cfg.Limits.Drain):
		return fmt.Errorf("%w: not everything was finished within %s (limits.drain); what is left is repeated after the next start", errUnfinished, a.cfg.Limits.Drain)
	}
}

// closeGrace is how long closing the store may take: a disk that hangs must not hold up the process for ever.
const closeGrace = 5 * time.Second

func (a *app) closeStore() error {
	if a.store == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- a.store.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeGrace):
		return fmt.Errorf("%w: the store did not close within %s; what it has committed is safe", errUnfinished, closeGrace)
	}
}

// partKafka is the brokers and klaxon's own topics, before the loops begin.
const partKafka = "kafka"

// starting says of every part that this process will have that it is not ready yet.
func (a *app) starting() {
	a.state.set(partKafka, "starting")
	for _, role := range []string{"match", "detect", "deliver"} {
		if a.has(role) {
			a.state.set(role, "starting")
		}
	}
	if a.has("archive") {
		for _, s := range a.sinks {
			a.state.set("archive."+s.name, "starting")
		}
	}
}

// prepare makes sure that brokers answer and klaxon's own topics are there. It tries until it succeeds or ctx ends, and says
// meanwhile what is wrong.
func (a *app) prepare(ctx context.Context) bool {
	return a.insist(ctx, partKafka, func(ctx context.Context) error {
		if err := a.client.Ping(ctx); err != nil {
			return err
		}
		return a.ensureTopics(ctx)
	})
}

// insist repeats an act with back-off until it succeeds or ctx ends.
func (a *app) insist(ctx context.Context, part string, act func(context.Context) error) bool {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		tryCtx, done := context.WithTimeout(ctx, 15*time.Second)
		err := act(tryCtx)
		done()
		if err == nil {
			a.state.set(part, "")
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		a.state.set(part, err.Error())
		if part == partKafka {
			a.stats.kafkaErrors.add(part)
		}
		a.log.Error("cannot start yet, trying again", zap.String("part", part), zap.Duration("in", wait), zap.String("error", explain(part, err)))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// Settings of klaxon's own topics.
const (
	deadLetterPartitions = 4
	alertPartitions      = 8
	// Dead letters hold whole records of any size that a source topic takes, with headers on top, and are the only copy of what was
	// in them once the source has forgotten it.
	maxMessageBytes     = "4194304"
	deadLetterRetention = "2592000000" // 30 days
)

func (a *app) ensureTopics(ctx context.Context) error {
	k := a.cfg.Kafka
	specs := []kafka.TopicSpec{
		{Name: k.HitsTopic, Partitions: hitShards, Replication: k.Replication, Config: map[string]string{
			"retention.ms": fmt.Sprint(k.Retention.Milliseconds()), "cleanup.policy": "delete", "compression.type": "producer", "max.message.bytes": maxMessageBytes}},
		{Name: k.DeadLetters, Partitions: deadLetterPartitions, Replication: k.Replication, Config: map[string]string{
			"cleanup.policy": "delete", "max.message.bytes": maxMessageBytes, "retention.ms": deadLetterRetention}},
	}
	if a.cfg.Deliver.AlertsTopic != "" {
		specs = append(specs, kafka.TopicSpec{Name: a.cfg.Deliver.AlertsTopic, Partitions: alertPartitions, Replication: k.Replication, Config: map[string]string{"cleanup.policy": "delete"}})
	}
	for _, s := range specs {
		_, err := a.client.EnsureTopic(ctx, s)
		var count *kafka.PartitionCountError
		if errors.As(err, &count) && s.Name != k.HitsTopic {
			continue // only the shards' number matters
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// start starts the loops of the process's roles. The first answer waits for those that read Kafka, the second ends delivery.
func (a *app) start(ctx context.Context) (reading *sync.WaitGroup, stopDelivering func()) {
	reading = &sync.WaitGroup{}
	if a.has("archive") {
		for _, s := range a.sinks {
			reading.Go(func() { a.runArchive(ctx, s) })
		}
	}
	if a.has("match") {
		reading.Go(func() { a.runMatch(ctx) })
	}
	if a.has("detect") {
		reading.Go(func() { a.runDetect(ctx) })
	}
	if !a.has("deliver") {
		return reading, func() {}
	}
	a.state.set("deliver", "")
	deliverCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var delivering sync.WaitGroup
	for _, d := range a.told {
		delivering.Go(func() { a.runDeliver(deliverCtx, d) })
	}
	delivering.Go(func() { a.keepBook(deliverCtx) })
	return reading, func() {
		a.flushDeliveries(ctx)
		stop()
		delivering.Wait()
	}
}

// consume joins a group and runs loop for each claim, with the part's state kept for /readyz.
func (a *app) consume(ctx context.Context, part, group string, topics []string, loop func(context.Context, *kafka.Claim) error) {
	cfg := kafka.GroupConfig{ID: a.cfg.Kafka.Group + "." + group, Topics: topics, Session: a.cfg.Kafka.Session, Budget: int64(a.cfg.Limits.FetchBytes),
		OnError: func(err error) {
			a.stats.kafkaErrors.add(part)
			a.state.tell(part, err.Error())
			a.log.Error("kafka", zap.String("loop", part), zap.Error(err))
		}}
	a.stats.kafkaErrors.addN(part, 0)
	a.state.set(part, "") // a member of the group without partitions is ready too
	err := a.client.Consume(ctx, cfg, func(ctx context.Context, c *kafka.Claim) error {
		a.state.set(part, "")
		a.log.Info("reading", zap.String("loop", part), zap.Int("partitions", len(c.Owned())))
		err := loop(ctx, c)
		if err != nil && ctx.Err() != nil {
			a.log.Warn("gave partitions back before everything was finished; what is left is repeated by their next owner", zap.String("loop", part), zap.Error(err))
		}
		return err
	})
	if err != nil {
		a.state.set(part, err.Error())
		a.log.Error("a loop ended", zap.String("loop", part), zap.Error(err))
	}
}

func (a *app) drain() time.Duration { return pipeline.Drain(a.cfg.Kafka.Session) }

func (a *app) generation() *pipeline.Generation { return &a.loaded.Generation }

func (a *app) runMatch(ctx context.Context) {
	m := &pipeline.Match{Generation: a.generation, Producer: a.client, HitsTopic: a.cfg.Kafka.HitsTopic, Clock: time.Now, Log: a.log, Stats: &a.stats.match,
		Tick: time.Second, Idle: a.cfg.Detect.Idle, Commit: time.Second, MaxQueue: a.cfg.Limits.QueueBytes, Drain: a.drain()}
	a.consume(ctx, "match", "match", a.cfg.Kafka.Topics, func(ctx context.Context, c *kafka.Claim) error { return m.Run(ctx, c) })
}

func (a *app) runDetect(ctx context.Context) {
	d := &pipeline.Detect{Program: func() *detectors.Program { return a.loaded.program }, Store: shardStore{a.book, a.stats}, HitsTopic: a.cfg.Kafka.HitsTopic, Topics: a.cfg.Kafka.Topics, Clock: time.Now,
		Log: a.log, Stats: &a.stats.detect, Applied: a.wakeAll, Checkpoint: a.cfg.Detect.Checkpoint, Save: time.Second, Timeout: 10 * time.Second, Drain: a.drain()}
	a.consume(ctx, "detect", "detect", []string{a.cfg.Kafka.HitsTopic}, func(ctx context.Context, c *kafka.Claim) error { return d.Run(ctx, c) })
}

// runArchive runs the archive loop of one sink.
func (a *app) runArchive(ctx context.Context, s archiveSink) {
	part := "archive." + s.name
	if s.prepare != nil && !a.insist(ctx, part, s.prepare) {
		return
	}
	loop := &pipeline.Archive{Generation: a.generation, NewSink: s.open, Sender: a.client, DeadLetters: a.cfg.Kafka.DeadLetters, Undecodable: s.first, Clock: time.Now, Log: a.log,
		Stats: a.stats.archive[s.name], Every: s.every, MaxDocuments: s.documents, MaxBytes: 8 << 20, MaxHeld: a.cfg.Limits.FetchBytes / 2, Drain: a.drain()}
	a.consume(ctx, part, part, a.cfg.Kafka.Topics, func(ctx context.Context, c *kafka.Claim) error { return loop.Run(ctx, c) })
}

// explain says what to do about an error, where that is known.
func explain(part string, err error) string {
	if part == partKafka {
		return kafka.Explain(err)
	}
	return err.Error()
}
