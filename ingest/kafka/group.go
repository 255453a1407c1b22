package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/klaxonhq/klaxon/event"
)

const (
	defaultSession = 10 * time.Second
	defaultBudget  = 64 << 20
	defaultMaxWait = 500 * time.Millisecond
	defaultWatch   = 2 * time.Second
	defaultFind    = 10 * time.Second
	minHeartbeat   = 100 * time.Millisecond
	maxHeartbeat   = time.Second
	heartbeats     = 6 // in one session
	joinBackoff    = 300 * time.Millisecond
	closeTimeout   = 5 * time.Second
	maxJoinBackoff = 5 * time.Second
	groupTolerated = 3 * time.Second // coordinators moving and loading are told only after this long
)

// GroupConfig says what a group reads.
type GroupConfig struct {
	ID      string
	Topics  Selection
	Session time.Duration // after which a member that died loses its partitions; 10 s when 0
	Budget  int64         // bytes of batches that may be unreleased; 64 MiB when 0
	MaxWait time.Duration // how long a broker waits for new records, and how often idle partitions are told; 500 ms when 0
	Watch   time.Duration // how often topics are looked at for changes; 2 s when 0
	Find    time.Duration // how often all topics are listed for new ones that fit a pattern; 10 s when 0
	// OnError is told what goes wrong while Consume goes on trying; the same text at most every ten seconds. It may be called from
	// several goroutines, and must not block. It may be nil.
	OnError func(error)
}

func (g *GroupConfig) normalise() error {
	switch {
	case g.ID == "":
		return errors.New("consumer group without an id")
	case g.Topics.empty():
		return fmt.Errorf("consumer group %s without a topic", g.ID)
	}
	if g.Session <= 0 {
		g.Session = defaultSession
	}
	if g.Budget <= 0 {
		g.Budget = defaultBudget
	}
	if g.MaxWait <= 0 {
		g.MaxWait = defaultMaxWait
	}
	if g.Watch <= 0 {
		g.Watch = defaultWatch
	}
	if g.Find <= 0 {
		g.Find = defaultFind
	}
	return nil
}

// group is one member of a consumer group.
type group struct {
	client *Client
	cfg    GroupConfig
	fn     func(context.Context, *Claim) error
	tell   *reporter
	found  []string  // what fitted a pattern when all topics were last listed
	listed time.Time // when that was
}

// Consume joins a group and calls fn for every generation in which this member owns partitions. The context given to fn ends when
// they are to be given back: fn must stop fetching, and return well within Session; it may still commit. When fn returns earlier,
// its error is told through OnError, and the group is joined anew after a pause.
//
// It joins only when a topic exists, waits for named ones that do not, and joins anew when a topic appears, is deleted or created
// anew, or changes its number of partitions. A topic without committed offsets is read from its beginning. It returns nil when ctx
// ends, and an error only for a configuration that can never work.
func (c *Client) Consume(ctx context.Context, cfg GroupConfig, fn func(ctx context.Context, claim *Claim) error) error {
	if err := cfg.normalise(); err != nil {
		return err
	}
	if len(c.cfg.Brokers) == 0 {
		return errNoBrokers
	}
	g := &group{client: c, cfg: cfg, fn: fn, tell: newReporter(cfg.OnError)}
	for backoff := joinBackoff; ctx.Err() == nil; {
		shapes, err := g.shapes(ctx)
		if len(shapes) == 0 {
			if ctx.Err() == nil {
				g.tell.report(err)
				_ = pause(ctx, backoff)
				backoff = min(2*backoff, g.cfg.Watch, maxJoinBackoff)
			}
			continue
		}
		g.tell.report(err)
		backoff = joinBackoff
		g.member(ctx, shapes)
	}
	return nil
}

// shapes returns the topics that exist; the error names the others.
func (g *group) shapes(ctx context.Context) (map[string]Shape, error) {
	ctx, cancel := call(ctx)
	defer cancel()
	names, err := g.names(ctx)
	if err != nil {
		return nil, g.unreachable(ctx, err)
	}
	if len(names) == 0 {
		return map[string]Shape{}, g.client.explained("group "+g.cfg.ID+" waits", &NothingFitsError{g.cfg.Topics.patterns})
	}
	found, err := g.client.metadata(ctx, names)
	if err != nil {
		return nil, g.unreachable(ctx, err)
	}
	shapes := map[string]Shape{}
	var missing []error
	for i := range found {
		switch err := found[i].err(); {
		case errors.Is(err, ErrUnknownTopic) && !g.cfg.Topics.Named(found[i].name): // deleted since it was listed
		case err != nil:
			missing = append(missing, g.client.access(err, toRead, onTopic, found[i].name))
		case len(found[i].leaders) > 0:
			shapes[found[i].name] = found[i].shape()
		}
	}
	return shapes, g.client.explained("group "+g.cfg.ID+" waits", errors.Join(missing...))
}

// unreachable explains why brokers did not say what there is, trying them by hand where the error does not tell.
func (g *group) unreachable(ctx context.Context, err error) error {
	return g.client.explained("read topics for group "+g.cfg.ID, g.client.diagnose(ctx, err))
}

// names returns the topics to read as far as they are known: the named ones, and those that fitted a pattern when all topics were
// last listed.
func (g *group) names(ctx context.Context) ([]string, error) {
	s := &g.cfg.Topics
	if len(s.patterns) == 0 {
		return s.names, nil
	}
	if g.listed.IsZero() || time.Since(g.listed) >= g.cfg.Find {
		topics, err := g.client.list(ctx)
		if err != nil {
			return nil, err
		}
		g.found = g.found[:0]
		for _, t := range topics {
			if s.Has(t.Name) && !s.Named(t.Name) {
				g.found = append(g.found, t.Name)
			}
		}
		g.listed = time.Now()
	}
	return slices.Concat(s.names, g.found), nil
}

// member takes part in the group until ctx ends or the topics are no longer what shapes says.
func (g *group) member(ctx context.Context, shapes map[string]Shape) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	cg, err := g.join(shapes)
	if err != nil {
		g.tell.report(g.client.explained("join group "+g.cfg.ID, err))
		_ = pause(ctx, joinBackoff)
		return
	}
	var watching sync.WaitGroup
	watching.Go(func() { g.watch(ctx, shapes, leave) })
	var trouble time.Time
	for ctx.Err() == nil {
		gen, err := cg.Next(ctx)
		if err != nil {
			if trouble.IsZero() {
				trouble = time.Now()
			}
			g.joinError(ctx, err, trouble)
			continue
		}
		trouble = time.Time{}
		g.generation(ctx, leave, gen, shapes)
	}
	leave()
	watching.Wait()
	closed := make(chan struct{})
	go func() { // ends by its own timeouts: a dead coordinator cannot be told good-bye
		_ = cg.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}

func (g *group) join(shapes map[string]Shape) (*kafkago.ConsumerGroup, error) {
	c := g.client
	return kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: g.cfg.ID, Brokers: c.cfg.Brokers, Topics: slices.Sorted(maps.Keys(shapes)),
		Dialer:            &kafkago.Dialer{ClientID: c.cfg.ClientID, Timeout: dialTimeout, DialFunc: c.dial, SASLMechanism: c.cfg.SASL},
		SessionTimeout:    g.cfg.Session,
		RebalanceTimeout:  g.cfg.Session,
		HeartbeatInterval: min(max(g.cfg.Session/heartbeats, minHeartbeat), maxHeartbeat),
		JoinGroupBackoff:  joinBackoff,
		StartOffset:       kafkago.FirstOffset,
		GroupBalancers:    []kafkago.GroupBalancer{balancer{shapes}},
		Timeout:           callTimeout,
		ErrorLogger: kafkago.LoggerFunc(func(format string, args ...any) {
			c.log.Debug("kafka group", zap.String("said", fmt.Sprintf(format, args...)))
		}),
	})
}

// joinError tells what keeps a member out of its group, but not what every rebalance brings.
func (g *group) joinError(ctx context.Context, err error, since time.Time) {
	if ctx.Err() != nil || errors.Is(err, kafkago.ErrGroupClosed) {
		return
	}
	var code kafkago.Error
	if errors.As(err, &code) {
		switch code {
		case kafkago.GroupLoadInProgress, kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup, kafkago.RebalanceInProgress,
			kafkago.UnknownMemberId, kafkago.IllegalGeneration:
			if time.Since(since) < groupTolerated {
				return
			}
		}
	}
	g.tell.report(g.client.explained("join group "+g.cfg.ID, g.client.access(err, toRead, onGroup, g.cfg.ID)))
}

// watch calls leave when the topics are no longer what shapes says. It looks twice: a broker that starts may not know all topics.
func (g *group) watch(ctx context.Context, shapes map[string]Shape, leave func()) {
	for seen := 0; pause(ctx, g.cfg.Watch/time.Duration(1+4*seen)) == nil; {
		now, err := g.shapes(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && now == nil:
			g.tell.report(err)
		case maps.Equal(now, shapes):
			seen = 0
			g.tell.report(err)
		case seen > 0:
			g.client.log.Info("kafka: the group's topics changed, joining anew", zap.String("group", g.cfg.ID),
				zap.Strings("new", lacking(shapes, now)), zap.Strings("gone", lacking(now, shapes)))
			leave()
			return
		default:
			seen++
		}
	}
}

// lacking is the topics of want that have no like among those of have, sorted.
func lacking(have, want map[string]Shape) []string {
	var out []string
	for name, shape := range want {
		if have[name] != shape {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// generation runs fn for one generation and returns when it is over.
func (g *group) generation(ctx context.Context, leave func(), gen *kafkago.Generation, shapes map[string]Shape) {
	done := make(chan struct{})
	gen.Start(func(ended context.Context) {
		defer close(done)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stop := context.AfterFunc(ended, cancel)
		defer stop()
		claim := g.claim(ctx, leave, gen, shapes)
		defer claim.close()
		if len(claim.parts) == 0 {
			<-ctx.Done()
			return
		}
		if !claim.loadCommitted(ctx) || !claim.resolve(ctx) {
			return
		}
		err := g.fn(ctx, claim)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			g.tell.report(fmt.Errorf("group %s stopped reading: %w", g.cfg.ID, err))
		}
		_ = pause(ctx, joinBackoff) // the member keeps its partitions meanwhile: nobody else would fare better
	})
	<-done
}

// claim makes the claim for what a generation was assigned.
func (g *group) claim(ctx context.Context, leave func(), gen *kafkago.Generation, shapes map[string]Shape) *Claim {
	c := &Claim{
		client: g.client, cfg: &g.cfg, gen: gen, tell: g.tell, held: newAccount(g.cfg.Budget),
		byKey: map[partitionKey]*partition{}, busy: map[slot]bool{},
		results: make(chan outcome, 16), found: make(chan topicsFound, 1), bounded: make(chan boundsFound, 16),
		staleAt: time.Now().Add(leadersTTL),
		onShape: func(string) { leave() },
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		c.topics = append(c.topics, Topic{Name: name, ID: shapes[name].ID, Partitions: shapes[name].Partitions})
	}
	for _, topic := range slices.Sorted(maps.Keys(gen.Assignments)) {
		shape := shapes[topic]
		for _, a := range gen.Assignments[topic] {
			p := &partition{
				src:   event.Source{Topic: topic, TopicID: shape.ID, Partition: int32(a.ID)},
				count: shape.Partitions, leader: -1, epoch: -1, maxBytes: partitionBytes, end: -1,
				next: FirstOffset, delivered: FirstOffset, committed: FirstOffset, asked: FirstOffset, gone: true, // until loadCommitted
			}
			c.parts = append(c.parts, p)
			c.byKey[p.key()] = p
		}
	}
	return c
}

// resolve finds the leaders, and the first offsets of partitions without a committed one. It reports whether it could before ctx
// ended.
func (c *Claim) resolve(ctx context.Context) bool {
	c.staleAt = time.Time{}
	for {
		waiting := false
		for _, p := range c.parts {
			waiting = waiting || p.leader < 0 || p.gone
		}
		if !waiting {
			break
		}
		c.lookUp(time.Now())
		if c.await(ctx, metadataPause) != nil {
			return false
		}
		c.collect()
	}
	for _, p := range c.parts {
		if p.committed < 0 {
			p.committed = p.next
		}
	}
	return true
}

// lookUp is schedule without fetching.
func (c *Claim) lookUp(now time.Time) {
	if !c.asking && !now.Before(c.staleAt) {
		c.askTopics()
	}
	lost := map[int32][]*partition{}
	for _, p := range c.parts {
		if p.gone && !p.busy && p.leader >= 0 && !now.Before(p.retryAt) {
			lost[p.leader] = append(lost[p.leader], p)
		}
	}
	for broker, parts := range lost {
		c.askBounds(broker, parts)
	}
}
