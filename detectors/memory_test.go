package detectors

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/hit"
)

// run applies a log and returns the last revision of every alert. It fails when a revision is missing or follows a final one, and
// when the memory's account of its size is wrong.
func run(t *testing.T, m *Memory, log []hit.Frame) map[string]alert.Alert {
	t.Helper()
	got := map[string]alert.Alert{}
	for i := range log {
		for _, a := range m.Apply(&log[i]) {
			if old := got[a.ID]; a.Revision != old.Revision+1 || old.Final {
				t.Fatalf("revision %d of %s follows revision %d (final: %v)", a.Revision, a.ID, old.Revision, old.Final)
			}
			got[a.ID] = a
		}
	}
	checkAccount(t, m)
	return got
}

func checkAccount(t *testing.T, m *Memory) {
	t.Helper()
	keys, size := 0, int64(0)
	for _, e := range m.table {
		if e != nil {
			keys, size = keys+1, size+e.bytes()
		}
	}
	if keys != m.keys || size != m.bytes {
		t.Fatalf("accounts for %d keys and %d bytes, has %d and %d", m.keys, m.bytes, keys, size)
	}
}

// TestAnyLogMakesTheSameAlerts: whatever the cuts, the order of the partitions, the replays and the ticks, the alerts are those
// that the hits have, taken together.
func TestAnyLogMakesTheSameAlerts(t *testing.T) {
	for seed := range uint64(2500) {
		checkWorld(t, seed, false)
	}
}

func TestAnyLogOfAFloodMakesTheSameAlerts(t *testing.T) {
	for seed := range uint64(8) {
		checkWorld(t, seed, true)
	}
}

func checkWorld(t *testing.T, seed uint64, heavy bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(rng, heavy)
	p, want := w.program(), w.oracle()
	var first map[string]alert.Alert
	for range 2 {
		m := NewMemory(p, 1)
		got := run(t, m, w.log(rng))
		if s := m.Stats(); s["late"]+s["keys"]+s["bytes"] != 0 {
			t.Fatalf("seed %d: %v", seed, s)
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d alerts, want %d", seed, len(got), len(want))
		}
		for id, g := range got {
			checkAlert(t, seed, g, want[id])
			g.Revision = 0
			got[id] = g
		}
		if first == nil {
			first = got
		} else if !reflect.DeepEqual(first, got) {
			t.Fatalf("seed %d: two logs of the same hits: %s", seed, cmp.Diff(first, got))
		}
	}
}

func checkAlert(t *testing.T, seed uint64, g, w alert.Alert) {
	t.Helper()
	if g.Count != w.Count || g.Time != w.Time || g.First != w.First || g.Last != w.Last || !g.Final || g.Degraded != "" {
		t.Fatalf("seed %d: got %+v, want %+v", seed, g, w)
	}
	if g.Rule.ID == "each" {
		return
	}
	if g.Rule.Version != w.Rule.Version {
		t.Fatalf("seed %d: version %s of the rule, want %s", seed, g.Rule.Version, w.Rule.Version)
	}
	for i, e := range g.Events {
		if i > 0 && g.Events[i-1].ID == e.ID {
			t.Fatalf("seed %d: event %v twice", seed, e)
		}
		if !slices.ContainsFunc(w.Events, func(x alert.Event) bool { return x.ID == e.ID && x.Time == e.Time }) {
			t.Fatalf("seed %d: event %v is no evidence", seed, e)
		}
	}
	if n := min(len(w.Events), sampleSize); len(g.Events) != n {
		t.Fatalf("seed %d: %d events of %d", seed, len(g.Events), len(w.Events))
	}
	if f := g.Fields[0]; len(w.Events) < crowdSize {
		if g.Events[0].Time != w.First || f.Name != "user.name" || len(f.Values)+f.More != len(w.Key) || f.Estimated {
			t.Fatalf("seed %d: got %+v, want %+v", seed, g, w)
		}
	} else if len(w.Key) > valuesKept && !f.Estimated || len(f.Values)+f.More < min(len(w.Key), valuesKept) {
		t.Fatalf("seed %d: %d values: %+v", seed, len(w.Key), f)
	}
}

// TestReplayIsTheSameRun: a memory restored from a checkpoint and given the rest of the log makes the same revisions, alert by
// alert, and ends as the same bytes.
func TestReplayIsTheSameRun(t *testing.T) {
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(rng, seed%150 == 0)
		if seed%2 == 0 { // with memory full
			w.limits.MaxKeys, w.limits.MaxMoments = 3, 8
		}
		p, log := w.program(), w.log(rng)
		m := NewMemory(p, seed)
		cut := rng.IntN(len(log))
		var frozen *Frozen
		var want [][]alert.Alert
		for i := range log {
			if i == cut {
				frozen = m.Freeze()
			}
			want = append(want, slices.Clone(m.Apply(&log[i])))
		}
		again, report, err := Restore(bytes.NewReader(checkpoint(t, frozen)), p)
		if err != nil || len(report.Dropped) > 0 {
			t.Fatal(seed, report, err)
		}
		checkAccount(t, again)
		for i := cut; i < len(log); i++ {
			if got := again.Apply(&log[i]); len(got)+len(want[i]) > 0 && !reflect.DeepEqual(want[i], got) {
				t.Fatalf("seed %d, frozen at %d, record %d of %d: %s", seed, cut, i, len(log), cmp.Diff(want[i], got))
			}
		}
		if !bytes.Equal(checkpoint(t, m.Freeze()), checkpoint(t, again.Freeze())) {
			t.Fatalf("seed %d: the memories differ at the end", seed)
		}
	}
}

// TestCutsDoNotChangeRevisions: frames of one record each make the revisions that longer frames made.
func TestCutsDoNotChangeRevisions(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		w := newWorld(rng, seed%50 == 0)
		log := w.log(rng)
		var short []hit.Frame
		for _, f := range log {
			for f.Kind == hit.Hits && len(f.Hits) > 0 {
				n := 1
				for n < len(f.Hits) && f.Hits[n].Offset == f.Hits[0].Offset {
					n++
				}
				part := f
				part.Last, part.Hits = f.Hits[0].Offset, f.Hits[:n]
				short = append(short, part)
				f.First, f.Hits = part.Last+1, f.Hits[n:]
			}
			short = append(short, f)
		}
		a, b := revisions(NewMemory(w.program(), 1), log), revisions(NewMemory(w.program(), 1), short)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: %s", seed, cmp.Diff(a, b))
		}
	}
}

func revisions(m *Memory, log []hit.Frame) (out []alert.Alert) {
	for i := range log {
		out = append(out, m.Apply(&log[i])...)
	}
	slices.SortStableFunc(out, func(a, b alert.Alert) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func checkpoint(t testing.TB, f *Frozen) []byte {
	t.Helper()
	var b bytes.Buffer
	if n, err := f.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatal(n, err)
	}
	return b.Bytes()
}

func TestCountInWords(t *testing.T) {
	r := countRule("ssh", 3, 60_000*1e6, 0)
	m := NewMemory(newProgram(Limits{}, []*rule{r}), 1)
	f := hit.Frame{Kind: hit.Hits, Source: event1(), Partitions: 1, Last: 2}
	for i := range int64(3) {
		f.Hits = append(f.Hits, hit.Hit{Rule: "ssh", Basis: 7, Tenant: "acme", Key: "203.0.113.9", Offset: i, Time: 1_796_000_400_000 + 19_000*i,
			Fields: []hit.Field{{Name: "user.name", Values: []string{fmt.Sprint("u", i%2)}}}})
	}
	got := m.Apply(&f)
	if len(got) != 1 {
		t.Fatal(got)
	}
	a := got[0]
	want := "3 events of source.ip 203.0.113.9 within 1m (the rule asks for 3), between 01:00:00 and 01:00:38 UTC on 2026-11-30"
	if a.Explanation != want || a.Incident != "ssh source.ip=203.0.113.9" || a.Tenant != "acme" || a.Final || a.Revision != 1 {
		t.Fatalf("got %+v", a)
	}
	if len(a.Fields) != 1 || strings.Join(a.Fields[0].Values, " ") != "u0 u1" {
		t.Fatalf("got %+v", a.Fields)
	}
}
