package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
)

// app is a running klaxon: everything that a configuration asks for, wired. A test or the demo can hold one.
type app struct {
	cfg       Config
	owner     string // of leases: this process among those that share a store
	log       *zap.Logger
	stats     *stats
	loaded    *generations
	client    *kafka.Client
	store     incidents.Store
	book      *incidents.Book
	sinks     []archiveSink
	told      []destination
	wake      map[string]chan struct{} // by destination
	templates *prepared                // of Elasticsearch, or nil
	state     *states
	admin     *admin
	keeper    *keeper // nil: nobody started the process who wants to be told
	hide      *strings.Replacer
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
	a := &app{cfg: cfg, owner: newOwner(), log: log, stats: newStats(), wake: map[string]chan struct{}{}, hide: cfg.Secrets.replacer()}
	a.state, a.stats.log, a.stats.config, a.stats.using = &a.stats.state, repeatsOf(log), cfg.Hash, a.using
	var err error
	if a.loaded, err = newGenerations(cfg.sources, log, a.stats); err != nil {
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
	if a.needsStore() && a.cfg.Store.Postgres == nil { // a file that is no store will not become one; a server is waited for
		if err := a.useStore(context.Background()); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *app) has(role string) bool { return slices.Contains(a.cfg.Roles, role) }

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
	signals, deaf := hangups()
	defer deaf()
	a.log.Info("started", zap.Strings("roles", a.cfg.Roles), zap.String("admin", a.admin.addr), zap.Int("rules", len(a.loaded.get().Rules.Rules())), zap.Stringer("topics", a.cfg.logs()))
	if !a.prepare(ctx) {
		a.log.Info("stopped before anything was read")
		return nil
	}
	a.stats.start.Store(time.Now().UnixMilli())
	reading, delivering := a.start(ctx)
	reading.Go(func() { a.keepGeneration(ctx, signals) })
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
	if a.needsStore() {
		a.state.set("store", "starting")
	}
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

// prepare makes sure that brokers answer, klaxon's own topics are there, and the store is open. It tries until it succeeds or ctx
// ends, and says meanwhile what is wrong.
func (a *app) prepare(ctx context.Context) bool {
	told := map[string]bool{}
	ready := a.insist(ctx, partKafka, func(ctx context.Context) error {
		if err := a.client.Ping(ctx); err != nil {
			return err
		}
		if err := a.ensureTopics(ctx); err != nil {
			return err
		}
		return a.inspectTopics(ctx, told)
	})
	return ready && (!a.needsStore() || a.insist(ctx, "store", func(context.Context) error {
		if a.store != nil {
			return nil
		}
		return a.useStore(ctx) // it has time-outs of its own: to change large tables takes longer than a try
	}))
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

// start starts the loops of the process's roles. The first answer waits for those that read Kafka, the second ends delivery.
func (a *app) start(ctx context.Context) (reading *sync.WaitGroup, stopDelivering func()) {
	reading = &sync.WaitGroup{}
	reading.Go(func() { a.tendTopics(ctx) })
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
func (a *app) consume(ctx context.Context, part, group string, topics kafka.Selection, loop func(context.Context, *kafka.Claim) error) {
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

func (a *app) runMatch(ctx context.Context) {
	m := &pipeline.Match{Generation: a.loaded.generation, Producer: a.client, HitsTopic: a.cfg.Kafka.HitsTopic, Clock: time.Now, Log: a.log, Stats: &a.stats.match,
		Tick: time.Second, Idle: a.cfg.Detect.Idle, Commit: time.Second, MaxQueue: a.cfg.Limits.QueueBytes, Drain: a.drain()}
	a.consume(ctx, "match", "match", a.cfg.logs(), func(ctx context.Context, c *kafka.Claim) error { return m.Run(ctx, c) })
}

func (a *app) runDetect(ctx context.Context) {
	d := &pipeline.Detect{Program: a.loaded.program, Newer: a.loaded.hurry, MaxWait: a.cfg.Reload.Wait, Store: shardStore{a.book, a.stats}, HitsTopic: a.cfg.Kafka.HitsTopic, Wanted: a.wanted, Clock: time.Now,
		Log: a.log, Stats: &a.stats.detect, Applied: a.wakeAll, Checkpoint: a.cfg.Detect.Checkpoint, Save: time.Second, Timeout: 10 * time.Second, Drain: a.drain(), Silence: 30 * time.Second}
	a.consume(ctx, "detect", "detect", kafka.Select(a.cfg.Kafka.HitsTopic), func(ctx context.Context, c *kafka.Claim) error { return d.Run(ctx, c) })
}

// runArchive runs the archive loop of one sink.
func (a *app) runArchive(ctx context.Context, s archiveSink) {
	part := "archive." + s.name
	if s.prepare != nil && !a.insist(ctx, part, s.prepare) {
		return
	}
	loop := &pipeline.Archive{Generation: a.loaded.generation, NewSink: s.open, Sender: a.client, DeadLetters: a.cfg.Kafka.DeadLetters, Undecodable: s.first, Clock: time.Now, Log: a.log,
		Stats: a.stats.archive[s.name], Every: s.every, MaxDocuments: s.documents, MaxBytes: 8 << 20, MaxHeld: a.cfg.Limits.FetchBytes / 2, Drain: a.drain()}
	a.consume(ctx, part, part, a.cfg.logs(), func(ctx context.Context, c *kafka.Claim) error { return loop.Run(ctx, c) })
}

// explain says what to do about an error, where that is known.
func explain(part string, err error) string {
	if part == partKafka {
		return kafka.Explain(err)
	}
	return err.Error()
}
