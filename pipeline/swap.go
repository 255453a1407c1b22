package pipeline

import (
	"context"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"go.uber.org/zap"
)

// ruleVersion is a rule as it decides what counts.
type ruleVersion struct {
	id    string
	basis uint64
}

// Bounds of waiting for rules: how often to look whether they are there, and how many are remembered not to be waited for.
const (
	lookAgain = 100 * time.Millisecond
	maxPast   = 10_000
)

// swap gives a shard the rules that are in force. Its memory is stored soon after: until then a restart would bring back what the
// earlier rules remembered.
func (g *detecting) swap(o *owned) {
	p := g.Program()
	if p == o.program {
		return
	}
	for id, basis := range o.program.Rules() {
		if !p.Knows(id, basis) {
			g.giveUp(ruleVersion{id, basis})
		}
	}
	report := o.memory.Swap(p)
	o.program, o.written = p, time.Time{}
	log := g.Log.Debug
	if len(report.Dropped) > 0 {
		log = g.Log.Info
	}
	log("new rules in a shard", zap.Int32("shard", o.source.Partition), zap.Stringer("memory", report))
}

// giveUp remembers a rule that nothing is to wait for.
func (g *detecting) giveUp(v ruleVersion) {
	if len(g.past) >= maxPast {
		clear(g.past)
	}
	v.id = strings.Clone(v.id) // it may be of a frame, whose memory is reused
	g.past[v] = struct{}{}
}

// await holds back a frame with hits of rules that are not loaded here: another process may have loaded them a moment earlier. It
// waits until they are, or the frame has become too old for that to be likely; what was raised before does not wait with it. It
// answers false if ctx ended meanwhile, or the store failed: then the frame must not be applied, and its next owner reads it again.
func (g *detecting) await(ctx context.Context, o *owned, f *hit.Frame, made *event.Record) (bool, error) {
	v, ahead := g.ahead(o, f)
	if !ahead {
		return true, nil
	}
	g.Stats.RuleWaits.Add(1)
	if o.next = max(o.next, made.Offset); len(o.pending) > 0 {
		if err := g.transact(ctx, false); err != nil {
			return false, err
		}
	}
	for until := time.UnixMilli(made.Time).Add(g.MaxWait); g.Clock().Before(until); {
		if g.Newer != nil {
			g.Newer()
		}
		if !sleep(ctx, lookAgain) {
			return false, nil
		}
		g.swap(o)
		if v, ahead = g.ahead(o, f); !ahead {
			return true, nil
		}
	}
	for ; ahead; v, ahead = g.ahead(o, f) {
		g.Log.Warn("hits of a rule that is not loaded here are left out: processes with different rules share these shards, or an earlier version of the rule made them",
			zap.String("rule", v.id), zap.Int32("shard", o.source.Partition))
		g.giveUp(v)
	}
	return true, nil
}

// ahead finds a rule that a frame has hits of, and that is neither loaded nor known to be of the past.
func (g *detecting) ahead(o *owned, f *hit.Frame) (ruleVersion, bool) {
	for i := range f.Hits {
		h := &f.Hits[i]
		if o.program.Knows(h.Rule, h.Basis) {
			continue
		}
		v := ruleVersion{h.Rule, h.Basis}
		if _, past := g.past[v]; !past {
			return v, true
		}
	}
	return ruleVersion{}, false
}
