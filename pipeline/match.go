package pipeline

import (
	"context"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"go.uber.org/zap"
)

// MatchStats counts what the match loop did.
type MatchStats struct {
	Records, Events, DeadLetters, Hits, Frames, SamplesCut, ProduceFailures, Commits, CommitFailures Counter
	Skipped                                                                                          Counter // records that were gone from the log before they were read
	HitsDropped                                                                                      Counter // hits that no frame could hold, or that the hits topic refused
	Lag                                                                                              TopicGauge
	QueuedBytes, Partitions                                                                          Gauge
	Rules                                                                                            RuleStats // brought up to date at every tick
	// OldestUncommitted is the time of the oldest record that was read and not committed, as of the last commit or try of one:
	// Unix milliseconds, 0 for none.
	OldestUncommitted Gauge
}

// Match is the match loop: by source partition, remembering nothing. Each hit goes to the hits topic, in the shard of its key.
type Match struct {
	Generation func() *Generation // the current one; asked at every batch
	Producer   Producer
	HitsTopic  string
	Clock      Clock
	Log        *zap.Logger
	Stats      *MatchStats

	Tick     time.Duration // how often watermarks are sent; 1 s
	Idle     time.Duration // a partition that was read to its end counts as the time of the asking minus this
	Commit   time.Duration // how often offsets are committed; 1 s
	MaxQueue int           // bytes of frames that may wait before no more is fetched
	Drain    time.Duration // how long frames may take to be acknowledged after the partitions are lost
}

// matching is the state of one generation of the consumer group.
type matching struct {
	*Match
	claim  GroupClaim
	sender *sender
	worker *Worker
	of     *Generation
	parts  map[event.Source]*matched
}

// matched is how far one source partition has come.
type matched struct {
	partitions int32
	units      []*unit
	top        int64 // greatest event time seen
	end        int64 // when the log's end was last seen, Unix milliseconds, or NoTime
	lag        int64
}

// Run matches what the claim gives until ctx ends. It returns an error when offsets could not be committed at the end: harmless,
// since the next owner repeats what was not committed.
func (m *Match) Run(ctx context.Context, claim GroupClaim) error {
	g := &matching{Match: m, claim: claim, sender: newSender(m.HitsTopic, m.Producer, m.Log, &m.Stats.ProduceFailures, &m.Stats.HitsDropped), parts: map[event.Source]*matched{}}
	for _, p := range claim.Owned() {
		g.parts[p.Source] = &matched{partitions: p.Partitions, top: NoTime, end: NoTime}
	}
	m.Stats.Partitions.Store(int64(len(g.parts)))
	defer func() {
		m.Stats.Lag.Store(nil)
		m.Stats.Partitions.Store(0)
		m.Stats.OldestUncommitted.Store(0)
	}()
	stop := make(chan struct{})
	sendCtx, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	g.announce()
	go g.sender.run(sendCtx, stop)
	g.loop(ctx)
	g.countRules()
	close(stop)
	limit := time.AfterFunc(m.Drain, kill)
	<-g.sender.done
	limit.Stop()
	last, done := afterwards(ctx, m.Drain)
	defer done()
	return g.commit(last)
}

func (g *matching) loop(ctx context.Context) {
	lastCommit, lastTick := g.Clock(), time.Time{}
	for ctx.Err() == nil {
		queued := g.sender.size()
		g.Stats.QueuedBytes.Store(int64(queued))
		if queued > g.MaxQueue { // back-pressure: no fetch
			sleep(ctx, 5*time.Millisecond)
		} else if b, err := g.claim.Fetch(ctx); err == nil {
			g.batch(b)
			b.Release()
		}
		now := g.Clock()
		if now.Sub(lastTick) >= g.Tick && g.sender.size() <= g.MaxQueue {
			lastTick = now
			g.tick()
			g.countRules()
		}
		g.sender.flush()
		if now.Sub(lastCommit) >= g.Match.Commit {
			lastCommit = now
			if err := g.commit(ctx); err != nil && ctx.Err() == nil {
				g.Log.Warn("cannot commit offsets of the match loop; what lies behind them is repeated after a restart", zap.Error(err))
			}
		}
	}
}

func (g *matching) batch(b *event.Batch) {
	p := g.parts[b.Source]
	if p == nil {
		return // of a partition that is not ours any more
	}
	if b.Skipped > 0 {
		g.Stats.Skipped.Add(int(b.Skipped))
		g.Log.Error("records are gone from the log before they were read", zap.String("topic", b.Source.Topic), zap.Int32("partition", b.Source.Partition), zap.Int64("records", b.Skipped))
	}
	p.lag = max(0, b.End-b.Next)
	if b.AtEnd {
		p.end = max(p.end, b.Asked)
	}
	if b.Next == b.First {
		return
	}
	if now := g.Generation(); now != g.of {
		g.countRules()
		g.of, g.worker = now, NewWorker(now)
	}
	u := &unit{next: b.Next, oldest: oldest(0, b.Records)}
	counts := g.worker.Batch(b, func(shard int32, f *hit.Frame) {
		g.sender.put(shard, f.Append(nil), u)
		g.Stats.Frames.Add(1)
	})
	p.queue(g.sender, u)
	p.top = max(p.top, min(counts.Top, g.Clock().UnixMilli()))
	g.count(counts)
}

// queue keeps a unit until it may be committed. One whose frames are all acknowledged takes the place of such a one before it, so
// that records without hits do not pile up behind a shard that cannot be written.
func (p *matched) queue(s *sender, u *unit) {
	if n := len(p.units); n > 0 && s.acknowledged(u) && s.acknowledged(p.units[n-1]) {
		u.oldest = earlier(u.oldest, p.units[n-1].oldest)
		p.units[n-1] = u
		return
	}
	p.units = append(p.units, u)
}

// acknowledged makes one unit of those at the front whose frames are all acknowledged, and answers whether there is one.
func (p *matched) acknowledged(s *sender) bool {
	n := 0
	for n < len(p.units) && s.acknowledged(p.units[n]) {
		p.units[n].oldest = earlier(p.units[n].oldest, p.units[max(0, n-1)].oldest)
		n++
	}
	if n > 0 {
		p.units = p.units[n-1:]
	}
	return n > 0
}

func (g *matching) count(c WorkerCounts) {
	s := g.Stats
	s.Records.Add(c.Records)
	s.Events.Add(c.Events)
	s.DeadLetters.Add(c.DeadLetters)
	s.Hits.Add(c.Hits)
	s.SamplesCut.Add(c.Cut)
	s.HitsDropped.Add(c.Dropped)
}

// countRules tells what became of each rule's events. It is not done with every batch, because there may be thousands of rules.
func (g *matching) countRules() {
	if g.worker != nil {
		g.worker.countRules(&g.Stats.Rules)
	}
}

// announce names every topic of the group to every shard, before anything else is said. A shard that has not heard of a topic does not
// wait for it: the time of another topic that is read faster, by this process or another one, would make its events late.
func (g *matching) announce() {
	for _, t := range g.claim.Topics() {
		f := hit.Frame{Kind: hit.Tick, Source: event.Source{Topic: t.Name, TopicID: t.ID}, Partitions: t.Partitions}
		frame := f.Append(nil)
		for shard := range int32(hit.Shards) {
			g.sender.put(shard, frame, nil)
		}
	}
}

// tick sends every shard how far the event time of each owned partition has come. It stands behind the frames that it vouches
// for, and the time of a partition that was read to its end is taken from when that fetch was sent: a process that slept since
// knows nothing newer.
func (g *matching) tick() {
	byTopic := map[event.Source]*hit.Frame{}
	lag := map[string]int64{}
	for s, p := range g.parts {
		lag[s.Topic] += p.lag
		topic := event.Source{Topic: s.Topic, TopicID: s.TopicID}
		f := byTopic[topic]
		if f == nil {
			f = &hit.Frame{Kind: hit.Tick, Source: topic, Partitions: p.partitions}
			byTopic[topic] = f
		}
		w := p.top
		if p.end != NoTime {
			w = max(w, p.end-g.Idle.Milliseconds())
		}
		if w == NoTime {
			continue
		}
		f.Marks = append(f.Marks, hit.Mark{Partition: s.Partition, Watermark: w})
	}
	g.Stats.Lag.Store(lag)
	for _, f := range byTopic {
		frame := f.Append(nil)
		for shard := range int32(hit.Shards) {
			g.sender.put(shard, frame, nil)
		}
	}
}

// commit commits what lies behind acknowledged frames. What cannot be committed is tried again, also when no record follows.
func (g *matching) commit(ctx context.Context) error {
	defer g.uncommitted()
	offsets := event.Offsets{}
	for s, p := range g.parts {
		if p.acknowledged(g.sender) {
			offsets[s] = p.units[0].next
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	if err := g.claim.Commit(ctx, offsets); err != nil {
		g.Stats.CommitFailures.Add(1)
		return err
	}
	for s := range offsets {
		g.parts[s].units = g.parts[s].units[1:]
	}
	g.Stats.Commits.Add(1)
	return nil
}

// uncommitted notes how old the oldest record is that waits to be committed.
func (g *matching) uncommitted() {
	at := int64(0)
	for _, p := range g.parts {
		for _, u := range p.units {
			at = earlier(at, u.oldest)
		}
	}
	g.Stats.OldestUncommitted.Store(at)
}
