package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	oneSeed   = flag.Int64("seed", -1, "run this schedule only")
	schedules = flag.Int("schedules", 5000, "how many schedules to run")
	everyStep = flag.Bool("trace", false, "print every step of a schedule that fails")
)

func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(800) // much is made and soon forgotten
	os.Exit(m.Run())
}

// bench is the workloads, and how they end undisturbed.
type bench struct {
	workloads []*workload
	calms     []func(*testing.T) *outcome
}

// newBench makes a bench of its own for each caller, since tests run side by side.
func newBench(t *testing.T) *bench {
	t.Helper()
	both := [2]generation{compile(t), compile(t)}
	b := &bench{}
	for i := range uint64(8) {
		w := newWorkload(i, 1+int32(i%4+1)/2%2, 26, i >= 6, both)
		b.workloads = append(b.workloads, w)
		var once sync.Once
		var calm *outcome
		b.calms = append(b.calms, func(t *testing.T) *outcome {
			once.Do(func() { calm = run(t, config{workload: w}) })
			return calm
		})
	}
	return b
}

// calm is how a workload ends when nothing is disturbed.
func (b *bench) calm(t *testing.T, i int) *outcome {
	t.Helper()
	return b.calms[i](t)
}

func (b *bench) index(seed uint64) int { return int(seed % uint64(len(b.workloads))) }

// schedule is the run of a seed.
func (b *bench) schedule(seed uint64) config {
	return config{workload: b.workloads[b.index(seed)], seed: seed, processes: 1 + int(seed/8%3), wild: wildOf(seed)}
}

// TestUndisturbed: what the other tests compare with is a run in which everything happens that can.
func TestUndisturbed(t *testing.T) {
	b := newBench(t)
	for i, w := range b.workloads {
		o := b.calm(t, i)
		t.Logf("%s: %d steps, %d documents, %d dead letters, %d alerts, %d incidents, %d messages", w.name, o.steps, len(o.documents), len(o.dead),
			len(o.book.Alerts), len(o.book.Incidents), len(o.book.Messages))
		if len(o.found) > 0 || len(o.documents) < 10 || len(o.dead) < 2 || len(o.book.Alerts) < 6 || len(o.book.Incidents) < 3 {
			t.Errorf("%s: %v", w.name, o.found)
		}
	}
}

// TestKilledAtEveryStep kills the process once between every two steps of all loops: before a step, and when the step was done and
// its loop was not told. Another one starts, and must end as if nothing had been.
func TestKilledAtEveryStep(t *testing.T) {
	b, every := newBench(t), 1
	if testing.Short() {
		every = 41
	}
	i := len(b.workloads) - 2 // of two partitions, and with a topic that is made anew
	w, calm := b.workloads[i], b.calm(t, i)
	for k := 1; k <= calm.steps; k += every {
		for _, after := range []bool{false, true} {
			c := config{workload: w, killAt: k, killAfter: after}
			if o := run(t, c); len(o.differs(calm, w.partitions)) > 0 {
				c.traced = true
				t.Fatalf("killed at step %d of %d, done: %v\n%s", k, calm.steps, after, report(run(t, c), calm, w))
			}
		}
	}
	t.Logf("%s: killed before and after every step of %d, by loop %v", w.name, calm.steps, calm.kinds)
}

// TestSchedules runs seeded schedules of everything that can go wrong.
func TestSchedules(t *testing.T) {
	if *oneSeed >= 0 {
		b := newBench(t)
		b.check(t, uint64(*oneSeed))
		return
	}
	n := uint64(*schedules)
	if testing.Short() {
		n = min(n, 160)
	}
	var next atomic.Int64
	var seen coverage
	t.Cleanup(func() { seen.report(t, n) })
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for seed := uint64(next.Add(1) - 1); seed < n && !t.Failed(); seed = uint64(next.Add(1) - 1) {
				seen.add(b.check(t, seed))
			}
		})
	}
}

// coverage is what happened in all schedules.
type coverage struct {
	mu       sync.Mutex
	runs     uint64
	steps    int
	happened map[string]int
}

func (c *coverage) add(o *outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs++
	c.steps += o.steps
	if c.happened == nil {
		c.happened = map[string]int{}
	}
	for name, n := range o.happened {
		c.happened[name] += n
	}
}

// kinds is how many things there are, at the least, that happen in a few schedules.
const kinds = 19

// report checks that everything happened that can: schedules in which nothing goes wrong prove nothing.
func (c *coverage) report(t *testing.T, want uint64) {
	for _, name := range slices.Sorted(maps.Keys(c.happened)) {
		t.Logf("%7d %s", c.happened[name], name)
	}
	t.Logf("%d schedules, %d steps", c.runs, c.steps)
	if !t.Failed() && (c.runs != want || len(c.happened) < kinds) {
		t.Errorf("%d schedules of %d, in which %d of %d kinds of things happened", c.runs, want, len(c.happened), kinds)
	}
}

// check runs the schedule of a seed. One that fails is made as short as it can be, and shown.
func (b *bench) check(t *testing.T, seed uint64) *outcome {
	t.Helper()
	c, calm := b.schedule(seed), b.calm(t, b.index(seed))
	o := run(t, c)
	if len(o.differs(calm, c.workload.partitions)) == 0 {
		return o
	}
	c.only = shortest(o.applied, func(only []int) bool {
		c.only = only
		return len(run(t, c).differs(calm, c.workload.partitions)) > 0
	})
	c.traced = true
	o = run(t, c)
	t.Errorf("schedule %d of %s, %d processes, %+v\nrun it again: go test ./test/sim -run TestSchedules -seed %d [-trace]\n%s",
		seed, c.workload.name, c.processes, c.wild, seed, report(o, calm, c.workload))
	return o
}

// TestSameSeedSameRun: a schedule that fails fails again.
func TestSameSeedSameRun(t *testing.T) {
	b, n := newBench(t), uint64(24)
	if testing.Short() {
		n = 6
	}
	for seed := range n {
		c := b.schedule(seed)
		c.traced = true
		if d := cmp.Diff(run(t, c).trace, run(t, c).trace); d != "" {
			t.Fatalf("schedule %d is another one the second time:\n%s", seed, d)
		}
	}
}

// TestShortest: of a schedule that fails, what is shown is little more than what it takes.
func TestShortest(t *testing.T) {
	b := newBench(t)
	for seed := range uint64(fewSchedules) {
		c, calm := b.schedule(seed), b.calm(t, b.index(seed))
		c.mistakes = mistakes{flushEarly: true}
		fails := func(only []int) bool {
			c.only = only
			return len(run(t, c).differs(calm, c.workload.partitions)) > 0
		}
		if !fails(nil) {
			continue
		}
		c.only = nil
		all := run(t, c).applied
		only := shortest(all, fails)
		if !fails(only) || len(all) > 10 && len(only) > len(all)/2 {
			t.Errorf("schedule %d: %d of %d remain: %v", seed, len(only), len(all), only)
		}
		if len(all) > 10 {
			t.Logf("schedule %d: %d disturbances, of which %v remain", seed, len(all), only)
			return
		}
	}
	t.Error("no schedule of many disturbances failed")
}

// mostTries bounds the search for the shortest schedule.
const mostTries = 300

// shortest leaves out what is not needed to fail: half of it, a quarter, and so on, until nothing can be left out any more.
func shortest(all []int, fails func([]int) bool) []int {
	tries := 0
	for size, before := max(len(all)/2, 1), len(all); size > 0; {
		for i := 0; i < len(all) && tries < mostTries; tries++ {
			rest := slices.Concat(all[:i], all[min(i+size, len(all)):])
			if fails(listed(rest)) {
				all = rest
			} else {
				i += size
			}
		}
		if size > 1 || len(all) == before {
			size /= 2
		}
		before = len(all)
	}
	return listed(all)
}

// listed is a list for config.only that is not nil, which would stand for everything. There is no step 0.
func listed(only []int) []int { return append(only, 0) }

// report says what is wrong, and what happened; of the steps those that did not simply succeed, unless all are wanted.
func report(o, calm *outcome, w *workload) string {
	var lines []string
	for _, l := range o.trace {
		if *everyStep || !strings.HasSuffix(l, ": done") {
			lines = append(lines, l)
		}
	}
	return strings.Join(append(o.differs(calm, w.partitions), lines...), "\n")
}
