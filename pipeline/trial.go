package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/detectors"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/rules"
)

// trialStart is the time at which tests begin that name none: a midnight, so that slots of any usual length begin there too.
var trialStart = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// trialEnd is how long after its last event a test's time goes on, so that every episode ends.
const trialEnd = 100 * 24 * time.Hour

// TestResult is what became of one test of a rule.
type TestResult struct {
	Rule     string   `json:"rule"`
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Failures []string `json:"failures,omitempty"`
}

// Tester runs the tests inside rules through match and detect in memory: the same code as in production, without the topic
// between.
type Tester struct {
	worker  *Worker
	program *detectors.Program
}

// NewTester makes a tester of a generation and its program.
func NewTester(g *Generation, p *detectors.Program) *Tester { return &Tester{NewWorker(g), p} }

// Run runs one test of a rule.
func (t *Tester) Run(r *rules.Rule, test *rules.Test) TestResult {
	res := TestResult{Rule: r.ID, Name: test.Name, File: test.File, Line: test.Line}
	start := test.Start
	if start == 0 {
		start = trialStart.UnixMilli()
	}
	memories := make([]*detectors.Memory, hit.Shards)
	raised := map[string]alert.Alert{}
	apply := func(shard int32, f *hit.Frame) {
		if f.Kind == hit.Hits {
			f.Hits = slices.DeleteFunc(f.Hits, func(h hit.Hit) bool { return h.Rule != r.ID })
		}
		if memories[shard] == nil {
			memories[shard] = detectors.NewMemory(t.program, 1)
		}
		for _, a := range memories[shard].Apply(f) {
			raised[a.ID] = a
		}
	}
	end, err := t.steps(test, start, apply)
	if err != nil {
		res.Failures = append(res.Failures, err.Error())
		return res
	}
	tick := hit.Frame{Kind: hit.Tick, Source: event.Source{Topic: trialTopic}, Partitions: 1, Marks: []hit.Mark{{Watermark: end + trialEnd.Milliseconds()}}}
	for shard, m := range memories {
		if m != nil {
			apply(int32(shard), &tick)
		}
	}
	got := slices.SortedFunc(maps.Values(raised), func(a, b alert.Alert) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.ID, b.ID)) })
	res.Failures = append(res.Failures, compareAlerts(test.Alerts, got, start)...)
	return res
}

const trialTopic = "test"

// steps evaluates the test's events, each a record of one partition, and gives out frames that end with each record.
func (t *Tester) steps(test *rules.Test, start int64, out func(int32, *hit.Frame)) (end int64, err error) {
	w := t.worker
	src := event.Source{Topic: trialTopic}
	offset := int64(0)
	for s := range test.Steps() {
		end = start + s.Offset.Milliseconds()
		w.begin(src, 1, offset)
		if s.Line != "" {
			err = t.line(&s, offset, end)
		} else {
			err = t.fields(&s, offset, end)
		}
		if err != nil {
			return end, fmt.Errorf("event %d: %w", offset+1, err)
		}
		offset++
		w.finish(offset, out)
	}
	return end, nil
}

func (t *Tester) line(s *rules.Step, offset, at int64) error {
	rec := event.Record{Source: event.Source{Topic: trialTopic}, Offset: offset, Time: at, Value: []byte(s.Line)}
	err := t.worker.normalizer.NormalizeAs(s.Dataset, &rec, t.worker.event, t.worker.each)
	var dead *ingest.DeadLetter
	if errors.As(err, &dead) {
		return fmt.Errorf("the line cannot be decoded: %w", dead)
	}
	return err
}

func (t *Tester) fields(s *rules.Step, offset, at int64) error {
	e := t.worker.event
	e.Reset(e.Schema())
	e.ID = event.ID{Topic: trialTopic, Offset: offset, Time: at}
	e.Received = at
	if err := s.Apply(e); err != nil {
		return err
	}
	if e.Tenant == "" {
		e.Tenant = ingest.DefaultTenant
	}
	e.SetTime(at)
	t.worker.match(e)
	return nil
}

// compareAlerts says how what was raised differs from what was wanted.
func compareAlerts(want []rules.ExpectedAlert, got []alert.Alert, start int64) (failures []string) {
	taken := make([]bool, len(got))
	for i := range want {
		nearest, why := -1, ""
		for j := range got {
			if taken[j] {
				continue
			}
			d := alertDiffers(&want[i], &got[j], start)
			if d == "" {
				nearest, why = j, ""
				break
			}
			if nearest < 0 {
				nearest, why = j, d
			}
		}
		switch {
		case nearest < 0:
			failures = append(failures, fmt.Sprintf("alert %d was not raised: %s", i+1, describeWant(&want[i])))
		case why != "":
			failures = append(failures, fmt.Sprintf("alert %d: %s", i+1, why))
			taken[nearest] = true
		default:
			taken[nearest] = true
		}
	}
	for j := range got {
		if !taken[j] {
			failures = append(failures, "raised, and not wanted: "+describeGot(&got[j], start))
		}
	}
	return failures
}

func alertDiffers(w *rules.ExpectedAlert, g *alert.Alert, start int64) string {
	for _, name := range slices.Sorted(maps.Keys(w.Key)) {
		have, ok := keyValue(g, name)
		if !ok {
			return fmt.Sprintf("the key has no %s; it is %s", name, describeKey(g))
		}
		if have != w.Key[name] {
			return fmt.Sprintf("%s is %q, want %q", name, have, w.Key[name])
		}
	}
	at := time.Duration(g.Time-start) * time.Millisecond
	switch {
	case w.Severity != 0 && w.Severity.String() != g.Severity.String():
		return fmt.Sprintf("the severity is %s, want %s", g.Severity, w.Severity)
	case w.HasAt && at != w.At:
		return fmt.Sprintf("it was raised at %s, want %s", at, w.At)
	case w.Count != 0 && w.Count != g.Count:
		return fmt.Sprintf("it counted %d, want %d", g.Count, w.Count)
	case w.Title != "" && w.Title != g.Title:
		return fmt.Sprintf("the title is %q, want %q", g.Title, w.Title)
	}
	return ""
}

func keyValue(a *alert.Alert, name string) (string, bool) {
	for _, f := range slices.Concat(a.Key, a.Fields) {
		if f.Name == name && len(f.Values) > 0 {
			return f.Values[0], true
		}
	}
	return "", false
}

func describeKey(a *alert.Alert) string {
	parts := make([]string, len(a.Key))
	for i, f := range a.Key {
		parts[i] = f.Name + "=" + strings.Join(f.Values, ",")
	}
	return strings.Join(parts, " ")
}

func describeGot(a *alert.Alert, start int64) string {
	return fmt.Sprintf("%s at %s, count %d, %s: %s", a.Severity, time.Duration(a.Time-start)*time.Millisecond, a.Count, describeKey(a), a.Title)
}

func describeWant(w *rules.ExpectedAlert) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(w.Key)) {
		parts = append(parts, name+"="+w.Key[name])
	}
	if w.Severity != 0 {
		parts = append(parts, w.Severity.String())
	}
	if w.HasAt {
		parts = append(parts, "at "+w.At.String())
	}
	return strings.Join(parts, " ")
}
