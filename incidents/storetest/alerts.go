package storetest

import (
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func alertTests() []test {
	return []test{
		{"live, signal and shadow", modes},
		{"a replay changes nothing", replay},
		{"only greater revisions count", revisions},
		{"which alerts share a transaction does not matter", batching},
		{"the order of shards does not matter in the end", shardOrder},
		{"ids follow from alerts", sameIDs},
		{"an alert without an id is refused", noID},
		{"hostile and huge alerts", hostile},
		{"alerts without an incident are forgotten in the end", forgotten},
	}
}

// incidentsOfManyKinds are alerts that make the book do everything it can do in one transaction.
func incidentsOfManyKinds() []alert.Alert {
	return []alert.Alert{
		raised("a", "k", revision(2), severity(alert.Urgent)),
		raised("b", "k", rule("rule-2"), shifted(time.Second)),
		raised("c", "k2", severity(alert.High)),
		raised("d", "k2", tenant("umbrella")),
		raised("e", "k3", mode(alert.Signal)),
		raised("f", "k4", mode(alert.Shadow)),
		raised("c", "k2", severity(alert.High), revision(2), shifted(time.Minute)),
		raised("c", "k2", severity(alert.High), revision(2), shifted(time.Minute)),
	}
}

func modes(f *fixture) {
	f.apply(raised("live", "k"), raised("signal", "k", mode(alert.Signal)), raised("shadow", "k", mode(alert.Shadow)), raised("off", "k", mode(alert.Disabled)), raised("new mode", "k", mode("")))
	in := f.only()
	if in.Alerts != 2 {
		f.Errorf("%d alerts, want the live one and the one of a mode that nobody knows", in.Alerts)
	}
	if n := len(f.dump().Alerts); n != 5 {
		f.Errorf("%d alerts are stored, want all 5", n)
	}
	for destination, want := range map[string]int{soc: 3 + 2, pager: 0, archive: 5} {
		if got := f.due(destination); len(got) != want {
			f.Errorf("%s: %d messages, want %d: %v", destination, len(got), want, ids(got))
		}
	}
}

func replay(f *fixture) {
	f.apply(incidentsOfManyKinds()...)
	before, stats := f.dump(), f.book.Stats()
	f.wait(time.Hour)
	f.apply(incidentsOfManyKinds()...)
	f.apply(incidentsOfManyKinds()...)
	f.same("what is stored", f.dump(), before)
	after := f.book.Stats()
	if after.Applied != stats.Applied || after.Messages != stats.Messages || after.Opened != stats.Opened || after.Ignored != stats.Ignored+16 {
		f.Errorf("counted %+v, before %+v", after, stats)
	}
}

func revisions(f *fixture) {
	f.apply(raised("a", "k", revision(3)))
	f.apply(raised("a", "k", revision(2), severity(alert.Urgent)))
	if in := f.only(); in.Severity != alert.Normal || in.Revision != 1 {
		f.Errorf("an old revision changed %+v", in)
	}
	f.apply(raised("a", "k", revision(7)))
	if in := f.only(); in.Revision != 2 || in.Alerts != 1 {
		f.Errorf("%+v", in)
	}
	if got := f.dump().Alerts; len(got) != 1 || got[0].Revision != 7 {
		f.Errorf("stored %+v", got)
	}
	f.apply(raised("a", "k", revision(9)), raised("a", "k", revision(8)), raised("a", "k", revision(9)))
	if in := f.only(); in.Revision != 3 {
		f.Errorf("a transaction with one new revision made %d", in.Revision-2)
	}
}

// storm is many alerts of few keys with several revisions each, in a random order that keeps each alert's revisions in theirs.
func storm(r *rand.Rand, n int) []alert.Alert {
	var out []alert.Alert
	latest := map[int]int64{}
	for range n {
		i := r.IntN(n / 3)
		latest[i]++
		name := string(rune('A'+i%26)) + strings.Repeat("x", i/26)
		out = append(out, raised(name, "k"+string(rune('0'+i%4)), revision(latest[i]), rule("rule-"+string(rune('0'+i%3))),
			severity(min(alert.Severity(1+i%3)+alert.Severity(latest[i]/3), alert.Urgent)), shifted(time.Duration(i*7919%1000)*time.Second)))
	}
	return out
}

func batching(f *fixture) {
	r := rand.New(rand.NewPCG(1, 2))
	alerts := storm(r, 120)
	f.apply(alerts...)
	for range 3 {
		g := f.another()
		for rest := alerts; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 20))
			g.apply(rest[:n]...)
			if r.IntN(3) == 0 {
				g.apply(rest[:n]...)
			}
			rest = rest[n:]
		}
		f.same("what is stored in other batches", g.dump(), f.dump())
	}
}

// shardOrder: alerts of different shards meet in any order. What is known of the incidents in the end is the same.
func shardOrder(f *fixture) {
	r := rand.New(rand.NewPCG(3, 4))
	alerts := storm(r, 90)
	f.apply(alerts...)
	want := f.dump()
	for range 3 {
		g := f.another()
		byID := map[string][]alert.Alert{}
		var order []string
		for _, a := range alerts {
			byID[a.ID] = append(byID[a.ID], a)
			order = append(order, a.ID)
		}
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, id := range order {
			g.apply(byID[id][0])
			byID[id] = byID[id][1:]
		}
		got := g.dump()
		for i := range got.Incidents {
			got.Incidents[i].Entries = want.Incidents[i].Entries // in which order severities rose differs
		}
		f.same("incidents", got.Incidents, want.Incidents)
		f.same("evidence", got.Evidence, want.Evidence)
		f.same("alerts", got.Alerts, want.Alerts)
	}
}

func sameIDs(f *fixture) {
	f.apply(raised("a", "k"))
	g := f.another()
	g.wait(time.Hour)
	g.apply(raised("b", "k"))
	if f.only().ID != g.only().ID || f.only().ID != incidents.NewID("acme", "k", 1) {
		f.Error("the id depends on more than tenant, key and episode")
	}
	if f.only().ID == incidents.NewID("acm", "ek", 1) {
		f.Error("tenant and key run into each other")
	}
}

func noID(f *fixture) {
	f.claim(0)
	for name, a := range map[string]alert.Alert{"id": {Revision: 1}, "revision": {ID: "x"}} {
		if err := f.book.Apply(f.ctx(), f.now, []incidents.ShardWrite{{Epoch: 1, TopicID: topicID, Alerts: []alert.Alert{a}}}); err == nil {
			f.Errorf("without %s: no error", name)
		}
	}
}

func hostile(f *fixture) {
	bad := "x\x00\xff\x1b[31m'; DROP TABLE alerts; --" + strings.Repeat("é", 2000)
	a := raised("a", bad, severity(99), rule(bad), tenant(bad))
	a.Title, a.Explanation = bad, bad
	for range 8 {
		a.Events = append(a.Events, alert.Event{ID: bad, Sample: []byte(`"` + strings.Repeat("s", 60<<10) + `"`)})
	}
	for range 50 {
		a.Fields = append(a.Fields, alert.Field{Name: bad, Values: []string{bad, bad, bad}})
	}
	other := raised("b", bad[:len(bad)-2], tenant(bad)) // keys that differ at the end only
	empty := alert.Alert{ID: "c", Revision: 1}
	f.apply(a, other, empty)
	list := f.list(incidents.Filter{})
	if len(list) != 3 {
		f.Fatalf("%d incidents, want 3", len(list))
	}
	for _, in := range list {
		if len(in.Title) > 1024 || len(in.Key) > 1024 || in.Title == "" && in.Rules[0] != "" ||
			!utf8.ValidString(in.Title+in.Key+in.Tenant) || strings.Contains(in.Title+in.Key+in.Tenant, "\x00") || in.Severity < alert.Low || in.Severity > alert.Urgent {
			f.Errorf("not sound: %+v", in)
		}
	}
	for _, destination := range []string{soc, pager, archive} {
		for _, m := range f.due(destination) {
			if len(m.Body) > 256<<10 {
				f.Errorf("a message of %d bytes", len(m.Body))
			}
		}
	}
	if got, err := f.book.Alerts(f.ctx(), incidents.AlertFilter{ID: a.ID}); err != nil || len(got) != 1 || got[0].Degraded == "" && len(got[0].Events) > 0 {
		f.Errorf("%v %+v", err, got)
	}
}

func forgotten(f *fixture) {
	f.apply(raised("signal", "k", mode(alert.Signal)), raised("live", "k"))
	f.wait(89 * 24 * time.Hour)
	f.must(f.book.Tick(f.ctx(), f.now))
	if n := len(f.dump().Alerts); n != 2 {
		f.Errorf("%d alerts are left, want both", n)
	}
	f.wait(48 * time.Hour)
	f.must(f.book.Tick(f.ctx(), f.now))
	if got := f.dump().Alerts; len(got) != 1 || got[0].Rule.Mode != alert.Live {
		f.Errorf("left %+v", got)
	}
}
