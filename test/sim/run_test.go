package sim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// config is a run.
type config struct {
	workload  *workload
	seed      uint64
	processes int
	wild      wild     // the zero value disturbs nothing
	mistakes  mistakes // of the adapters
	killAt    int      // the step at which the process is killed; 0: none
	killAfter bool     // when the step was done
	only      []int    // what may be disturbed, of steps and events; nil: everything
	traced    bool
}

// The names of the groups, in the order of sim.groups.
const (
	archiveGroup = "archive"
	matchGroup   = "match"
	detectGroup  = "detect"
)

// settling is how long after its last record every episode has ended: the slot and the window, lateness, the idle time, and ticks.
const settling = 9 * time.Second

// run runs klaxon over a workload and answers what is there in the end.
func run(t *testing.T, c config) (out *outcome) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		s := newSim(c)
		ok := s.play()
		if !ok && len(s.found) == 0 {
			s.wrong("the run does not come to rest after %d steps and %s", s.n, time.Since(epoch))
		}
		s.end()
		out = s.outcome()
	})
	return out
}

// play runs the processes until nothing more is to be expected of them.
func (s *sim) play() bool {
	s.group(archiveGroup, s.world.source)
	s.group(matchGroup, s.world.source)
	s.group(detectGroup, s.world.hits)
	s.arrive()
	s.calm = s.wild == wild{}
	if !s.calm {
		s.happenings()
	}
	for slot := range s.slots {
		s.start(slot)
	}
	last := s.workload.records[len(s.workload.records)-1].after
	read := func() bool { return s.calm && time.Since(epoch) >= last && s.consumed() }
	if !s.until(read) {
		return false
	}
	rest := time.Now().Add(settling)
	ok := s.until(func() bool { return !time.Now().Before(rest) && s.consumed() })
	for first := true; ok && (first || !s.stored()); first = false { // again where a process was killed at its end, and another one started
		ok = s.leave(s.groups[0]) && s.leave(s.groups[1]) && s.until(s.caughtUp) && s.leave(s.groups[2])
	}
	return ok && s.until(s.delivered)
}

// consumed says whether the loops that read the source have committed all of it.
func (s *sim) consumed() bool {
	for _, g := range s.groups[:2] {
		for _, p := range g.topic.active {
			if g.reached[p] != g.topic.end(p) {
				return false
			}
		}
	}
	return true
}

// leave has a group's members leave, and waits until they have.
func (s *sim) leave(g *group) bool {
	for _, m := range g.members {
		m.leaving = true
		m.leave()
	}
	return s.until(func() bool {
		for _, m := range g.members {
			if m.running {
				return false
			}
		}
		return true
	})
}

// caughtUp says whether every shard is owned and read to its end.
func (s *sim) caughtUp() bool {
	owned := 0
	for _, m := range s.groups[2].members {
		if !m.running || m.claim.gen != s.groups[2].gen {
			continue
		}
		for _, p := range m.claim.parts {
			if m.claim.next[p] < s.world.hits.end(p) {
				return false
			}
			owned++
		}
	}
	return owned == len(s.world.hits.active)
}

// stored says whether the store has every shard's offset at its end.
func (s *sim) stored() bool {
	for _, p := range s.world.hits.active {
		if s.world.saved[p] != s.world.hits.end(p) {
			return false
		}
	}
	return true
}

// delivered says whether nothing waits in the outbox.
func (s *sim) delivered() bool {
	tally, err := s.world.book.Tally(context.Background())
	if err != nil {
		s.wrong("cannot read the store: %v", err)
	}
	for _, b := range tally.Outbox {
		if b.Waiting > 0 {
			return false
		}
	}
	return true
}

// end kills what still runs, and waits for all goroutines.
func (s *sim) end() {
	synctest.Wait()
	for _, p := range s.slots {
		if p != nil {
			p.kill()
		}
	}
	for living := true; living; {
		time.Sleep(time.Second)
		synctest.Wait()
		living = false
		for _, p := range s.everybody {
			living = living || !p.ended()
		}
	}
}
