package datasets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// Test is one test inside a unit: a line, and what it must become.
type Test struct {
	Dataset string
	Name    string
	File    string
	Line    int // of the file
	record  event.Record
	natural bool // claimed as a record would be, not given to the dataset
	expect  []expectation
	dead    string // the reason of the dead letter that it must become
	none    bool   // it must be dropped
}

// expectation is what one event of the record must hold.
type expectation struct {
	fields []fieldExpectation
}

type fieldExpectation struct {
	nameAt
	want []string // nil: absent
}

// defaultTestTime is the record time of tests that give none, in Unix milliseconds.
func defaultTestTime() int64 { return time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC).UnixMilli() }

func (u *Unit) readTests(n diag.Node) {
	for i, e := range n.Seq() {
		m, ok := e.Map()
		if !ok {
			continue
		}
		_, line, _ := e.Pos()
		t := Test{Dataset: u.name, Name: m.Get("name").Text(), File: u.file, Line: line}
		if t.Name == "" {
			t.Name = fmt.Sprintf("test %d", i+1)
		}
		u.readTest(m, &t)
		u.tests = append(u.tests, t)
		m.Done()
	}
}

func (u *Unit) readTest(m *diag.Map, t *Test) {
	t.record.Value = []byte(m.Need("line").Text())
	t.record.Time = defaultTestTime()
	if at := m.Get("at"); at.Exists() {
		ms, ok := event.ParseTime(at.Text())
		if !ok {
			at.Errorf("must be a time such as 2026-10-10T13:55:36Z")
		}
		t.record.Time = ms
	}
	t.record.Source.Topic = m.Get("topic").Text()
	t.natural = m.Get("claim").Bool() || t.record.Source.Topic != ""
	if h := m.Get("header"); h.Exists() {
		t.natural = true
		if pairs, ok := h.Map(); ok {
			for _, p := range pairs.Pairs() {
				pairs.Get(p.Key)
				t.record.Headers = append(t.record.Headers, event.Header{Key: p.Key, Value: []byte(p.Value.Text())})
			}
		}
	}
	t.dead = m.Get("dead_letter").Text()
	t.none = m.Get("dropped").Bool()
	expect := m.Get("expect")
	if t.dead == "" && !t.none && !expect.Exists() {
		expect = m.Need("expect")
	}
	for _, n := range expect.OneOrMany() {
		t.expect = append(t.expect, readExpectation(n))
	}
}

func readExpectation(n diag.Node) expectation {
	var x expectation
	m, ok := n.Map()
	if !ok {
		return x
	}
	for _, p := range m.Pairs() {
		m.Get(p.Key)
		f := fieldExpectation{nameAt: nameAt{p.Key, p.KeyAt, 0}}
		if p.Value.Exists() {
			f.want = p.Value.Texts()
		}
		x.fields = append(x.fields, f)
	}
	return x
}

// checkTests reports fields in tests that do not exist.
func (s *Set) checkTests(u *Unit) {
	c := &compiler{u: u, opts: Options{Schema: s.schema}, scratch: map[string]bool{}}
	for _, t := range u.tests {
		for _, x := range t.expect {
			for _, f := range x.fields {
				c.lookupName(f.nameAt)
			}
		}
	}
	if len(u.tests) == 0 {
		u.at.Warnf("the dataset has no tests").Hint("add lines and what they must become, under tests")
	}
}

// TestResult is what became of one test.
type TestResult struct {
	Dataset  string   `json:"dataset"`
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Failures []string `json:"failures,omitempty"`
}

// Run normalises a record, as the named dataset, or as whoever claims it where the name is "". It is ingest.Normalizer's.
type Run func(dataset string, rec *event.Record, each func(*event.Event)) error

// Test runs the tests inside the units, in the order of the datasets' names.
func (s *Set) Test(run Run) []TestResult {
	var out []TestResult
	for _, u := range s.units {
		for i := range u.tests {
			out = append(out, s.runTest(&u.tests[i], run))
		}
	}
	return out
}

func (s *Set) runTest(t *Test, run Run) TestResult {
	r := TestResult{Dataset: t.Dataset, Name: t.Name, File: t.File, Line: t.Line}
	fail := func(format string, args ...any) { r.Failures = append(r.Failures, fmt.Sprintf(format, args...)) }
	name := t.Dataset
	if t.natural {
		name = ""
	}
	n := 0
	err := run(name, &t.record, func(e *event.Event) {
		if n < len(t.expect) {
			t.expect[n].check(e, func(format string, args ...any) {
				fail("event %d: %s", n, fmt.Sprintf(format, args...))
			})
		}
		n++
	})
	var reason interface{ Cause() string }
	switch {
	case err == nil && t.dead != "":
		fail("became %d events, not a dead letter for %s", n, t.dead)
	case errors.As(err, &reason) && t.dead != "":
		if reason.Cause() != t.dead {
			fail("became a dead letter for %s, not for %s", reason.Cause(), t.dead)
		}
	case err != nil:
		fail("%v", err)
	case t.none && n > 0:
		fail("became %d events instead of being dropped", n)
	case n != len(t.expect):
		fail("became %d events, not %d", n, len(t.expect))
	}
	return r
}

func (x *expectation) check(e *event.Event, fail func(format string, args ...any)) {
	for _, f := range x.fields {
		var got []string
		for v := e.First(e.Schema().ID(f.name)); v != nil; v = e.Next(v) {
			got = append(got, v.Text())
		}
		if !same(e.Schema().Type(e.Schema().ID(f.name)), got, f.want) {
			fail("%s is %s, not %s", f.name, show(got), show(f.want))
		}
	}
}

func same(t event.Type, got, want []string) bool {
	return slices.EqualFunc(got, want, func(g, w string) bool {
		switch t {
		case event.Date:
			a, _ := event.ParseTime(g)
			b, ok := event.ParseTime(w)
			return ok && a == b
		case event.IP:
			a, _ := event.ParseAddr(g)
			b, ok := event.ParseAddr(w)
			return ok && a == b
		}
		return g == w
	})
}

func show(values []string) string {
	switch len(values) {
	case 0:
		return "absent"
	case 1:
		return fmt.Sprintf("%q", values[0])
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
