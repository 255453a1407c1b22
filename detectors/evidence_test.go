package detectors

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/hit"
)

// TestSummariesAreSets: a summary depends on its hits only, not on their order, nor on how they were put together.
func TestSummariesAreSets(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m := NewMemory(newProgram(Limits{}, nil), seed)
		for i := range int32(3) {
			m.sources.number("logs", i)
		}
		var all []record
		for i := range 1 + rng.IntN(300) {
			h := hit.Hit{Fields: []hit.Field{user(fmt.Sprint("u", rng.IntN(100)))}}
			all = append(all, record{time: rng.Int64N(50), offset: int64(i), origin: rng.Uint32N(3), extra: string(m.appendExtra(nil, &h))})
		}
		mixed := func(groups int) summary {
			rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			var total summary
			parts := make([]summary, groups)
			for _, r := range all {
				m.addTo(&parts[rng.IntN(groups)], r, strings.Clone)
			}
			for i := range parts {
				m.merge(&total, &parts[i], func(int64) bool { return true })
			}
			return total
		}
		a, b := mixed(1), mixed(1+rng.IntN(5))
		if d := cmp.Diff(a, b, cmp.AllowUnexported(summary{}, record{}, hashed{}, valueSet{}, hashedText{})); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

// TestManyValuesAreEstimated: within a quarter, which is what 64 values can say.
func TestManyValuesAreEstimated(t *testing.T) {
	for _, n := range []int{65, 1000, 100_000} {
		m := NewMemory(newProgram(Limits{}, nil), 1)
		var s summary
		for i := range n {
			m.addValue(&s, 0, fmt.Sprint("value", i), strings.Clone)
		}
		if got := s.fields[0].estimate(); got < n*3/4 || got > n*5/4 || len(s.fields[0].values) != valuesKept {
			t.Errorf("%d values look like %d", n, got)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	long := strings.Repeat("ü", maxValueBytes)
	if got := clip(long); len(got) != maxValueBytes || !strings.HasPrefix(long, got) {
		t.Errorf("%d bytes", len(got))
	}
	if got := clip("x" + long); len(got) != maxValueBytes-1 {
		t.Errorf("cut inside a rune: %d bytes", len(got))
	}
	m := NewMemory(newProgram(Limits{}, nil), 1)
	b := m.appendExtra(nil, &hit.Hit{Fields: []hit.Field{user("x")}, Sample: make([]byte, maxSampleBytes+1)})
	if got := sample(string(b)); got != "" || m.counts.samplesDropped != 1 {
		t.Errorf("a sample of %d bytes", len(got))
	}
}
