package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	state     states
	admin     *admin
	opened    atomic.Int64 // open incidents, as last counted
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
	a := &app{cfg: cfg, owner: newOwner(), log: log, stats: newStats(), wake: map[string]chan struct{}{}, state: states{parts: map[string]trouble{}}}
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

// run runs the loops until ctx ends, and then drains them within the configured time.
func (a *app) run(ctx context.Context) (err error) {
	defer a.client.Close()
	defer func() {
		if a.store != nil {
			err = errors.Join(err, a.store.Close())
		}
	}()
	reg, err := a.stats.registry()
	if err != nil {
		return err
	}
	a.starting()
	if a.admin, err = startAdmin(a.cfg.Admin.Listen, reg, a.state.get, a.notes); err != nil {
		return err
	}
	defer a.admin.close(context.WithoutCancel(ctx))
	a.log.Info("started", zap.Strings("roles", a.cfg.Roles), zap.String("admin", a.admin.addr), zap.Int("rules", len(a.loaded.get().Rules.Rules())), zap.Stringer("topics", a.cfg.logs()))
	if !a.prepare(ctx) {
		return nil
	}
	a.stats.start.Store(time.Now().UnixMilli())
	reading, delivering := a.start(ctx)
	reading.Go(func() { a.keepGeneration(ctx) })
	<-ctx.Done()
	a.log.Info("stopping: finishing what was begun", zap.Duration("within", a.cfg.Limits.Drain))
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
		return fmt.Errorf("did not finish within %s (limits.drain): what is left is repeated after the next start", a.cfg.Limits.Drain)
	}
}

// starting says of every part that this process will have that it is not ready yet.
func (a *app) starting() {
	a.state.set("kafka", "starting")
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
	ready := a.insist(ctx, "kafka", func(ctx context.Context) error {
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
			a.state.tell(part, err.Error())
			a.log.Error("kafka", zap.String("loop", part), zap.Error(err))
		}}
	a.state.set(part, "") // a member of the group without partitions is ready too
	err := a.client.Consume(ctx, cfg, func(ctx context.Context, c *kafka.Claim) error {
		a.state.set(part, "")
		a.log.Info("reading", zap.String("loop", part), zap.Int("partitions", len(c.Owned())))
		return loop(ctx, c)
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
	d := &pipeline.Detect{Program: a.loaded.program, Newer: a.loaded.hurry, MaxWait: a.cfg.Reload.Wait, Store: shardStore{a.book}, HitsTopic: a.cfg.Kafka.HitsTopic, Wanted: a.wanted, Clock: time.Now,
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

// states is what /readyz says of each part: "" is ready.
type states struct {
	mu    sync.Mutex
	parts map[string]trouble
}

// trouble is why a part is not ready. What was told in passing is forgotten when it was not told again for a while: the loops
// repeat what goes on being wrong every ten seconds.
type trouble struct {
	why   string
	until time.Time // zero: until something else is set
}

const troubleLasts = 30 * time.Second

func (s *states) set(part, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[part] = trouble{why: why}
}

func (s *states) tell(part, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[part] = trouble{why, time.Now().Add(troubleLasts)}
}

func (s *states) get() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]string, len(s.parts))
	for part, t := range s.parts {
		out[part] = t.why
		if !t.until.IsZero() && time.Now().After(t.until) {
			out[part] = ""
		}
	}
	return out
}

// explain says what to do about an error, where that is known.
func explain(part string, err error) string {
	if part == "kafka" {
		return kafka.Explain(err)
	}
	return err.Error()
}
