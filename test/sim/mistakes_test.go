package sim

import (
	"slices"
	"testing"

	"github.com/klaxonhq/klaxon/hit"
)

// mistakes are ways in which what surrounds the loops could be wrong. Undisturbed, none of them shows; each must be found in few
// schedules, or the simulation proves nothing.
type mistakes struct {
	commitAtFetch   bool // what was handed out counts as done
	endAsOfNow      bool // the end of a partition is vouched for as of the answer, not of the question
	skipFailed      bool // what could not be written to the hits topic is given up
	newPositions    bool // what is written again looks new to who reads it
	ownIDs          bool // the ids of documents depend on who archives them
	flushEarly      bool // what is not durable yet counts as durable
	checkpointAhead bool // a checkpoint counts for an offset behind its own
	twoTransactions bool // offsets are stored before the alerts that they stand for
	noFence         bool // who was the owner of a shard may still write
	sentFirst       bool // messages are taken off before they are delivered
	noKeys          bool // the destination does not look at idempotency keys
}

// allMistakes is each of them alone.
func allMistakes() map[string]mistakes {
	return map[string]mistakes{
		"commits at the fetch":          {commitAtFetch: true},
		"vouches for the end as of now": {endAsOfNow: true},
		"skips what failed":             {skipFailed: true},
		"gives new positions":           {newPositions: true},
		"ids of its own":                {ownIDs: true},
		"flush counted early":           {flushEarly: true},
		"checkpoint ahead":              {checkpointAhead: true},
		"offsets before alerts":         {twoTransactions: true},
		"no fence":                      {noFence: true},
		"sent before delivered":         {sentFirst: true},
		"no idempotency keys":           {noKeys: true},
	}
}

// fewSchedules is in how many schedules a mistake must show.
const fewSchedules = 300

func TestMistakesAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it tests the simulation, and takes a thousand schedules")
	}
	for name, wrong := range allMistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i := range b.workloads {
				c := config{workload: b.workloads[i], mistakes: wrong}
				if d := run(t, c).differs(b.calm(t, i), c.workload.partitions); len(d) > 0 {
					t.Fatalf("it shows when nothing is disturbed, which says nothing of the schedules:\n%s", d[0])
				}
			}
			for seed := range uint64(fewSchedules) {
				c := b.schedule(seed)
				c.mistakes = wrong
				if d := run(t, c).differs(b.calm(t, b.index(seed)), c.workload.partitions); len(d) > 0 {
					t.Logf("found by schedule %d: %s", seed, firstLine(d[0]))
					return
				}
			}
			t.Errorf("not found in %d schedules", fewSchedules)
		})
	}
}

// relabelled is a frame as it is when it is written for the first time. When it is written again it names another partition, so that
// who reads it has not seen its position.
func (w *world) relabelled(shard int32, frame []byte) []byte {
	var f, g hit.Frame
	if f.Parse(frame) != nil || f.Kind != hit.Hits {
		return frame
	}
	again := slices.ContainsFunc(w.hits.logs[shard], func(r logged) bool {
		return g.Parse(r.value) == nil && g.Kind == hit.Hits && g.Source == f.Source && g.Last >= f.First
	})
	if again {
		f.Source.Partition += 1000
		return f.Append(nil)
	}
	return frame
}

func firstLine(s string) string {
	for i := range s {
		if s[i] == '\n' {
			return s[:i]
		}
	}
	return s
}
