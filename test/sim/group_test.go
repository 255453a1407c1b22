package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/kafka"
)

// session is after which a member that is not heard of loses its partitions.
const session = 2 * time.Second

// group is a consumer group: who owns which partitions of a topic, and the offsets committed.
type group struct {
	s         *sim
	name      string
	topic     *topic
	committed map[int32]int64
	reached   map[int32]int64 // the greatest offset that was ever committed: a commit that comes late sets the committed one back
	gen       int
	members   []*member
	forming   bool // the next generation waits for members to give back what they own
	round     int  // counts how often one formed
}

// member is a loop of a process as a member of its group.
type member struct {
	g       *group
	p       *process
	in      bool // it is known to the group; a zombie is not, and does not know it yet
	leaving bool
	claim   *claim // the last one it was given
	running bool   // its loop has not returned from it
	claims  chan *claim
	quit    context.Context
	leave   context.CancelFunc
}

// claim is what a member owns in one generation. It is the pipeline.SeekClaim of its loop.
type claim struct {
	caller
	m      *member
	gen    int
	id     string // of the topic, when it was dealt
	parts  []int32
	next   map[int32]int64     // where reading stands
	idle   map[int32]time.Time // when the end was last told
	turn   int
	ctx    context.Context
	revoke context.CancelFunc
}

func (s *sim) group(name string, t *topic) *group {
	g := &group{s: s, name: name, topic: t, committed: map[int32]int64{}, reached: map[int32]int64{}}
	s.groups = append(s.groups, g)
	return g
}

// join makes a loop of a process a member; it asks to be let in at once.
func (g *group) join(p *process) *member {
	m := &member{g: g, p: p, claims: make(chan *claim, 1)}
	m.quit, m.leave = context.WithCancel(p.ctx)
	g.members = append(g.members, m)
	return m
}

// run gives each claim to the loop until the member leaves.
func (m *member) run(loop func(context.Context, *claim) error) {
	for {
		select {
		case <-m.quit.Done():
			return
		case c := <-m.claims:
			if err := loop(c.ctx, c); err != nil && c.ctx.Err() == nil {
				pause(c.ctx, 300*time.Millisecond) // as kafka.Client.Consume does
			}
			m.g.s.mu.Lock()
			m.running = false
			m.g.s.mu.Unlock()
			m.g.s.wake()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// settle brings the group on, and answers whether it did anything.
func (g *group) settle() bool {
	for i, m := range g.members {
		switch {
		case m.leaving && !m.running && !m.p.dead:
			g.members = slices.Delete(g.members, i, i+1)
			g.form()
			return true
		case m.running || m.p.dead || m.p.paused:
		case !m.in: // new, or back from a generation that is over
			m.in = true
			g.form()
			return true
		case m.claim != nil && m.claim.gen == g.gen && len(m.claim.parts) > 0 && !g.forming: // its loop gave up
			g.form()
			return true
		}
	}
	if g.forming && !slices.ContainsFunc(g.members, func(m *member) bool { return m.in && (m.running || m.p.dead || m.p.paused) }) {
		g.generation()
		return true
	}
	return false
}

// form begins a rebalance: members learn of it with their next heartbeat. Who does not give back in time is left behind.
func (g *group) form() {
	if g.forming {
		return
	}
	g.forming = true
	g.round++
	round := g.round
	for _, m := range g.members {
		if m.in && m.running {
			m.notice(g.s.delay(time.Second))
		}
	}
	g.s.after(session, "", func() {
		if g.forming && g.round == round {
			g.s.happened["rebalances that left members behind"]++
			g.s.tell("%s: the rebalance waits no more", g.name)
			for _, m := range slices.Clone(g.members) {
				if m.in && (m.running || m.p.dead || m.p.paused) {
					m.expel()
				}
			}
		}
	})
}

// delay is a time that differs from run to run, unless nothing is to be disturbed.
func (s *sim) delay(most time.Duration) time.Duration {
	if s.calm {
		return 0
	}
	return s.span(most)
}

// notice has the member learn, after a while, that its claim is over. A process that stands still learns of it when it goes on.
func (m *member) notice(d time.Duration) {
	c := m.claim
	m.g.s.after(d, m.p.name+" "+m.g.name+" learns that its claim is over", func() {
		if !m.p.paused {
			c.revoke()
		}
	})
}

// expel takes a member for dead.
func (m *member) expel() {
	if !m.in {
		return
	}
	m.in = false
	if m.running && !m.p.paused && !m.p.dead {
		m.notice(m.g.s.delay(3 * time.Second))
	}
	if m.p.dead {
		m.g.members = slices.DeleteFunc(m.g.members, func(x *member) bool { return x == m })
	}
	m.g.form()
}

// generation deals the partitions to the members that are in.
func (g *group) generation() {
	g.forming = false
	g.gen++
	in := slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return !m.in })
	for i, m := range in {
		c := &claim{caller: caller{m.p, g.name}, m: m, gen: g.gen, id: g.topic.id, next: map[int32]int64{}, idle: map[int32]time.Time{}}
		for n, p := range g.topic.active {
			if (n+g.gen)%len(in) == i {
				c.parts = append(c.parts, p)
				c.next[p] = g.committed[p]
			}
		}
		c.ctx, c.revoke = context.WithCancel(m.quit)
		m.claim = c
		if len(c.parts) > 0 {
			m.running = true
			m.claims <- c
		}
		g.s.tell("%s: generation %d: %s owns %v", g.name, g.gen, m.p.name, c.parts)
	}
}

func (c *claim) source(p int32) event.Source {
	return event.Source{Topic: c.m.g.topic.name, TopicID: c.id, Partition: p}
}

// Owned implements pipeline.Claim.
func (c *claim) Owned() (out []kafka.Partition) {
	for _, p := range c.parts {
		out = append(out, kafka.Partition{Source: c.source(p), Partitions: c.m.g.topic.partitions, Offset: c.next[p]})
	}
	return out
}

// Topics implements pipeline.GroupClaim.
func (c *claim) Topics() []kafka.Topic {
	return []kafka.Topic{{Name: c.m.g.topic.name, ID: c.id, Partitions: c.m.g.topic.partitions}}
}

// Seek implements pipeline.SeekClaim.
func (c *claim) Seek(src event.Source, offset int64) error {
	c.next[src.Partition] = max(offset, 0)
	return nil
}

// Fetch implements pipeline.Claim.
func (c *claim) Fetch(ctx context.Context) (*event.Batch, error) {
	var b *event.Batch
	asked := c.p.now().UnixMilli()
	err := c.m.g.s.one(ctx, &op{caller: c.caller, name: "fetch", ready: c.ready, about: func() string { return describe(b) },
		effect: func(int) error {
			b = c.read(asked)
			return nil
		}})
	if err != nil {
		return nil, err // what was read is read again by the next Fetch
	}
	if b.First == b.Next {
		c.idle[b.Source.Partition] = time.Now()
	}
	c.next[b.Source.Partition] = b.Next
	if c.m.g.s.mistakes.endAsOfNow {
		b.Asked = c.p.now().UnixMilli()
	}
	return b, nil
}

func describe(b *event.Batch) string {
	if b == nil {
		return ""
	}
	end := ""
	if b.AtEnd {
		end = ", the end"
	}
	return fmt.Sprintf("%s/%d [%d, %d)%s", b.Source.Topic, b.Source.Partition, b.First, b.Next, end)
}

// maxWait is how often a partition that was read to its end is told of.
const maxWait = 2 * time.Second

// ready is when there is something to hand out.
func (c *claim) ready() time.Time {
	at := time.Now().Add(time.Hour)
	if c.id != c.m.g.topic.id {
		return at // of a topic that is gone there is nothing to tell
	}
	for _, p := range c.parts {
		if c.next[p] < c.m.g.topic.end(p) {
			return time.Time{}
		}
		if next := c.idle[p].Add(maxWait); next.Before(at) {
			at = next
		}
	}
	return at
}

// read makes a batch of the next partition that has something to tell.
func (c *claim) read(asked int64) *event.Batch {
	s, t := c.m.g.s, c.m.g.topic
	now := time.Now()
	for range c.parts {
		p := c.parts[c.turn%len(c.parts)]
		c.turn++
		first, end := c.next[p], t.end(p)
		if first == end && now.Before(c.idle[p].Add(maxWait)) {
			continue
		}
		most := int64(8)
		if !s.calm {
			most = 1 + s.rng.Int64N(8)
		}
		next := min(end, first+most)
		b := &event.Batch{Source: c.source(p), Partitions: t.partitions, First: first, Next: next, End: end, AtEnd: next == end, Asked: asked, Bytes: 100}
		for _, r := range t.logs[p][first:next] {
			if r.hole {
				continue
			}
			b.Records = append(b.Records, event.Record{Source: b.Source, Offset: r.offset, Time: r.time, Value: r.value})
		}
		if s.mistakes.commitAtFetch && t.name == sourceTopic {
			c.m.g.committed[p], c.m.g.reached[p] = next, next
		}
		return b
	}
	return &event.Batch{Source: c.source(c.parts[0]), First: c.next[c.parts[0]], Next: c.next[c.parts[0]]}
}

// Commit implements pipeline.Claim.
func (c *claim) Commit(ctx context.Context, offsets event.Offsets) error {
	offsets = maps.Clone(offsets)
	s := c.m.g.s
	return s.one(ctx, &op{caller: c.caller, name: "commit", lossy: true, about: func() string { return fmt.Sprint(byPartition(offsets)) },
		effect: func(int) error {
			if c.gen != c.m.g.gen || !c.m.in {
				s.happened["commits of members that were left behind"]++
				return errFenced
			}
			if c.id != c.m.g.topic.id {
				s.happened["commits for the topic that is gone"]++
				return nil // kept beside the topic's id, which is another one now
			}
			for src, next := range offsets {
				if end := c.m.g.topic.end(src.Partition); next > end {
					s.wrong("%s commits offset %d of partition %d, which ends at %d", c.m.g.name, next, src.Partition, end)
				}
				c.m.g.committed[src.Partition] = next
				c.m.g.reached[src.Partition] = max(c.m.g.reached[src.Partition], next)
			}
			return nil
		}})
}

func byPartition(offsets event.Offsets) map[int32]int64 {
	out := map[int32]int64{}
	for src, next := range offsets {
		out[src.Partition] = next
	}
	return out
}
