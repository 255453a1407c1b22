package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// What a call is told that did not go well.
var (
	errInjected = errors.New("no answer")                    // nobody knows whether it was done
	errDead     = errors.New("the process was killed")       // its goroutines live on in here, but reach nobody any more
	errFenced   = errors.New("of a generation that is over") // what a broker answers to a late commit
)

// sim is one run. The loops' goroutines stop at every call to the outside until the scheduler, which acts when all of them
// stand still, decides about it.
type sim struct {
	config
	world     *world
	groups    []*group
	slots     []*process     // nil: not running
	everybody []*process     // that was ever started
	kinds     map[string]int // steps by loop
	happened  map[string]int // what went wrong, by its name

	n       int // steps so far
	rng     *rand.Rand
	pcg     *rand.PCG
	calm    bool // nothing is disturbed any more
	timed   []timed
	applied []int // steps and events at which something was disturbed
	trace   []string
	found   []string // what is wrong already

	mu      sync.Mutex // guards what the loops' goroutines write
	round   int
	ops     []*op
	arrived chan struct{}
}

// op is a call to the outside that waits for the scheduler.
type op struct {
	caller
	name   string
	parts  int                  // which have fates of their own
	effect func(part int) error // what the call does outside
	ready  func() time.Time     // not to be done before; nil: at any time
	lossy  bool                 // it may fail, and its effect may come late
	about  func() string        // for the trace
	answer chan []error         // by part
	round  int
	gone   bool      // its caller waits no more
	notYet time.Time // the scheduler holds it back
}

// caller is a goroutine of a process.
type caller struct {
	p    *process
	loop string
}

// timed is what happens by itself at a time.
type timed struct {
	at   time.Time
	name string
	do   func()
}

func newSim(c config) *sim {
	pcg := rand.NewPCG(c.seed, 0)
	s := &sim{config: c, pcg: pcg, rng: rand.New(pcg), arrived: make(chan struct{}, 1), slots: make([]*process, max(c.processes, 1)), kinds: map[string]int{}, happened: map[string]int{}}
	s.world = newWorld(s)
	return s
}

// ask has the scheduler decide about a call, and waits for the answer or for the end of the caller's patience.
func (s *sim) ask(ctx context.Context, o *op) []error {
	o.answer = make(chan []error, 1)
	s.mu.Lock()
	if o.p.dead {
		s.mu.Unlock()
		return all(o.parts, errDead)
	}
	if ctx.Err() != nil {
		s.mu.Unlock()
		return all(o.parts, ctx.Err())
	}
	o.round = s.round
	s.ops = append(s.ops, o)
	s.mu.Unlock()
	s.wake()
	select {
	case errs := <-o.answer:
		return errs
	case <-ctx.Done():
		s.mu.Lock()
		o.gone = true
		s.mu.Unlock()
		s.wake()
		return all(o.parts, ctx.Err())
	}
}

// one is ask for a call of one part.
func (s *sim) one(ctx context.Context, o *op) error {
	o.parts = 1
	return s.ask(ctx, o)[0]
}

func all(n int, err error) []error { return slices.Repeat([]error{err}, n) }

func (s *sim) wake() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// after has something happen by itself.
func (s *sim) after(d time.Duration, name string, do func()) {
	t := timed{time.Now().Add(d), name, do}
	i, _ := slices.BinarySearchFunc(s.timed, t, func(a, b timed) int { return cmp.Or(a.at.Compare(b.at), -1) }) // behind those of the same time
	s.timed = slices.Insert(s.timed, i, t)
}

// Bounds of a run: one that goes on for longer does not come to rest.
const (
	maxSteps = 30_000
	maxTime  = 3 * time.Minute
)

// until schedules until done, and answers false when the run does not get there.
func (s *sim) until(done func() bool) bool {
	for {
		synctest.Wait() // everybody stands still
		s.round++
		switch {
		case len(s.found) > 0 || s.n > maxSteps || time.Since(epoch) > maxTime:
			return false
		case s.happens() || s.rebalanced():
		case done():
			return true
		default:
			s.next()
		}
	}
}

// happens lets the next thing happen that is due by itself.
func (s *sim) happens() bool {
	if len(s.timed) == 0 || s.timed[0].at.After(time.Now()) {
		return false
	}
	t := s.timed[0]
	s.timed = s.timed[1:]
	if t.name != "" {
		s.tell("%s", t.name)
	}
	t.do()
	return true
}

// rebalanced brings the groups on, and forgets processes that have ended.
func (s *sim) rebalanced() bool {
	for slot, p := range s.slots {
		if p != nil && p.leaving && p.ended() {
			s.tell("%s has ended", p.name)
			s.slots[slot] = nil
		}
	}
	for _, g := range s.groups {
		if g.settle() {
			return true
		}
	}
	return false
}

// next takes a step, or lets time pass until there is one to take.
func (s *sim) next() {
	s.mu.Lock()
	o, wait := s.choose()
	s.mu.Unlock()
	if o != nil {
		s.step(o)
		return
	}
	if len(s.timed) > 0 {
		wait = min(wait, time.Until(s.timed[0].at))
	}
	t := time.NewTimer(max(wait, time.Microsecond))
	defer t.Stop()
	select {
	case <-s.arrived:
	case <-t.C:
	}
}

// choose takes a call that can be done now, or says how long to wait for one.
func (s *sim) choose() (*op, time.Duration) {
	now, wait := time.Now(), time.Minute
	var can []*op
	for _, o := range s.ops {
		at := o.notYet
		if o.ready != nil && !o.gone {
			at = later(at, o.ready())
		}
		switch {
		case o.p.paused:
		case at.After(now):
			wait = min(wait, at.Sub(now))
		default:
			can = append(can, o)
		}
	}
	if len(can) == 0 {
		return nil, wait
	}
	slices.SortStableFunc(can, func(a, b *op) int {
		return cmp.Or(a.round-b.round, a.p.number-b.p.number, strings.Compare(a.loop, b.loop))
	})
	s.n++
	s.pcg.Seed(s.seed, uint64(s.n)) // each step has draws of its own, so that one left out does not change all the others
	o := can[0]
	if !s.calm && s.wild.order {
		o = can[s.rng.IntN(len(can))]
	}
	s.ops = slices.DeleteFunc(s.ops, func(x *op) bool { return x == o })
	return o, 0
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// fate is what becomes of a call, or of a part of it.
type fate int

const (
	done fate = iota
	fails
	lost // it is done, and nobody is told
	late // it seems to fail, and is done later
)

func (f fate) String() string {
	return [...]string{"done", "fails", "answer lost", "seems to fail, comes late"}[f]
}

// step decides about one call.
func (s *sim) step(o *op) {
	if o.gone {
		s.left(o)
		return
	}
	s.kinds[o.loop]++
	if s.n == s.killAt {
		s.killHere(o)
		return
	}
	if s.disturbed(s.n, s.wild.faults) && s.disturb(o) {
		return
	}
	errs := make([]error, o.parts)
	for i := range errs {
		errs[i] = o.effect(i)
	}
	s.told(o, errs, "")
	o.answer <- errs
}

// disturbed says whether something is to go wrong at a step, as often as once in so many.
func (s *sim) disturbed(id, onceIn int) bool {
	if s.calm || onceIn == 0 || s.rng.IntN(onceIn) != 0 || s.only != nil && !slices.Contains(s.only, id) {
		return false
	}
	s.applied = append(s.applied, id)
	return true
}

// rots says whether what a step reads is damaged.
func (s *sim) rots() bool {
	if s.calm || !s.wild.rot || s.rng.IntN(6) > 0 || s.only != nil && !slices.Contains(s.only, -s.n) {
		return false
	}
	s.applied = append(s.applied, -s.n)
	s.happened["checkpoints damaged"]++
	return true
}

// left decides about a call whose caller waits no more: it may be on its way all the same.
func (s *sim) left(o *op) {
	if s.calm || !o.lossy || s.rng.IntN(2) == 0 {
		return
	}
	for i := range o.parts {
		_ = o.effect(i)
	}
	s.happened["calls done after their callers gave up"]++
	s.told(o, nil, "done, after its caller gave up")
}

// killHere kills the process before or after a call.
func (s *sim) killHere(o *op) {
	if s.killAfter {
		for i := range o.parts {
			_ = o.effect(i)
		}
	}
	s.told(o, nil, map[bool]string{true: "done, then killed", false: "killed before"}[s.killAfter])
	slot := o.p.slot
	o.p.kill()
	s.after(0, "start again", func() { s.start(slot) })
}

// disturb does a call otherwise than asked.
func (s *sim) disturb(o *op) bool {
	switch k := s.rng.IntN(20); {
	case k < 2 && s.wild.kills:
		s.killInside(o)
	case k < 4:
		o.notYet = time.Now().Add(s.span(3 * time.Second))
		s.mu.Lock()
		s.ops = append(s.ops, o)
		s.mu.Unlock()
		s.happened["calls held back"]++
		s.told(o, nil, "held back")
	case k < 7 || !o.lossy:
		s.slow(o)
	default:
		s.partly(o)
	}
	return true
}

// span is some time, mostly short.
func (s *sim) span(most time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(1 + int64(most)>>s.rng.IntN(5)))
}

// killInside kills the process in the middle of a call; each part of it may have been done, and other calls under way as well.
func (s *sim) killInside(o *op) {
	s.perform(o, "killed: ")
	for _, other := range s.of(o.p) {
		if other.lossy && s.rng.IntN(2) == 0 {
			s.perform(other, "killed too: ")
		}
	}
	o.p.kill()
}

// of is the calls of a process that wait.
func (s *sim) of(p *process) (out []*op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.ops {
		if o.p == p {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b *op) int { return cmp.Or(a.round-b.round, strings.Compare(a.loop, b.loop)) })
	return out
}

// slow does a call at once and answers later.
func (s *sim) slow(o *op) {
	errs := make([]error, o.parts)
	for i := range errs {
		errs[i] = o.effect(i)
	}
	s.happened["answers that were slow"]++
	s.told(o, errs, "slow to answer")
	s.after(s.span(6*time.Second), "answer to "+o.loop+" "+o.name, func() { o.answer <- errs })
}

// partly gives each part a fate of its own.
func (s *sim) partly(o *op) { o.answer <- s.perform(o, "") }

// perform does each part as chance has it.
func (s *sim) perform(o *op, how string) []error {
	errs := make([]error, o.parts)
	fates := make([]string, o.parts)
	for i := range errs {
		f := fate(s.rng.IntN(4))
		fates[i] = f.String()
		if f != done {
			s.happened["parts of calls: "+f.String()]++
		}
		errs[i] = errInjected
		switch f {
		case done:
			errs[i] = o.effect(i)
		case lost:
			_ = o.effect(i)
		case late:
			if o.lossy {
				s.after(s.span(8*time.Second), "what came late of "+o.loop+" "+o.name, func() { s.arrivesLate(o, i) })
			}
		}
	}
	s.told(o, nil, how+strings.Join(fates, ", "))
	return errs
}

func (s *sim) arrivesLate(o *op, part int) {
	if o.p.dead {
		s.happened["what a killed process had asked for"]++
	}
	_ = o.effect(part)
}

// told writes a step into the trace.
func (s *sim) told(o *op, errs []error, how string) {
	if !s.traced {
		return
	}
	what := ""
	if o.about != nil {
		what = " " + o.about()
	}
	if how == "" {
		how = "done"
		if err := errors.Join(errs...); err != nil {
			how = err.Error()
		}
	}
	s.tell("#%d %s %s %s%s: %s", s.n, o.p.name, o.loop, o.name, what, how)
}

func (s *sim) tell(format string, args ...any) {
	if s.traced {
		s.trace = append(s.trace, fmt.Sprintf("%7.3fs ", time.Since(epoch).Seconds())+fmt.Sprintf(format, args...))
	}
}

// wrong notes what must not be.
func (s *sim) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = append(s.found, fmt.Sprintf(format, args...))
}
