package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// watched is generations over a folder with one rule, and what they log.
type watched struct {
	t *testing.T
	*generations
	dir string
	log *observer.ObservedLogs
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	core, logged := observer.New(zap.InfoLevel)
	w := &watched{t: t, dir: t.TempDir(), log: logged}
	w.write("own.yaml", ownRule)
	c := defaultConfig()
	from := func() sources {
		s := c.sources()
		s.rules = []fs.FS{diag.Dir(w.dir)}
		return s
	}
	var err error
	if w.generations, err = newGenerations(from, zap.New(core), newStats()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// said is what was logged with a message since the last time.
func (w *watched) said(message string) []observer.LoggedEntry {
	var out []observer.LoggedEntry
	for _, e := range w.log.TakeAll() {
		if strings.Contains(e.Message, message) {
			out = append(out, e)
		}
	}
	return out
}

func TestGenerationIsExchangedWhole(t *testing.T) {
	w := newWatched(t)
	first := w.get()
	if w.look(t.Context(), true) || w.get() != first {
		t.Error("a new generation of the same files")
	}
	w.write("own.yaml", strings.Replace(ownRule, "at_least: 50", "at_least: 60", 1))
	w.write("more.yaml", strings.Replace(ownRule, "own-requests", "more-requests", 1))
	if !w.look(t.Context(), true) || w.get() == first || w.get().hash == first.hash {
		t.Fatal("changed rules did not come into force")
	}
	said := w.said("a new generation")
	if len(said) != 1 {
		t.Fatalf("said %v", said)
	}
	for key, want := range map[string]string{"rules_added": "more-requests", "rules_changed": "own-requests"} {
		if got, _ := json.Marshal(said[0].ContextMap()[key]); string(got) != `["`+want+`"]` {
			t.Errorf("%s: %s", key, got)
		}
	}
	w.write("own.yaml", strings.Replace(ownRule, "within: 1m", "within: 2m", 1))
	w.look(t.Context(), true)
	if got, _ := json.Marshal(w.said("a new generation")[0].ContextMap()["rules_counting_anew"]); string(got) != `["own-requests"]` {
		t.Errorf("counting anew: %s", got)
	}
}

func TestFilesThatDoNotLoadChangeNothing(t *testing.T) {
	w := newWatched(t)
	first := w.get()
	w.write("bad.yaml", "id: bad\nwhere: source.ipp == \"192.0.2.1\"\n")
	for range 2 {
		if w.look(t.Context(), false) || w.get() != first {
			t.Fatal("a bad file came into force")
		}
	}
	if n := w.stats.generation.Failures.Load(); n != 1 || w.stats.generation.Refused.Load() != 1 {
		t.Errorf("%d failures, refused %d: one change is one failure, however often it is looked at", n, w.stats.generation.Refused.Load())
	}
	why := w.trouble()
	if !strings.Contains(why, filepath.Join(w.dir, "bad.yaml")+":") || !strings.Contains(why, "what was loaded before goes on") {
		t.Errorf("says %q", why)
	}
	if said := w.said("changed files do not load"); len(said) != 1 || said[0].Level != zap.ErrorLevel {
		t.Errorf("said %v", said)
	}
	if w.look(t.Context(), true); w.stats.generation.Failures.Load() != 2 {
		t.Error("who sends SIGHUP is not answered")
	}
	if err := os.Remove(filepath.Join(w.dir, "bad.yaml")); err != nil {
		t.Fatal(err)
	}
	if w.look(t.Context(), false) || w.trouble() != "" || w.stats.generation.Refused.Load() != 0 || w.get() != first {
		t.Errorf("the bad file is gone, and still: %q", w.trouble())
	}
	if len(w.said("again as they are in force")) != 1 {
		t.Error("nobody was told that all is well again")
	}
}

// TestReadyzTellsOfFilesThatDoNotLoad: the process stays ready.
func TestReadyzTellsOfFilesThatDoNotLoad(t *testing.T) {
	w := newWatched(t)
	w.write("bad.yaml", "id: bad\n")
	w.look(t.Context(), false)
	stats := newStats()
	stats.state.set("match", "")
	a := &app{loaded: w.generations, stats: stats, state: &stats.state, hide: secrets(nil).replacer()}
	answer := httptest.NewRecorder()
	adminRoutes(adminPages{prometheus.NewRegistry(), a.ready, a.status}).ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
	var said struct {
		Ready bool
		Notes map[string]string
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil || answer.Code != 200 || !said.Ready {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if !strings.Contains(said.Notes["generation"], "bad.yaml") {
		t.Errorf("notes %v", said.Notes)
	}
}

// TestTroubleIsToldDuringALook: a look lasts for as long as files go on changing, and probes must not wait for it.
func TestTroubleIsToldDuringALook(t *testing.T) {
	w := newWatched(t)
	w.mu.Lock() // as during a look
	defer w.mu.Unlock()
	told := make(chan string, 1)
	go func() { told <- w.trouble() }()
	select {
	case why := <-told:
		if why != "" {
			t.Errorf("trouble with files that load: %s", why)
		}
	case <-time.After(time.Minute):
		t.Fatal("whoever asks waits until the look is over")
	}
}

func TestNoFirstGenerationOfBadFiles(t *testing.T) {
	w := newWatched(t)
	w.write("bad.yaml", "id: bad\n")
	if _, err := newGenerations(w.sources, zap.NewNop(), newStats()); err == nil || !strings.Contains(err.Error(), "bad.yaml") {
		t.Errorf("got %v", err)
	}
}

// TestWatch polls, waits until a folder that somebody copies stays the same, and looks at once when it is told to.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		ctx, stop := context.WithCancel(t.Context())
		signals, ended, looks := make(chan os.Signal), make(chan struct{}), 0
		go func() {
			w.watch(ctx, 10*time.Second, signals, func(context.Context, bool, bool) { looks++ })
			close(ended)
		}()
		loads := func() int64 { synctest.Wait(); return w.stats.generation.Loads.Load() }
		w.write("a.yaml", strings.Replace(ownRule, "own-requests", "a", 1))
		time.Sleep(9 * time.Second)
		if n := loads(); n != 1 {
			t.Errorf("%d loads before the files were looked at", n)
		}
		time.Sleep(1200 * time.Millisecond) // it has seen the change, and waits
		w.write("b.yaml", strings.Replace(ownRule, "own-requests", "b", 1))
		time.Sleep(400 * time.Millisecond)
		if n := loads(); n != 1 {
			t.Errorf("%d loads while the folder was being written", n)
		}
		time.Sleep(time.Second)
		if n := loads(); n != 2 || len(w.get().Rules.Rules()) != 3 {
			t.Errorf("%d loads, %d rules", n, len(w.get().Rules.Rules()))
		}
		w.write("c.yaml", strings.Replace(ownRule, "own-requests", "c", 1))
		signals <- os.Interrupt // whatever it is called
		if n := loads(); n != 3 {
			t.Errorf("%d loads after a signal", n)
		}
		w.write("d.yaml", strings.Replace(ownRule, "own-requests", "d", 1))
		w.hurry()
		w.hurry()
		time.Sleep(time.Second)
		if n := loads(); n != 4 {
			t.Errorf("%d loads after somebody asked", n)
		}
		stop()
		<-ended
		if looks < 3 {
			t.Errorf("told of %d looks", looks)
		}
	})
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "a")
	write("big.mmdb", "1")
	big := filepath.Join(dir, "big.mmdb")
	s := sources{rules: []fs.FS{diag.Dir(dir)}, geoip: []DatabaseFile{{Kind: enrich.City, Path: big}}, datasets: []fs.FS{datasets.Shipped()}}
	var sums fileSums
	seen := map[string]string{}
	differs := func(what string, want bool) {
		t.Helper()
		h := fingerprint(s, &sums)
		if before, ok := seen[h]; ok == want {
			t.Errorf("%s: as after %q", what, before)
		}
		seen[h] = what
	}
	differs("at first", true)
	differs("nothing", false)
	write("note.txt", "no rule")
	differs("a file that nobody loads", false)
	write("a.yaml", "b")
	differs("other text", true)
	write("b.yaml", "")
	differs("an empty file more", true)
	if err := os.Rename(filepath.Join(dir, "b.yaml"), filepath.Join(dir, "c.yaml")); err != nil {
		t.Fatal(err)
	}
	differs("another name", true)
	write("big.mmdb", "12")
	differs("another database", true)
	if err := os.Remove(big); err != nil {
		t.Fatal(err)
	}
	differs("no database", true)
	s.rules = nil
	differs("no folder", true)
}
