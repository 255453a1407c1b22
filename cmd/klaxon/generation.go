package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/rules"
	"go.uber.org/zap"
)

// generations holds the generation in force, and replaces it as a whole when a file behind it changes. Files that do not load leave
// it as it is. Loops ask for it at every batch.
type generations struct {
	sources func() sources
	log     *zap.Logger
	stats   *stats
	current atomic.Pointer[loaded]
	ask     chan struct{} // somebody saw a sign of newer files

	why atomic.Pointer[string] // why the files on disk are not in force, nil while they are

	mu      sync.Mutex // one look at a time, which lasts for as long as files go on changing
	sums    fileSums
	refused string // the fingerprint of files that did not load, "" while what is on disk is what is in force
}

// generationStats counts what became of changed files.
type generationStats struct {
	Loads, Failures          pipeline.Counter
	Refused, Loaded, Changed pipeline.Gauge // Refused: 0 or 1; Loaded, Changed: Unix milliseconds
}

// newGenerations loads the first generation, without which there is nothing to run. Every mistake is in the error.
func newGenerations(from func() sources, log *zap.Logger, stats *stats) (*generations, error) {
	g := &generations{sources: from, log: log, stats: stats, ask: make(chan struct{}, 1)}
	next, list := g.load()
	if next == nil {
		return nil, mistakes(list)
	}
	g.adopt(next)
	return g, nil
}

// get is the generation in force.
func (g *generations) get() *loaded { return g.current.Load() }

func (g *generations) generation() *pipeline.Generation { return &g.get().Generation }

func (g *generations) program() *detectors.Program { return g.get().program }

// trouble is why the files on disk are not in force, "" while they are. It waits for nothing: whoever asks whether the process is
// well must be answered while files are loaded, too.
func (g *generations) trouble() string {
	if why := g.why.Load(); why != nil {
		return *why
	}
	return ""
}

// hurry has the files looked at now.
func (g *generations) hurry() {
	select {
	case g.ask <- struct{}{}:
	default:
	}
}

// maxReads is how often files are read again that change while they are read.
const maxReads = 5

var errRestless = errors.New("they change faster than they can be read")

// load compiles what is on disk: files that stayed the same from before they were read until after.
func (g *generations) load() (*loaded, diag.List) {
	for range maxReads {
		s := g.sources()
		if last := g.get(); last != nil {
			s.opened = last.databases
		}
		before := fingerprint(s, &g.sums)
		next, list := load(s)
		if fingerprint(s, &g.sums) != before {
			continue
		}
		if next != nil {
			next.hash, next.at = before, time.Now()
		}
		return next, list
	}
	return nil, diag.List{{File: "datasets, rules and lists", Message: errRestless.Error()}}
}

func (g *generations) adopt(next *loaded) {
	g.current.Store(next)
	g.refused = ""
	g.why.Store(nil)
	g.stats.generation.Loads.Add(1)
	g.stats.generation.Refused.Store(0)
	g.stats.generation.Loaded.Store(next.at.UnixMilli())
	g.stats.databases(next.databases)
	for _, v := range next.databases.Versions() {
		g.log.Info("database of addresses", zap.String("kind", string(v.Kind)), zap.String("type", v.Type), zap.Time("built", v.Built))
	}
}

// settle is how long changed files must stay the same before they are loaded: somebody may be copying a folder. Files that never stay
// the same are tried after maxSettle.
const (
	settle    = 500 * time.Millisecond
	maxSettle = time.Minute
)

// look compares the files with what is in force, and loads them if they differ. Told says that somebody waits for an answer, and so
// it is given although nothing changed. It answers whether there is a new generation.
func (g *generations) look(ctx context.Context, told bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := fingerprint(g.sources(), &g.sums)
	switch {
	case now == g.get().hash:
		g.unchanged(told)
		return false
	case now == g.refused && !told:
		return false
	}
	g.stats.generation.Changed.Store(time.Now().UnixMilli())
	for began := time.Now(); !told && time.Since(began) < maxSettle; {
		if !pause(ctx, settle) {
			return false
		}
		next := fingerprint(g.sources(), &g.sums)
		if next == now {
			break
		}
		now = next
	}
	next, list := g.load()
	if next == nil {
		g.refuse(now, list)
		return false
	}
	g.log.Info("a new generation of rules, datasets, lists and databases is in force", next.changes(g.get())...)
	for _, d := range list {
		g.log.Warn("a warning about the new generation", zap.String("at", d.String()))
	}
	g.adopt(next)
	return true
}

// unchanged notes that what is on disk is what is in force, which it may not have been a moment ago.
func (g *generations) unchanged(told bool) {
	if g.refused != "" {
		g.log.Info("the files that did not load are again as they are in force")
		g.refused = ""
		g.why.Store(nil)
		g.stats.generation.Refused.Store(0)
	} else if told {
		g.log.Info("rules, datasets, lists and databases are as they are in force")
	}
}

// shownMistakes is how many mistakes of a generation that did not load are logged; `klaxon check` shows all.
const shownMistakes = 20

func (g *generations) refuse(hash string, list diag.List) {
	var mistakes []string
	for _, d := range list {
		if !d.Warning {
			mistakes = append(mistakes, d.String())
		}
	}
	why := "changed files do not load, and what was loaded before goes on"
	if len(mistakes) > 0 {
		why += ": " + mistakes[0]
	}
	if n := len(mistakes) - 1; n > 0 {
		why += fmt.Sprintf(" (and %d more)", n)
	}
	g.refused = hash
	g.why.Store(&why)
	g.stats.generation.Failures.Add(1)
	g.stats.generation.Refused.Store(1)
	g.log.Error("changed files do not load, and what was loaded before goes on; klaxon check shows every mistake",
		zap.Int("mistakes", len(mistakes)), zap.Strings("first", mistakes[:min(len(mistakes), shownMistakes)]))
}

// changes says what is new, for the log.
func (g *loaded) changes(old *loaded) []zap.Field {
	was, is := old.byID(), g.byID()
	var added, removed, changed, reset []string
	for id, r := range is {
		switch before, ok := was[id]; {
		case !ok:
			added = append(added, id)
		case before.Basis != r.Basis:
			reset = append(reset, id)
		case before.Version != r.Version:
			changed = append(changed, id)
		}
	}
	for id := range was {
		if is[id] == nil {
			removed = append(removed, id)
		}
	}
	fields := []zap.Field{zap.String("generation", g.short()), zap.Int("rules", len(is)), zap.Int("datasets", len(g.datasets.List()))}
	for _, c := range []struct {
		name string
		ids  []string
	}{{"rules_added", added}, {"rules_removed", removed}, {"rules_changed", changed}, {"rules_counting_anew", reset}} {
		if len(c.ids) > 0 {
			slices.Sort(c.ids)
			fields = append(fields, zap.Int(c.name+"_count", len(c.ids)), zap.Strings(c.name, c.ids[:min(len(c.ids), shownMistakes)]))
		}
	}
	return fields
}

func (g *loaded) byID() map[string]*rules.Rule {
	return maps.Collect(func(yield func(string, *rules.Rule) bool) {
		for _, r := range g.Rules.Rules() {
			if !yield(r.ID, r) {
				return
			}
		}
	})
}

// short names the generation: equal in all processes that have loaded the same files.
func (g *loaded) short() string { return g.hash[:min(12, len(g.hash))] }

// watch looks at the files every so often (never when that is zero), when somebody asks, and at each signal, until ctx ends. After
// each look it calls then.
func (g *generations) watch(ctx context.Context, every time.Duration, signals <-chan os.Signal, then func(ctx context.Context, told, changed bool)) {
	var poll <-chan time.Time
	if every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		poll = t.C
	}
	for {
		told := false
		select {
		case <-ctx.Done():
			return
		case <-poll:
		case <-g.ask:
		case <-signals:
			told = true
		}
		then(ctx, told, g.look(ctx, told))
	}
}

// pause waits, and answers false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
