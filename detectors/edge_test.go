package detectors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
)

// frame makes a frame of one hit.
func frame(s event.Source, partitions int32, offset int64, h hit.Hit) *hit.Frame {
	h.Offset = offset
	return &hit.Frame{Kind: hit.Hits, Source: s, Partitions: partitions, First: offset, Last: offset, Hits: []hit.Hit{h}}
}

func one(rule, key string, at int64) hit.Hit {
	return hit.Hit{Rule: rule, Basis: 7, Key: key, RecordTime: at, Time: at}
}

func mark(s event.Source, partitions int32, marks ...hit.Mark) *hit.Frame {
	s.Partition = 0
	return &hit.Frame{Kind: hit.Tick, Source: s, Partitions: partitions, Marks: marks}
}

func wantStats(t *testing.T, m *Memory, want map[string]int64) {
	t.Helper()
	got := m.Stats()
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %d, want %d", name, got[name], n)
		}
	}
}

func TestHitsThatAreNotTaken(t *testing.T) {
	m := NewMemory(newProgram(Limits{}, []*rule{countRule("a", 2, time.Minute, 0)}), 1)
	s := event1()
	stale := one("a", "k", base)
	stale.Basis = 8
	for offset, h := range []hit.Hit{stale, one("gone", "k", base), one("a", "k", maxTime+1), one("a", "k", base)} {
		m.Apply(frame(s, 1, int64(offset), h))
	}
	m.Apply(frame(s, 1, 3, one("a", "k", base)))
	m.Apply(frame(s, 1<<20, 4, one("a", "k", base)))
	m.Apply(mark(s, 1, hit.Mark{Partition: 0, Watermark: base + 120_000}, hit.Mark{Partition: 7, Watermark: base}))
	m.Apply(frame(s, 1, 5, one("a", "k", base+60_000)))
	wantStats(t, m, map[string]int64{"hits": 1, "stale_basis": 1, "unknown_rule": 1, "bad_time": 1, "seen_before": 1, "foreign_frames": 2, "late": 1, "alerts": 0})
}

func TestTimeIsTheLeastOfAllPartitions(t *testing.T) {
	m := NewMemory(newProgram(Limits{}, nil), 1)
	a, b := event1(), event.Source{Topic: "other", TopicID: "y"}
	m.Apply(mark(a, 2, hit.Mark{Partition: 0, Watermark: base}))
	if m.Now() != beginning {
		t.Fatal("a partition that was not heard holds time back")
	}
	m.Apply(mark(a, 2, hit.Mark{Partition: 1, Watermark: base + 5}))
	if m.Now() != base-60_000 {
		t.Fatal(m.Now())
	}
	m.Apply(mark(b, 1))
	m.Apply(mark(a, 2, hit.Mark{Partition: 0, Watermark: base + 9}, hit.Mark{Partition: 1, Watermark: base + 1}))
	if m.Now() != base-60_000 {
		t.Fatal("a topic that was not heard holds time back")
	}
	m.Apply(mark(b, 1, hit.Mark{Partition: 0, Watermark: base + 7}))
	if m.Now() != base+5-60_000 {
		t.Fatal(m.Now())
	}
}

// TestForgottenTopicsDoNotHoldTimeBack: a topic that nobody reads any more would do so for ever.
func TestForgottenTopicsDoNotHoldTimeBack(t *testing.T) {
	m := NewMemory(newProgram(Limits{}, []*rule{countRule("a", 2, time.Minute, 0)}), 1)
	a, b := event1(), event.Source{Topic: "other", TopicID: "y"}
	m.Apply(frame(b, 1, 0, one("a", "k", base)))
	m.Apply(mark(a, 1, hit.Mark{Partition: 0, Watermark: base}))
	if got := m.Waits(); m.Now() != beginning || len(got) != 2 || got[0] != "logs" || got[1] != "other" {
		t.Fatal(m.Now(), got)
	}
	m.Forget("other")
	m.Forget("unheard of")
	m.Apply(mark(a, 1, hit.Mark{Partition: 0, Watermark: base + 1}))
	if m.Now() != base+1-60_000 || len(m.Waits()) != 1 {
		t.Fatal(m.Now(), m.Waits())
	}
	m.Apply(frame(b, 1, 0, one("a", "k", base)))
	if m.Stats()["seen_before"] != 1 || len(m.Waits()) != 2 {
		t.Error("its positions were forgotten too, or its return was not noticed")
	}
}

func TestANewIncarnationRetiresTheOld(t *testing.T) {
	m := NewMemory(newProgram(Limits{}, []*rule{countRule("a", 2, time.Minute, 0)}), 1)
	old, young := event1(), event1()
	young.TopicID = "young"
	m.Apply(frame(old, 2, 99, one("a", "k", base)))
	m.Apply(mark(old, 2, hit.Mark{Partition: 0, Watermark: base}))
	if got := m.Apply(frame(young, 1, 0, one("a", "k", base+1))); len(got) != 1 {
		t.Fatalf("position 0 of the new topic: %+v", got)
	}
	if got := m.Apply(frame(old, 2, 100, one("a", "k", base+2))); len(got) != 0 {
		t.Fatalf("a late frame of the old topic: %+v", got)
	}
	m.Apply(mark(old, 2, hit.Mark{Partition: 1, Watermark: base}))
	m.Apply(mark(young, 1, hit.Mark{Partition: 0, Watermark: base + 60_000}))
	if m.Now() != base {
		t.Fatal("the old topic's partitions hold time back: ", m.Now())
	}
	for i := range 3 * maxRetired {
		s := event1()
		s.TopicID = fmt.Sprint("id", i)
		m.Apply(mark(s, 1))
	}
	if n := len(m.sources.topics["logs"].retired); n != maxRetired {
		t.Errorf("%d retired incarnations are remembered", n)
	}
}

// TestAlertsEndAtTheirTick: at the first tick that passes the end of their slot, whatever else is remembered of the key.
func TestAlertsEndAtTheirTick(t *testing.T) {
	m := NewMemory(newProgram(Limits{}, []*rule{countRule("a", 2, time.Minute, 0)}), 1)
	s := event1()
	m.Apply(frame(s, 1, 0, one("a", "k", base+50_000)))
	m.Apply(frame(s, 1, 1, one("a", "k", base+51_000)))
	m.Apply(frame(s, 1, 2, one("a", "k", base+59_999)))
	for at, want := range map[int64]int{base + 119_999: 0, base + 120_000: 1} {
		m, _, err := Restore(bytes.NewReader(checkpoint(t, m.Freeze())), m.program)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Apply(mark(s, 1, hit.Mark{Watermark: at})); len(got) != want {
			t.Errorf("%d alerts at %d, want %d", len(got), at, want)
		}
		wantStats(t, m, map[string]int64{"keys": 1})
	}
}

// TestSeverityRisesAtItsHit: also where it looks at the evidence of a flood.
func TestSeverityRisesAtItsHit(t *testing.T) {
	r := countRule("a", 2, time.Minute, 0)
	r.plain.texts = plain{watches: true}
	m := NewMemory(newProgram(Limits{}, []*rule{r}), 1)
	for i := range int64(1000) {
		h := one("a", "k", base+i)
		h.Fields = []hit.Field{user("somebody")}
		if i == 900 {
			h.Fields = []hit.Field{user("user0")}
		}
		got := m.Apply(frame(event1(), 1, i, h))
		if (len(got) == 1 && got[0].Severity == alert.Urgent) != (i == 900) {
			t.Fatalf("hit %d: %+v", i, got)
		}
	}
}

// TestAFloodOfKeysStaysInItsBudget: ten times as many keys as fit, each seen once, and one that is seen often between them.
func TestAFloodOfKeysStaysInItsBudget(t *testing.T) {
	limits := Limits{MaxKeys: 500}
	m := NewMemory(newProgram(limits, []*rule{countRule("a", 20, time.Hour, 0)}), 1)
	s := event1()
	var got []alert.Alert
	for i := range int64(5000) {
		key := fmt.Sprint("once", i)
		if i%100 == 0 {
			key = "often"
		}
		got = append(got, m.Apply(frame(s, 1, i, one("a", key, base+i)))...)
		if m.keys > limits.MaxKeys {
			t.Fatal(m.keys, "keys")
		}
	}
	checkAccount(t, m)
	if len(got) == 0 || got[0].Key[0].Values[0] != "often" || got[0].Count != 20 {
		t.Fatalf("the key that was seen often: %+v", got)
	}
	if n := m.Stats()["evicted_keys"]; n < 4400 {
		t.Errorf("%d keys were given up", n)
	}
	if got[0].Degraded != "" {
		t.Errorf("it was there from the beginning: %s", got[0].Degraded)
	}
	m.Apply(mark(s, 1, hit.Mark{Watermark: base + 10*3_600_000}))
	if m.lost != nil || m.keys != 0 || m.bytes != 0 {
		t.Errorf("%d keys and %d bytes are left", m.keys, m.bytes)
	}
}

func TestAlertsSayThatHitsMayLack(t *testing.T) {
	m := NewMemory(newProgram(Limits{MaxKeys: 8}, []*rule{countRule("a", 2, time.Hour, 0)}), 1)
	s := event1()
	for i := range int64(30) {
		m.Apply(frame(s, 1, i, one("a", fmt.Sprint("k", i), base+i)))
	}
	m.Apply(frame(s, 1, 30, one("a", "k0", base+30)))
	if got := m.Apply(frame(s, 1, 31, one("a", "k0", base+31))); len(got) != 1 || !strings.Contains(got[0].Degraded, "memory was full") {
		t.Errorf("%+v", got)
	}
}

// TestOpenAlertsEndWhenMemoryIsFull: the last thing to be given up are keys with an open alert, and then the alert says so.
func TestOpenAlertsEndWhenMemoryIsFull(t *testing.T) {
	m := NewMemory(newProgram(Limits{MaxKeys: 8}, []*rule{countRule("a", 1, time.Hour, 0)}), 1)
	s := event1()
	var ended []alert.Alert
	for i := range int64(9) {
		for _, a := range m.Apply(frame(s, 1, i, one("a", fmt.Sprint("k", i), base+i))) {
			if a.Final {
				ended = append(ended, a)
			}
		}
	}
	if len(ended) != 2 || ended[0].Revision != 2 || !strings.Contains(ended[0].Degraded, "ended before its time") {
		t.Fatalf("%+v", ended)
	}
	wantStats(t, m, map[string]int64{"evicted_keys": 2, "ended_early": 2, "keys": 7})
}

// TestAHotKeyIsRounded: more times than are kept make the alert less exact, and it says so.
func TestAHotKeyIsRounded(t *testing.T) {
	m := NewMemory(newProgram(Limits{MaxMoments: 100}, []*rule{countRule("a", 500, time.Second, 0)}), 1)
	s := event1()
	var last alert.Alert
	for i := range int64(3000) {
		for _, a := range m.Apply(frame(s, 1, i, one("a", "k", base+i))) {
			last = a
		}
		if n := len(m.table[0].moments); n > 100 {
			t.Fatal(n, "moments")
		}
	}
	checkAccount(t, m)
	if last.Count < 900 || last.Count > 1100 || last.Degraded == "" {
		t.Errorf("%d events, degraded: %q", last.Count, last.Degraded)
	}
}

// TestTimeThatStandsStill: a partition that is never heard holds time back; a key must not grow for ever.
func TestTimeThatStandsStill(t *testing.T) {
	m := NewMemory(newProgram(Limits{MaxMoments: 100}, []*rule{countRule("a", 5, time.Second, 0)}), 1)
	s := event1()
	degraded := false
	for i := range int64(5000) {
		for _, a := range m.Apply(frame(s, 2, i, one("a", "k", base+i*100))) {
			degraded = degraded || strings.Contains(a.Degraded, "stood still")
			if a.Count > 10 {
				t.Fatalf("%+v", a)
			}
		}
	}
	checkAccount(t, m)
	if e := m.table[0]; len(e.moments) > 100 || len(e.recs) > 300 || !degraded {
		t.Errorf("%d moments, %d records, degraded: %v", len(e.moments), len(e.recs), degraded)
	}
}

func TestSwapKeepsWhatItCan(t *testing.T) {
	old := newProgram(Limits{}, []*rule{countRule("gone", 2, time.Minute, 0), countRule("changed", 2, time.Minute, 0), countRule("kept", 3, time.Minute, time.Hour)})
	m := NewMemory(old, 1)
	s := event1()
	for i, r := range []string{"gone", "gone", "changed", "kept", "kept", "kept"} {
		m.Apply(frame(s, 1, int64(i), one(r, "k", base+int64(i))))
	}
	frozen := m.Freeze()
	changed, kept := countRule("changed", 2, time.Minute, 0), countRule("kept", 2, time.Minute, time.Hour)
	changed.basis = 8
	p := newProgram(Limits{}, []*rule{countRule("another", 2, time.Minute, 0), kept, changed})
	const want = "kept 1 keys and 1 open alerts of 1 rules; dropped changed (what the rule looks for, by or within changed): 1 keys, 0 open alerts, gone (the rule is gone): 1 keys, 1 open alerts"
	if got := m.Swap(p).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	_, report, err := Restore(bytes.NewReader(checkpoint(t, frozen)), p)
	if err != nil || report.String() != want {
		t.Errorf("restored: %s, %v", report, err)
	}
	checkAccount(t, m)
	got := m.Apply(frame(s, 1, 6, one("kept", "k", base+6)))
	if len(got) != 1 || !got[0].Final || got[0].Rule.ID != "gone" || !strings.Contains(got[0].Degraded, "the rule was changed") {
		t.Fatalf("%+v", got)
	}
	got = m.Apply(mark(s, 1, hit.Mark{Watermark: base + 2*3_600_000}))
	if len(got) != 1 || got[0].Count != 4 || !got[0].Final {
		t.Fatalf("%+v", got)
	}
}

// TestFrozenIsNotTouched: what is written does not depend on what the memory did since.
func TestFrozenIsNotTouched(t *testing.T) {
	m := NewMemory(newProgram(Limits{}, []*rule{countRule("a", 3, time.Second, 0)}), 1)
	s := event1()
	apply := func(from, to int64) {
		for i := from; i < to; i++ {
			h := one("a", fmt.Sprint("k", i%7), base+i)
			h.Fields = []hit.Field{user(fmt.Sprint("u", i))}
			m.Apply(frame(s, 1, i, h))
		}
	}
	apply(0, 1000)
	frozen := m.Freeze()
	want := checkpoint(t, frozen)
	written := make(chan []byte)
	go func() { // the race detector watches
		var b bytes.Buffer
		_, _ = frozen.WriteTo(&b)
		written <- b.Bytes()
	}()
	apply(1000, 3000)
	m.Apply(mark(s, 1, hit.Mark{Watermark: base + 1e6}))
	m.Swap(newProgram(Limits{}, []*rule{countRule("0", 3, time.Second, 0), countRule("a", 3, time.Second, 0)}))
	if !bytes.Equal(<-written, want) {
		t.Error("what was written at the same time differs")
	}
	if !bytes.Equal(checkpoint(t, frozen), want) {
		t.Error("the memory wrote to what was frozen")
	}
	again, _, err := Restore(bytes.NewReader(want), newProgram(Limits{}, []*rule{countRule("a", 3, time.Second, 0)}))
	if err != nil || !bytes.Equal(checkpoint(t, again.Freeze()), want) {
		t.Error("a checkpoint of what was restored differs", err)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	p := newProgram(Limits{}, []*rule{countRule("a", 3, time.Second, 0)})
	m := NewMemory(p, 1)
	m.Apply(frame(event1(), 1, 0, one("a", "k", base)))
	good := checkpoint(t, m.Freeze())
	for n := range good {
		if _, _, err := Restore(bytes.NewReader(good[:n]), p); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		bad := slices.Clone(good)
		bad[n] ^= 0x10
		if _, _, err := Restore(bytes.NewReader(bad), p); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("damaged at %d: %v", n, err)
		}
	}
}

// FuzzRestore: whatever a checkpoint holds, even with a right checksum, restoring it and going on does not panic.
func FuzzRestore(f *testing.F) {
	p := newProgram(Limits{}, []*rule{countRule("a", 3, time.Second, 0), eachRule("each")})
	m := NewMemory(p, 1)
	for i := range int64(400) {
		h := one("a", fmt.Sprint("k", i%3), base+i)
		h.Fields = []hit.Field{user(fmt.Sprint("u", i))}
		m.Apply(frame(event1(), 1, i, h))
		if i == 5 || i == 399 {
			b := checkpoint(f, m.Freeze())
			f.Add(b[len(checkpointMagic)+1 : len(b)-4])
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append(append([]byte(checkpointMagic), checkpointVersion), body...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		m, _, err := Restore(bytes.NewReader(b), p)
		if err != nil {
			return
		}
		if _, _, err := Restore(bytes.NewReader(checkpoint(t, m.Freeze())), p); err != nil {
			t.Fatalf("what was restored cannot be restored again: %v", err)
		}
		for i := range int64(200) {
			m.Apply(frame(event1(), 1, 1<<40+i, one("a", "k1", base+i*7%100)))
		}
		m.Apply(mark(event1(), 1, hit.Mark{Watermark: base + 1e9}))
		m.Apply(mark(event1(), 1, hit.Mark{Watermark: maxTime}))
	})
}
