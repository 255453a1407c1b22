package sim

import "time"

// wild says how a run is disturbed.
type wild struct {
	order  bool          // calls are done in any order
	faults int           // one in so many calls goes wrong; 0: none
	kills  bool          // some of these kill the process
	events time.Duration // about how often something happens to a process or a group; 0: never
	skew   time.Duration // how far clocks are off, either way
	rot    bool          // now and then a checkpoint comes damaged
}

// wildOf is how the run of a seed is disturbed: some little, some all the time.
func wildOf(seed uint64) wild {
	pick := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed >> 33 % uint64(n))
	}
	return wild{order: pick(4) > 0, faults: []int{0, 10, 40, 40, 150}[pick(5)], kills: pick(3) > 0,
		events: []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second}[pick(4)], skew: []time.Duration{0, 300 * time.Millisecond}[pick(2)], rot: pick(4) == 0}
}

// Times of a run, since its start: until when it is disturbed, or, where the source topic is made anew, until when it is before and how
// long after that.
const (
	chaos      = 8 * time.Second
	recreation = 12 * time.Second
	halfChaos  = 4 * time.Second
)

// firstEvent numbers events apart from steps.
const firstEvent = 1_000_000

// happenings has things happen to processes and groups for as long as the run is disturbed.
func (s *sim) happenings() {
	if !s.workload.recreated {
		s.between(firstEvent, 0, chaos)
		return
	}
	s.between(firstEvent, 0, halfChaos)
	s.after(recreation, "", func() { s.calm = false })
	s.between(2*firstEvent, recreation, recreation+halfChaos)
}

func (s *sim) between(id int, at, end time.Duration) {
	s.after(end, "nothing is disturbed any more", s.calmDown)
	for ; s.wild.events > 0 && at < end; id++ {
		s.pcg.Seed(s.seed, uint64(id))
		at += time.Duration(s.rng.Int64N(2 * int64(s.wild.events)))
		s.after(at, "", func() {
			s.pcg.Seed(s.seed, uint64(id))
			if s.disturbed(id, 1) {
				s.happening(s.rng.IntN(len(s.slots)))
			}
		})
	}
}

// happening has something happen to what runs in a slot.
func (s *sim) happening(slot int) {
	p := s.slots[slot]
	switch k := s.rng.IntN(10); {
	case p == nil:
		s.start(slot)
	case p.leaving:
	case p.paused && k < 2:
		p.kill()
	case p.paused:
		p.goOn()
	case k < 2:
		p.kill()
	case k < 5:
		p.stop()
	case k < 6:
		p.leave()
	case k < 7: // its heartbeats get lost
		m := p.members[s.rng.IntN(len(p.members))]
		s.happened["members taken for dead"]++
		s.tell("%s is taken for dead by %s", p.name, m.g.name)
		m.expel()
	case k < 8:
		g := s.groups[s.rng.IntN(len(s.groups))]
		s.tell("%s is dealt anew", g.name)
		g.form()
	default:
		s.happened["rules loaded anew"]++
		s.tell("%s loads its rules anew", p.name)
		p.rules = 1 - p.rules
	}
}

// calmDown ends all disturbance: what is stopped goes on, and somebody runs.
func (s *sim) calmDown() {
	s.calm = true
	running := false
	for _, p := range s.slots {
		if p != nil && p.paused {
			p.goOn()
		}
		running = running || p != nil && !p.leaving
	}
	for slot, p := range s.slots {
		if !running && p == nil {
			s.start(slot)
			return
		}
	}
	if !running { // all slots are taken by processes that end
		s.after(100*time.Millisecond, "", s.calmDown)
	}
}
