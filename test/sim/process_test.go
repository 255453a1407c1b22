package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/pipeline"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// process is klaxon, from its start to its end: the real loops upon adapters that ask the scheduler.
type process struct {
	s       *sim
	name    string
	number  int // of all that were started
	slot    int
	ctx     context.Context
	cancel  context.CancelFunc
	dead    bool // its calls reach nobody any more
	paused  bool // by SIGSTOP: its calls wait
	leaving bool
	since   int // counts how often it was paused, so that what was to happen to it then does not happen later
	skew    time.Duration
	rules   int // which of the generations it uses
	members []*member
	wake    map[string]chan struct{} // by destination
	living  int                      // goroutines
}

// start starts a process in a slot.
func (s *sim) start(slot int) {
	p := &process{s: s, slot: slot, wake: map[string]chan struct{}{}}
	s.everybody = append(s.everybody, p)
	p.number = len(s.everybody)
	p.name = fmt.Sprintf("p%d", p.number)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if s.wild.skew > 0 {
		p.skew = time.Duration(s.rng.Int64N(2*int64(s.wild.skew))) - s.wild.skew
	}
	s.slots[slot] = p
	s.tell("%s starts", p.name)
	log := zap.New(&complaints{p})
	p.member(s.groups[0], p.archive(log))
	p.member(s.groups[1], p.match(log))
	p.member(s.groups[2], p.detect(log))
	for _, d := range destinations() {
		p.wake[d.Name] = make(chan struct{}, 1)
		p.goes(p.deliver(d.Name, log))
	}
}

// goes runs a goroutine of the process.
func (p *process) goes(f func()) {
	p.living++
	go func() {
		f()
		p.s.mu.Lock()
		p.living--
		p.s.mu.Unlock()
		p.s.wake()
	}()
}

func (p *process) member(g *group, loop func(context.Context, *claim) error) {
	m := g.join(p)
	p.members = append(p.members, m)
	p.goes(func() { m.run(loop) })
}

// now is the process's clock.
func (p *process) now() time.Time { return time.Now().Add(p.skew) }

func (p *process) generation() *pipeline.Generation { return p.s.workload.generations[p.rules].events }

func (p *process) archive(log *zap.Logger) func(context.Context, *claim) error {
	c := caller{p, archiveGroup}
	a := &pipeline.Archive{Generation: p.generation, NewSink: func() (pipeline.ArchiveSink, error) { return &archive{caller: c}, nil }, Sender: letters{c}, DeadLetters: deadTopic,
		Undecodable: true, Clock: time.Now, Log: log, Stats: pipeline.NewArchiveStats(), Every: time.Second, MaxDocuments: 6, MaxBytes: 1 << 20, MaxHeld: 1 << 20, Drain: time.Second}
	return func(ctx context.Context, c *claim) error { return a.Run(ctx, c) }
}

func (p *process) match(log *zap.Logger) func(context.Context, *claim) error {
	m := &pipeline.Match{Generation: p.generation, Producer: producer{caller{p, matchGroup + " sender"}}, HitsTopic: hitsTopic, Clock: p.now, Log: log, Stats: &pipeline.MatchStats{},
		Tick: time.Second, Idle: idle, Commit: time.Second, MaxQueue: 4 << 10, Drain: time.Second}
	return func(ctx context.Context, c *claim) error { return m.Run(ctx, c) }
}

func (p *process) detect(log *zap.Logger) func(context.Context, *claim) error {
	d := &pipeline.Detect{Program: func() *detectors.Program { return p.s.workload.generations[p.rules].program }, Store: shards{caller{p, detectGroup}}, HitsTopic: hitsTopic,
		Wanted: func(_ context.Context, topic string) bool { return topic == sourceTopic }, Silence: 30 * time.Second, MaxWait: 3 * time.Second, Clock: p.now, Log: log, Stats: &pipeline.DetectStats{}, Applied: p.applied, Checkpoint: 2 * time.Second, Save: time.Second,
		Timeout: 2 * time.Second, Drain: time.Second}
	return func(ctx context.Context, c *claim) error { return d.Run(ctx, c) }
}

// applied tells every delivery of the process that something may be due.
func (p *process) applied() {
	for _, c := range p.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (p *process) deliver(destination string, log *zap.Logger) func() {
	c := caller{p, "deliver " + destination}
	d := &pipeline.Deliver[incidents.Message]{Destination: destination, Outbox: outbox{c}, Notifier: notifier{c, destination},
		Permanent: func(err error) bool { return errors.Is(err, incidents.ErrPermanent) }, Attempts: func(m incidents.Message) int { return m.Attempts },
		Subject: func(m incidents.Message) string { return m.Subject }, Clock: p.now, Log: log, Stats: &pipeline.DeliverStats{}, Wake: p.wake[destination],
		Every: 2 * time.Second, Timeout: time.Second, Jitter: func() float64 { return 0.5 }}
	return func() { d.Run(p.ctx) }
}

// kill ends the process as kill -9 does. The groups find out when its session ends.
func (p *process) kill() {
	if !p.s.calm {
		p.s.happened["processes killed"]++
	}
	p.s.tell("%s is killed", p.name)
	p.s.mu.Lock()
	p.dead, p.paused = true, false
	for _, o := range p.s.ops {
		if o.p == p {
			o.answer <- all(o.parts, errDead)
		}
	}
	p.s.ops = removed(p.s.ops, p)
	p.s.mu.Unlock()
	p.cancel()
	p.s.slots[p.slot] = nil
	p.expire()
}

func removed(ops []*op, p *process) []*op {
	var out []*op
	for _, o := range ops {
		if o.p != p {
			out = append(out, o)
		}
	}
	return out
}

// expire ends the process's sessions, unless it goes on before.
func (p *process) expire() {
	p.since++
	since := p.since
	p.s.after(session, p.name+": its sessions end", func() {
		if p.since == since {
			for _, m := range p.members {
				m.expel()
			}
		}
	})
}

// stop stops the process as SIGSTOP does.
func (p *process) stop() {
	p.s.happened["processes stopped"]++
	p.s.tell("%s is stopped", p.name)
	p.paused = true
	p.expire()
}

// goOn continues a process that was stopped. It does not know yet what it has lost meanwhile.
func (p *process) goOn() {
	p.s.tell("%s goes on", p.name)
	p.paused = false
	p.since++
	for _, m := range p.members {
		if m.running && (!m.in || m.g.forming || m.claim.gen != m.g.gen) {
			m.notice(p.s.delay(2 * time.Second))
		}
	}
}

// leave ends the process as SIGTERM does. Its slot is free when its goroutines have ended.
func (p *process) leave() {
	p.s.happened["processes told to end"]++
	p.s.tell("%s is told to end", p.name)
	p.leaving = true
	for _, m := range p.members {
		m.leaving = true
	}
	p.cancel()
}

// ended says whether nothing of a process is left.
func (p *process) ended() bool { return p.living == 0 }

// complaints is a log that keeps what nobody should have to read: errors of processes that are alive.
type complaints struct{ p *process }

func (c *complaints) Enabled(l zapcore.Level) bool      { return l >= zapcore.ErrorLevel }
func (c *complaints) With([]zapcore.Field) zapcore.Core { return c }
func (c *complaints) Sync() error                       { return nil }
func (c *complaints) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c *complaints) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if c.p.dead || c.p.s.expected(e.Message) {
		return nil
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	c.p.s.wrong("%s logs an error: %s %v", c.p.name, e.Message, enc.Fields)
	return nil
}

// expected says whether an error is one that the schedule itself brings about.
func (s *sim) expected(message string) bool {
	return s.wild.rot && message == "cannot read a checkpoint, trying the one before" ||
		s.wild.faults > 0 && strings.HasPrefix(message, "a destination failed so often that it is left alone for a while")
}
