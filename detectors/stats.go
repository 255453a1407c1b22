package detectors

// counts are what a memory counts since it was made or restored.
type counts struct {
	hits, late, seenBefore, staleBasis, unknownRule, badTime, foreignFrames, ticks, alerts int64
	evictedKeys, evictedHits, endedEarly, forgottenEarly, rounded, samplesDropped          int64
}

// Stats is the memory's size and what it counted since it was made or restored, by name.
func (m *Memory) Stats() map[string]int64 {
	c := &m.counts
	return map[string]int64{
		"keys":            int64(m.keys),
		"bytes":           m.bytes, // about
		"hits":            c.hits,
		"alerts":          c.alerts, // revisions
		"ticks":           c.ticks,
		"late":            c.late,           // hits of a time that was closed
		"seen_before":     c.seenBefore,     // hits of a position that was seen
		"stale_basis":     c.staleBasis,     // hits of another version of their rule
		"unknown_rule":    c.unknownRule,    // hits of rules that are not in the program
		"bad_time":        c.badTime,        // hits of a time that cannot be
		"foreign_frames":  c.foreignFrames,  // frames of an earlier incarnation of a topic, or that cannot be
		"evicted_keys":    c.evictedKeys,    // keys given up because memory was full
		"evicted_hits":    c.evictedHits,    // their hits
		"ended_early":     c.endedEarly,     // alerts ended because memory was full or the rule changed
		"forgotten_early": c.forgottenEarly, // times that a key forgot hits because time stood still
		"rounded":         c.rounded,        // times that a key's times were rounded
		"samples_dropped": c.samplesDropped, // samples too large to keep
	}
}

// Now is the shard's time, Unix milliseconds: hits up to it come too late. It is far in the past until every partition was heard.
func (m *Memory) Now() int64 { return m.now }
