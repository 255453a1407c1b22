package detectors

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
)

// shownValues is how many of a field's values an alert names; the others are only counted.
const shownValues = 3

// view is what a rule's texts are made of. It is valid for one call.
type view struct {
	count  int64
	names  []string
	joined string                      // the key's values, named by names; see hit.JoinKey
	key    []alert.Field               // the same, one value each; nil until it is asked for
	values []fieldValues               // what the evidence says besides
	get    func(field string) []string // field, as package rules takes it
}

func newView() *view {
	v := &view{}
	v.get = v.field
	return v
}

func (v *view) reset(count int64, names []string, joined string) {
	v.count, v.names, v.joined, v.key, v.values = count, names, joined, nil, nil
}

// keyFields names the key's values. What it returns is not the view's.
func (v *view) keyFields() []alert.Field {
	if v.key == nil {
		v.key = keyFields(v.names, v.joined)
	}
	return v.key
}

type fieldValues struct {
	name   string
	values []string
	beyond int // about how many more there are; 0: these are all
}

// publishDirty publishes what a source record changed enough. That it is done once a source record, and not once a frame, makes
// the revisions independent of how the match loop cut its frames, which differs from run to run.
func (m *Memory) publishDirty() {
	for _, d := range m.dirty {
		s := d.slot
		e := m.table[d.place]
		r := m.program.rules[e.rule]
		if s.revision == 0 || uint64(s.count) >= 2*uint64(s.published) || m.risen(r, e, s) {
			m.publish(r, e, s, false)
		}
		s.dirty, s.news = false, false
	}
	clear(m.dirty)
	m.dirty = m.dirty[:0]
}

// risen says that the slot's severity is higher than what was published. A severity that looks at evidence is looked at when
// there may be a new value, and else as often as the count has grown by a sixteenth: finding the evidence of a flood takes long.
func (m *Memory) risen(r *rule, e *entity, s *slot) bool {
	tenant, key := splitEntityKey(e.text)
	texts := r.at(tenant, s.time).texts
	if !texts.Varies() {
		return false
	}
	v := m.view
	v.reset(int64(s.count), r.names, key)
	if texts.Watches() {
		if !s.news && s.count-s.checked <= s.checked/16 {
			return false
		}
		s.checked = s.count
		evidence := m.evidence(r, e, s)
		v.values = m.valuesOf(&evidence)
	} else if s.count == s.published {
		return false
	}
	return int8(texts.Severity(v)) > s.severity
}

// publish makes the next revision of a slot's alert.
func (m *Memory) publish(r *rule, e *entity, s *slot, final bool) {
	m.out = append(m.out, m.alertOf(r, e, s, final))
}

func (m *Memory) alertOf(r *rule, e *entity, s *slot, final bool) alert.Alert {
	tenant, key := splitEntityKey(e.text)
	as := r.at(tenant, s.time) // and not as it is now: contents depend on what happened only
	evidence := m.evidence(r, e, s)
	first := s.first
	if first == none {
		first = firstCovered(e.moments, m.spans, none)
	}
	v := m.view
	v.reset(int64(s.count), r.names, key)
	v.values = m.valuesOf(&evidence)
	s.revision++
	s.published, s.checked = s.count, s.count
	a := alert.Alert{
		ID: alert.NewID(tenant, r.id, key, strconv.FormatInt(s.number, 10)), Revision: s.revision, Final: final,
		Rule: as.info, Tenant: strings.Clone(tenant), Severity: as.texts.Severity(v), Title: as.texts.Title(v),
		Key: v.keyFields(), Incident: incidentKey(r, v.keyFields()), Time: s.time, First: first, Last: s.last, Count: int64(s.count),
		Fields: shown(v.values), Events: m.events(&evidence), Degraded: s.flags.text(),
	}
	s.severity = max(s.severity, int8(a.Severity))
	a.Explanation = explainCount(r.clause.within, as.atLeast, &a)
	return a
}

// evidence is what is known of the hits in the slot's qualifying windows. It leaves their times in m.spans.
func (m *Memory) evidence(r *rule, e *entity, s *slot) summary {
	m.spans = e.coverage(m.spans[:0], s, r)
	in := func(t int64) bool { return covers(m.spans, t) }
	all := s.forgotten.clone()
	for i := range e.recs {
		if in(e.recs[i].time) {
			m.addTo(&all, e.recs[i], owned)
		}
	}
	if e.more != nil {
		for _, c := range e.more.crowds {
			m.merge(&all, &c.summary, in)
		}
	}
	return all
}

// valuesOf is every known value, by field name, ascending.
func (m *Memory) valuesOf(s *summary) []fieldValues {
	out := make([]fieldValues, 0, len(s.fields))
	for _, f := range s.fields {
		v := fieldValues{name: m.names[f.name]}
		for _, t := range f.values {
			v.values = append(v.values, t.text)
		}
		slices.Sort(v.values)
		if f.full {
			v.beyond = max(f.estimate()-len(f.values), 1)
		}
		if v.name != "" {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b fieldValues) int { return strings.Compare(a.name, b.name) })
	return out
}

// shown cuts values to what an alert names of them.
func shown(values []fieldValues) []alert.Field {
	out := make([]alert.Field, len(values))
	for i, v := range values {
		n := min(len(v.values), shownValues)
		out[i] = alert.Field{Name: v.name, Values: slices.Clone(v.values[:n]), More: len(v.values) - n + v.beyond, Estimated: v.beyond > 0}
	}
	return out
}

// estimate is about how many different values a full set stands for: the more there are, the smaller the greatest of the least
// hashes.
func (f *valueSet) estimate() int {
	share := float64(f.values[len(f.values)-1].hash) / math.MaxUint64
	return int(float64(len(f.values)-1) / share)
}

// events are the first, the last and those of the sample with the least hashes, by time and id.
func (m *Memory) events(s *summary) []alert.Event {
	if !s.some {
		return nil
	}
	rs := []record{s.first}
	if !s.last.same(&s.first) {
		rs = append(rs, s.last)
	}
	for i := range s.sample {
		r := &s.sample[i].record
		if len(rs) < sampleSize && !r.same(&s.first) && !r.same(&s.last) {
			rs = append(rs, *r)
		}
	}
	slices.SortFunc(rs, func(a, b record) int { return cmp.Or(cmp.Compare(a.time, b.time), m.compareIDs(&a, &b)) })
	out := make([]alert.Event, len(rs))
	for i := range rs {
		out[i] = alert.Event{ID: m.sources.id(&rs[i]).String(), Time: rs[i].time}
		out[i].Sample = sampleOf(sample(rs[i].extra))
	}
	return out
}

// sampleOf is an event's document, if it is one.
func sampleOf(text string) json.RawMessage {
	if b := []byte(text); len(b) > 0 && json.Valid(b) {
		return b
	}
	return nil
}

// stateless makes a hit an alert of its own: complete at once.
func (m *Memory) stateless(r *rule, source event.Source, h *hit.Hit) {
	id := h.EventID(source).String()
	key := keyFields(r.names, h.Key)
	incident := incidentKey(r, key)
	key = slices.DeleteFunc(key, func(f alert.Field) bool { return f.Values[0] == "" }) // the event has no such field
	v := m.view
	v.reset(1, nil, "")
	v.key = key
	for _, f := range h.Fields {
		if len(f.Values) == 0 {
			continue
		}
		values := make([]string, len(f.Values))
		for i, x := range f.Values {
			values[i] = strings.Clone(clip(x))
		}
		slices.Sort(values)
		v.values = append(v.values, fieldValues{name: strings.Clone(f.Name), values: slices.Compact(values)})
	}
	slices.SortFunc(v.values, func(a, b fieldValues) int { return strings.Compare(a.name, b.name) })
	e := alert.Event{ID: id, Time: h.Time}
	if len(h.Sample) <= maxSampleBytes {
		e.Sample = sampleOf(string(h.Sample))
	} else {
		m.counts.samplesDropped++
	}
	as := r.at(h.Tenant, h.Time)
	a := alert.Alert{
		ID: alert.NewID(h.Tenant, r.id, id), Revision: 1, Final: true, Rule: as.info, Tenant: strings.Clone(h.Tenant),
		Severity: as.texts.Severity(v), Title: as.texts.Title(v), Key: v.key, Incident: incident,
		Time: h.Time, First: h.Time, Last: h.Time, Count: 1, Fields: shown(v.values), Events: []alert.Event{e},
	}
	a.Explanation = explainEvent(&a)
	m.out = append(m.out, a)
}

// keyFields names a key's values.
func keyFields(names []string, key string) []alert.Field {
	if len(names) == 0 {
		return nil
	}
	values := hit.SplitKey(key)
	out := make([]alert.Field, 0, len(names))
	for i, n := range names {
		if i < len(values) {
			out = append(out, alert.Field{Name: n, Values: []string{strings.Clone(values[i])}})
		}
	}
	return out
}

// incidentKey is the incident of an alert: the rule and the values of incident_by. Alerts of two rules never share it.
func incidentKey(r *rule, key []alert.Field) string {
	b := []byte(r.id)
	for _, name := range r.incident {
		for _, f := range key {
			if f.Name == name {
				b = append(append(append(b, ' '), name...), '=')
				b = appendQuoted(b, f.Values[0])
			}
		}
	}
	return string(b)
}

// appendQuoted appends a value, in quotes if it could be taken for the end of one.
func appendQuoted(b []byte, s string) []byte {
	if s == "" || strings.ContainsAny(s, " \"=\\") || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}
