package detectors

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
)

// plain is the least that a rule can say.
type plain struct{ watches bool }

func (plain) Title(v *view) string {
	var b strings.Builder
	for _, f := range append(slices.Clone(v.keyFields()), shown(v.values)...) {
		b.WriteString(f.Name + strings.Join(f.Values, " "))
	}
	return b.String() + strconv.FormatInt(v.count, 10)
}

func (p plain) Severity(v *view) alert.Severity {
	for _, f := range v.values {
		if p.watches && f.name == "user.name" && slices.Contains(f.values, "user0") {
			return alert.Urgent
		}
	}
	if v.count >= 40 {
		return alert.High
	}
	return alert.Normal
}

func (plain) Varies() bool { return true }

func (p plain) Watches() bool { return p.watches }

// world is a set of rules and what happens to them: partitions of records that made hits.
type world struct {
	rules    []*rule
	limits   Limits
	parts    []*partition
	heavy    bool
	lateness int64
}

type partition struct {
	source  event.Source
	of      int32
	records []rec
}

// rec is a record of a source: its hits, and how far event time has come with it.
type rec struct {
	hits      []hit.Hit
	watermark int64
}

func countRule(id string, atLeast uint32, within, quiet time.Duration) *rule {
	return &rule{id: id, basis: 7, names: []string{"source.ip"}, incident: []string{"source.ip"},
		clause: newClause(atLeast, within, quiet), plain: &variant{info: alert.Rule{ID: id, Title: id, Version: "1"}, atLeast: atLeast, texts: plain{}}}
}

func eachRule(id string) *rule {
	return &rule{id: id, basis: 7, names: []string{"source.ip"}, incident: []string{"source.ip"},
		plain: &variant{info: alert.Rule{ID: id, Title: id, Version: "1"}, texts: plain{}}}
}

// override makes the rule ask one tenant for more, until a time.
func override(r *rule, tenant string, until int64) {
	tuned := *r.plain
	tuned.atLeast += 3
	tuned.info.Version = "2"
	base := r.plain
	r.resolve = func(t string, ms int64) *variant {
		if t == tenant && ms < until {
			return &tuned
		}
		return base
	}
}

// newWorld makes rules and traffic of a seed. Event times stay within the lateness of the watermarks.
func newWorld(rng *rand.Rand, heavy bool) *world {
	w := &world{heavy: heavy, lateness: 2000}
	w.limits = Limits{Lateness: 2 * time.Second}
	within := time.Duration(500+rng.IntN(3000)) * time.Millisecond
	quiet := within + time.Duration(rng.IntN(2000))*time.Millisecond
	a, b := countRule("a", uint32(2+rng.IntN(6)), within, quiet), countRule("b", uint32(1+rng.IntN(8)), within*2, within*2)
	override(a, "acme", 1_000_000+rng.Int64N(8000))
	b.plain.texts = plain{watches: true}
	w.rules = []*rule{a, b, eachRule("each")}
	records, gap := 40, int64(400)
	if heavy {
		a = countRule("a", 50, 1600*time.Millisecond, 3*time.Second)
		b = countRule("b", 200, 800*time.Millisecond, time.Second)
		w.rules = []*rule{a, b}
		records, gap = 900, 12
	}
	for topic := range 1 + rng.IntN(2) {
		of := int32(1 + rng.IntN(3))
		for n := range of {
			p := &partition{source: event.Source{Topic: fmt.Sprint("t", topic), TopicID: "x", Partition: n}, of: of}
			p.fill(rng, w, records, gap)
			w.parts = append(w.parts, p)
		}
	}
	return w
}

func (p *partition) fill(rng *rand.Rand, w *world, records int, gap int64) {
	now := int64(1_000_000)
	for offset := range records {
		now += rng.Int64N(gap)
		r := rec{watermark: now}
		for i := range rng.IntN(3) {
			rule := w.rules[[]int{0, 0, 0, 1, 1, 1, 1, 2}[rng.IntN(8)]%len(w.rules)]
			h := hit.Hit{Rule: rule.id, Basis: rule.basis, Tenant: []string{"", "acme"}[rng.IntN(2)], Key: string(rune('p' + rng.IntN(2))),
				Offset: int64(offset), Index: int32(i), RecordTime: now, Time: now - rng.Int64N(w.lateness-200)}
			users := 12
			if w.heavy {
				h.Tenant, h.Key, users = "", "p", 90
			}
			h.Fields = []hit.Field{{Name: "user.name", Values: []string{fmt.Sprint("user", rng.IntN(users))}}, {Name: "absent"}}
			if rng.IntN(4) == 0 {
				h.Sample = fmt.Appendf(nil, `{"n":%d}`, offset)
			}
			r.hits = append(r.hits, h)
		}
		p.records = append(p.records, r)
	}
}

// log is one legal interleaving: every partition in order, frames and ticks cut at random, and now and then a new owner that
// begins at an older position and cuts elsewhere.
func (w *world) log(rng *rand.Rand) (log []hit.Frame) {
	at := make([]int, len(w.parts))
	for _, p := range w.parts { // time must not pass a topic that was not heard of yet
		f := tick(p, 0)
		f.Marks = nil
		log = append(log, f)
	}
	longest := 8
	if w.heavy {
		longest = 60
	}
	for {
		left := 0
		for i, p := range w.parts {
			left += len(p.records) - at[i]
		}
		if left == 0 {
			break
		}
		i := rng.IntN(len(w.parts))
		p := w.parts[i]
		if at[i] == len(p.records) {
			continue
		}
		end := min(at[i]+1+rng.IntN(longest), len(p.records))
		f := hit.Frame{Kind: hit.Hits, Source: p.source, Partitions: p.of, First: int64(at[i]), Last: int64(end - 1)}
		for _, r := range p.records[at[i]:end] {
			f.Hits = append(f.Hits, r.hits...)
		}
		if len(f.Hits) > 0 || rng.IntN(3) == 0 {
			log = append(log, f)
		}
		at[i] = end
		if rng.IntN(3) == 0 {
			log = append(log, tick(p, p.records[end-1].watermark))
		}
		if rng.IntN(15) == 0 {
			at[i] = max(0, at[i]-rng.IntN(2*longest))
		}
	}
	for _, p := range w.parts {
		log = append(log, tick(p, 1<<45))
	}
	return log
}

func tick(p *partition, watermark int64) hit.Frame {
	s := p.source
	s.Partition = 0
	return hit.Frame{Kind: hit.Tick, Source: s, Partitions: p.of, Marks: []hit.Mark{{Partition: p.source.Partition, Watermark: watermark}}}
}

func (w *world) program() *Program { return newProgram(w.limits, w.rules) }

// oracle answers the same question over all hits at once, with nothing but loops.
func (w *world) oracle() map[string]alert.Alert {
	type place struct{ rule, tenant, key string }
	type one struct {
		hit.Hit
		id string
	}
	sets := map[place][]one{}
	out := map[string]alert.Alert{}
	for _, p := range w.parts {
		for _, r := range p.records {
			for _, h := range r.hits {
				o := one{h, h.EventID(p.source).String()}
				if h.Rule == "each" {
					out[alert.NewID(h.Tenant, h.Rule, o.id)] = alert.Alert{Count: 1, Time: h.Time, First: h.Time, Last: h.Time}
					continue
				}
				at := place{h.Rule, h.Tenant, h.Key}
				sets[at] = append(sets[at], o)
			}
		}
	}
	for at, hits := range sets {
		r := w.program().byID[at.rule]
		c := r.clause
		met := map[string][]int64{} // the ends of qualifying windows
		for _, u := range hits {
			n := 0
			for _, h := range hits {
				if h.Time <= u.Time && h.Time > u.Time-c.within {
					n++
				}
			}
			as := r.at(at.tenant, u.Time)
			if n < int(as.atLeast) {
				continue
			}
			id := alert.NewID(at.tenant, at.rule, at.key, fmt.Sprint(floorDiv(u.Time, c.quiet)))
			a, ok := out[id]
			if !ok || u.Time < a.Time {
				a.Time, a.Rule = u.Time, as.info
			}
			a.Count, a.Last = max(a.Count, int64(n)), max(a.Last, u.Time)
			out[id], met[id] = a, append(met[id], u.Time)
		}
		for id, ends := range met {
			a, values := out[id], map[string]bool{}
			slices.Sort(ends)
			a.First = a.Last
			for _, h := range hits {
				i, _ := slices.BinarySearch(ends, h.Time)
				if i == len(ends) || h.Time <= ends[i]-c.within {
					continue
				}
				a.First = min(a.First, h.Time)
				a.Events = append(a.Events, alert.Event{ID: h.id, Time: h.Time})
				if v := h.Fields[0].Values; !values[v[0]] {
					values[v[0]] = true
					a.Key = append(a.Key, alert.Field{Values: v}) // all values, for want of another place
				}
			}
			out[id] = a
		}
	}
	return out
}

func event1() event.Source { return event.Source{Topic: "logs", TopicID: "x"} }
