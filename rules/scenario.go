package rules

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// Bounds on one test, so that a slip of the pen does not run for hours.
const (
	maxTestEvents = 200_000
	maxTestSpan   = 62 * 24 * time.Hour
)

// Test is a scenario inside a rule's document: what happens, and exactly which alerts follow. It is immutable.
type Test struct {
	Name string
	File string
	Line int
	// Start is the event time of offset 0, Unix milliseconds; 0 leaves it to the runner.
	Start int64
	// Alerts is every alert that must come of it, and no other may.
	Alerts []ExpectedAlert

	dataset string // what the source says, where it names exactly one dataset
	runs    []testRun
}

// ExpectedAlert is one alert that a test wants. What is not written is not compared.
type ExpectedAlert struct {
	Key      map[string]string // by the names of Count.By, or of IncidentBy where there is no clause; nil: not compared
	Severity Severity          // 0: not compared
	At       time.Duration     // the offset of the event that raised it
	HasAt    bool
	Title    string // "": not compared
	Count    int64  // 0: not compared
	Line     int    // where it stands
}

// Step is one event of a test.
type Step struct {
	// Offset is the event's time after the test's start.
	Offset time.Duration
	// Line is a raw log line to decode; "": the event is given by its fields, and Apply sets them.
	Line string
	// Dataset is the dataset that the line or event is of; "": the decoder finds out.
	Dataset string

	fields []testField
	n      int
}

type testRun struct {
	after, every time.Duration
	repeat       int
	line         string
	fields       []testField
}

// testField is a field's values in a test.
type testField struct {
	name   string
	values []testValue
	node   diag.Node
}

type testValue struct {
	text string
	kind event.Kind // String, Int, Float, Bool, or Raw for an object
	// Below an object:
	members []testField
}

// testDoc is a test with the places that compiling may find fault with.
type testDoc struct {
	test   Test
	alerts []alertDoc
}

type alertDoc struct {
	node diag.Node
	key  diag.Node
}

// Steps is the test's events in the order of time.
func (t *Test) Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		at := time.Duration(0)
		for _, r := range t.runs {
			at += r.after
			for n := 1; n <= r.repeat; n++ {
				if n > 1 {
					at += r.every
				}
				if !yield(Step{Offset: at, Line: numbered(r.line, n), Dataset: t.datasetOf(r.fields), fields: r.fields, n: n}) {
					return
				}
			}
		}
	}
}

func (t *Test) datasetOf(fields []testField) string {
	for _, f := range fields {
		if f.name == event.FieldDataset && len(f.values) > 0 {
			return f.values[0].text
		}
	}
	return t.dataset
}

// numbered puts the number of the repetition, from 1, in the place of {{n}}.
func numbered(s string, n int) string {
	if !strings.Contains(s, "{{n}}") {
		return s
	}
	return strings.ReplaceAll(s, "{{n}}", strconv.Itoa(n))
}

// Apply sets the step's fields, dataset and tenant in an event; the time is the caller's to set. The error names a field that the
// event's schema does not have, or a value that does not convert to its type.
func (s *Step) Apply(e *event.Event) error {
	for _, f := range s.fields {
		if err := s.apply(e, f); err != nil {
			return err
		}
	}
	if s.Dataset != "" {
		e.Set(event.Dataset, s.Dataset)
		e.Dataset = s.Dataset
	}
	e.Tenant = e.Text(event.Tenant)
	return nil
}

func (s *Step) apply(e *event.Event, f testField) error {
	objects := slices.ContainsFunc(f.values, func(v testValue) bool { return v.kind == event.Raw })
	if objects {
		s.applyObjects(e, f)
		return nil
	}
	id, ok := e.Schema().Lookup(f.name)
	if !ok {
		return fmt.Errorf("there is no field %s", f.name)
	}
	e.Clear(id)
	for _, v := range f.values {
		if !s.add(e, id, v) {
			return fmt.Errorf("%s is of type %s, and %q is not", f.name, e.Schema().Type(id), v.text)
		}
	}
	return nil
}

func (s *Step) add(e *event.Event, id event.FieldID, v testValue) bool {
	text := numbered(v.text, s.n)
	if e.Schema().Type(id) == event.Untyped {
		switch v.kind {
		case event.Int:
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return e.AddInt(id, n)
			}
		case event.Bool:
			return e.AddBool(id, text == "true")
		}
	}
	return e.Add(id, text)
}

// applyObjects sets an array of objects: its JSON where elements are tested, and every member's values at its own path.
func (s *Step) applyObjects(e *event.Event, f testField) {
	if id, ok := e.Schema().Lookup(f.name + elementsSuffix); ok {
		e.Clear(id)
		e.AddRaw(id, s.appendJSON(nil, f.values))
	}
	for _, v := range f.values {
		for _, m := range v.members {
			id, ok := e.Schema().Lookup(f.name + "." + m.name)
			if !ok {
				continue // nobody tests it
			}
			for _, inner := range m.values {
				s.add(e, id, inner)
			}
		}
	}
}

func (s *Step) appendJSON(b []byte, values []testValue) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendValue(b, v)
	}
	return append(b, ']')
}

func (s *Step) appendValue(b []byte, v testValue) []byte {
	switch v.kind {
	case event.Int, event.Float, event.Bool:
		return append(b, v.text...)
	case event.Raw:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(event.AppendString(b, m.name), ':')
			if len(m.values) == 1 {
				b = s.appendValue(b, m.values[0])
			} else {
				b = s.appendJSON(b, m.values)
			}
		}
		return append(b, '}')
	}
	return event.AppendString(b, numbered(v.text, s.n))
}

func (u *Unit) parseTests(n diag.Node) {
	for _, e := range n.Seq() {
		m, ok := e.Map()
		if !ok {
			continue
		}
		u.rule.tests = append(u.rule.tests, u.parseTest(e, m))
		m.Done()
	}
}

func (u *Unit) parseTest(e diag.Node, m *diag.Map) testDoc {
	_, line, _ := e.Pos()
	t := testDoc{test: Test{Name: m.Need("name").Text(), File: u.File, Line: line}}
	if d := u.rule.plain.Source.Datasets; len(d) == 1 && !strings.ContainsAny(d[0], "*?") {
		t.test.dataset = d[0]
	}
	if s := m.Get("start"); s.Exists() {
		if ms, ok := event.ParseTime(s.Text()); ok {
			t.test.Start = ms
		} else {
			s.Errorf("must be a time such as 2026-10-10T13:55:36Z, not %q", s.Raw())
		}
	}
	given := u.fields(m.Get("given"), "")
	events := m.Need("events")
	total, span := int64(0), time.Duration(0)
	for _, ev := range events.Seq() {
		r, ok := u.parseRun(ev, given)
		if !ok {
			continue
		}
		t.test.runs = append(t.test.runs, r)
		total += int64(r.repeat)
		span += r.after + time.Duration(r.repeat-1)*r.every
		if total > maxTestEvents || span > maxTestSpan || span < 0 {
			ev.Errorf("makes the test longer than %d events or 62 days", maxTestEvents)
			t.test.runs = nil
			break
		}
	}
	alerts := m.Need("alerts")
	for _, a := range alerts.Seq() {
		u.parseExpected(a, &t)
	}
	return t
}

func (u *Unit) parseRun(n diag.Node, given []testField) (testRun, bool) {
	m, ok := n.Map()
	if !ok {
		return testRun{}, false
	}
	defer m.Done()
	r := testRun{repeat: 1, after: span(m.Get("after")), every: span(m.Get("every")), line: m.Get("line").Text()}
	if rep := m.Get("repeat"); rep.Exists() {
		r.repeat = max(1, int(rep.Int(1, maxTestEvents)))
	}
	if r.every > maxTestSpan || r.after > maxTestSpan {
		n.Errorf("takes longer than 62 days")
		return r, false
	}
	set := m.Get("set")
	if r.line != "" {
		if set.Exists() {
			set.Errorf("cannot stand beside line").Hint("change the line itself, with {{n}} for the number of the repetition")
		}
		r.fields = slices.DeleteFunc(slices.Clone(given), func(f testField) bool { return f.name != event.FieldDataset })
		return r, true
	}
	r.fields = overlay(given, u.fields(set, ""))
	return r, true
}

// overlay puts the fields of an event over those that all events of the test have.
func overlay(given, set []testField) []testField {
	out := slices.Clone(given)
	for _, f := range set {
		i := slices.IndexFunc(out, func(g testField) bool { return g.name == f.name })
		if i >= 0 {
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	return out
}

// span reads a duration that may be nothing.
func span(n diag.Node) time.Duration {
	if !n.Exists() {
		return 0
	}
	if n.Raw() == "0" || n.Raw() == "0s" {
		return 0
	}
	return n.Duration()
}

// fields reads a mapping of fields; a nested mapping is a path.
func (u *Unit) fields(n diag.Node, prefix string) []testField {
	if !n.Exists() {
		return nil
	}
	m, ok := n.Map()
	if !ok {
		return nil
	}
	var out []testField
	for _, p := range m.Pairs() {
		name := prefix + p.Key
		if name == "timestamp" || name == event.FieldTimestamp {
			p.KeyAt.Errorf("the time of an event follows from start, after and every")
			continue
		}
		if p.Value.IsMap() {
			out = append(out, u.fields(p.Value, name+".")...)
			continue
		}
		f := testField{name: name, node: p.KeyAt}
		for _, v := range p.Value.OneOrMany() {
			if one, ok := u.value(v); ok {
				f.values = append(f.values, one)
			}
		}
		u.names = append(u.names, name)
		if slices.ContainsFunc(f.values, func(v testValue) bool { return v.kind == event.Raw }) {
			u.names[len(u.names)-1] += elementsSuffix
		}
		out = append(out, f)
	}
	return out
}

func (u *Unit) value(n diag.Node) (testValue, bool) {
	switch {
	case n.IsMap():
		inner := &Unit{} // the members' names are no fields of their own
		return testValue{kind: event.Raw, members: inner.fields(n, "")}, true
	case n.IsSeq():
		n.Errorf("a list within a list is not a field's value")
		return testValue{}, false
	case !n.Exists():
		return testValue{}, false
	}
	v := testValue{text: n.Raw(), kind: event.String}
	var num number
	switch {
	case n.Quoted():
	case v.text == "true" || v.text == "false":
		v.kind = event.Bool
	case isJSONNumber(v.text) && parseNumber(v.text, &num):
		v.kind = event.Float
		if num.whole {
			v.kind = event.Int
		}
	}
	return v, true
}

// isJSONNumber sorts out numbers that JSON writes otherwise, such as +5 and 007.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && s[0] >= '0' && s[0] <= '9' && (s[0] != '0' || len(s) == 1 || s[1] < '0' || s[1] > '9') && s[len(s)-1] != '.' && !strings.Contains(s, ".e") && !strings.Contains(s, ".E")
}

func (u *Unit) parseExpected(n diag.Node, t *testDoc) {
	m, ok := n.Map()
	if !ok {
		return
	}
	defer m.Done()
	_, line, _ := n.Pos()
	a := ExpectedAlert{Line: line, Title: m.Get("title").Text(), Count: m.Get("count").Int(0, maxAtLeast)}
	if s := m.Get("severity"); s.Exists() {
		a.Severity = severityWord(s)
	}
	if at := m.Get("at"); at.Exists() {
		a.At, a.HasAt = span(at), true
	}
	key := m.Get("key")
	if key.Exists() {
		if k, ok := key.Map(); ok {
			a.Key = map[string]string{}
			for _, p := range k.Pairs() {
				a.Key[p.Key] = p.Value.Text()
			}
		}
	}
	t.test.Alerts = append(t.test.Alerts, a)
	t.alerts = append(t.alerts, alertDoc{n, key})
}
