package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func foldingTests() []test {
	return []test{
		{"alerts of a key fold", folds},
		{"keys, tenants and alerts without a key do not meet", apart},
		{"severity is only raised", raises},
		{"the title is that of the worst alert", titles},
		{"a closed incident and a new alert", reopens},
		{"a closed incident and its own alerts", goesOn},
		{"a false positive and its own alerts", staysFalse},
		{"a storm of alerts is no storm of messages", storms},
		{"very many rules", manyRules},
	}
}

// actions is what a timeline says, in short.
func actions(timeline []incidents.Entry) (out []string) {
	for i, e := range timeline {
		said := string(e.Action)
		if e.From != "" {
			said += " " + e.From
		}
		if e.To != "" {
			said += " " + e.To
		}
		if e.Seq != int64(i+1) {
			said += fmt.Sprintf(" (entry %d)", e.Seq)
		}
		out = append(out, said)
	}
	return out
}

func folds(f *fixture) {
	f.apply(raised("slot 1", "k"))
	opened := f.only()
	f.wait(time.Minute)
	f.apply(raised("slot 2", "k", shifted(time.Hour)), raised("other rule", "k", rule("rule-0"), shifted(-time.Hour)))
	f.apply(raised("slot 2", "k", shifted(time.Hour), revision(2), last(start().Add(2*time.Hour))))
	in, timeline, alerts := f.show(opened.ID)
	f.same("incident", in, incidents.Incident{ID: opened.ID, Tenant: "acme", Key: "k", KeyID: incidents.NewKeyID("acme", "k"), Episode: 1, Title: "other rule title",
		Severity: alert.Normal, Evaluated: alert.Normal, Peak: alert.Normal, State: incidents.New, Rules: []string{"rule-0", "rule-1"}, Alerts: 3,
		FirstSeen: start().Add(-time.Hour - 61*time.Second), LastSeen: start().Add(2 * time.Hour), OpenedAt: start(), UpdatedAt: f.now, Revision: 4, Entries: 4,
		TitleFrom: incidents.TitleFrom{Alert: alert.NewID("other rule"), Severity: alert.Normal, Time: start().Add(-time.Hour - time.Minute).UnixMilli()}})
	f.same("timeline", actions(timeline), []string{"opened normal", "alert_added", "rule_added rule-0", "alert_added"})
	if timeline[0].Actor != incidents.Machine || !timeline[0].Time.Equal(start()) || timeline[0].Alert != alert.NewID("slot 1") || timeline[1].Revision != 2 {
		f.Errorf("timeline %+v", timeline)
	}
	if len(alerts) != 3 || alerts[0].Title != "other rule title" || string(alerts[0].Events[0].Sample) != `{"message":"sample"}` {
		f.Errorf("alerts %+v", alerts)
	}
}

func apart(f *fixture) {
	f.apply(raised("a", "k"), raised("b", "l"), raised("c", "k", tenant("umbrella")), raised("d", "", rule("r")), raised("e", "", rule("r")))
	if list := f.list(incidents.Filter{}); len(list) != 5 {
		f.Errorf("%d incidents, want 5: %+v", len(list), list)
	}
}

func raises(f *fixture) {
	f.apply(raised("a", "k", severity(alert.High)))
	f.apply(raised("b", "k", severity(alert.Low)))
	f.apply(raised("b", "k", severity(alert.Normal), revision(2)))
	if in := f.only(); in.Severity != alert.High {
		f.Errorf("severity %s", in.Severity)
	}
	f.apply(raised("b", "k", severity(alert.Urgent), revision(3)))
	f.apply(raised("b", "k", severity(alert.Low), revision(4)))
	in, timeline, _ := f.show(f.only().ID)
	if in.Severity != alert.Urgent || in.Peak != alert.Urgent {
		f.Errorf("%+v", in)
	}
	f.same("timeline", actions(timeline), []string{"opened high", "alert_added", "severity_raised high urgent"})
	var change incidents.Change
	told := f.due(pager)
	f.must(json.Unmarshal(told[len(told)-1].Body, &change))
	if change.Action != incidents.SeverityRaised || change.From != "high" || change.To != "urgent" || change.Incident.Severity != alert.Urgent ||
		change.Alert == nil || change.Alert.ID != alert.NewID("b") || change.Alert.Events[0].Sample != nil {
		f.Errorf("told %s", told[len(told)-1].Body)
	}
	f.same("messages", ids(told), []string{in.ID + "-1", in.ID + "-2", in.ID + "-4"})
}

func titles(f *fixture) {
	later, earlier := raised("a", "k", shifted(time.Hour)), raised("b", "k")
	f.apply(later)
	f.apply(earlier)
	if in := f.only(); in.Title != "b title" {
		f.Errorf("title %q, want that of the earlier alert", in.Title)
	}
	again := raised("b", "k", revision(2))
	again.Title = "b says more"
	f.apply(again, raised("a", "k", revision(2), shifted(time.Hour)))
	if in := f.only(); in.Title != "b says more" {
		f.Errorf("title %q, want that of the last revision", in.Title)
	}
	worst := raised("c", "k", severity(alert.High), shifted(2*time.Hour))
	worst.Title = ""
	f.apply(worst)
	if in := f.only(); in.Title != "Rule one" {
		f.Errorf("title %q, want that of the rule of the worst alert", in.Title)
	}
}

// close closes an incident a minute from now.
func (f *fixture) close(id string, as incidents.State) {
	f.Helper()
	f.wait(time.Minute)
	_, err := f.book.Close(f.ctx(), f.now, id, "kim", as, "a reason")
	f.must(err)
	f.wait(time.Minute)
}

// opened returns the open incidents.
func (f *fixture) opened() []incidents.Incident {
	f.Helper()
	return f.list(incidents.Filter{Open: true})
}

func reopens(f *fixture) {
	for episode, as := range []incidents.State{incidents.Closed, incidents.FalsePositive, incidents.Closed} {
		f.apply(raised(fmt.Sprint("a", episode), "k"))
		list := f.opened()
		if len(list) != 1 || list[0].Episode != int64(episode+1) || list[0].ID != incidents.NewID("acme", "k", int64(episode+1)) || list[0].Alerts != 1 {
			f.Fatalf("%+v", list)
		}
		f.close(list[0].ID, as)
	}
	if list := f.list(incidents.Filter{}); len(list) != 3 || list[0].Episode != 3 || list[2].State != incidents.Closed {
		f.Errorf("%+v", list)
	}
}

func goesOn(f *fixture) {
	f.apply(raised("a", "k"))
	id := f.only().ID
	f.close(id, incidents.Closed)
	before := f.only()
	f.apply(raised("a", "k", revision(2))) // the episode is over: what it says happened before
	if list := f.opened(); len(list) != 0 {
		f.Errorf("opened %+v", list)
	}
	f.same("the closed incident", f.only(), before)
	f.apply(raised("a", "k", revision(3), last(f.now)))
	list := f.opened()
	if len(list) != 1 || list[0].Episode != 2 || list[0].Alerts != 1 {
		f.Fatalf("it went on, and nobody is told: %+v", list)
	}
	f.apply(raised("a", "k", revision(4), last(f.now)), raised("b", "k"))
	if in := f.opened()[0]; in.Alerts != 2 || in.Revision != 3 {
		f.Errorf("%+v", in)
	}
	if _, _, alerts := f.show(id); len(alerts) != 1 {
		f.Error("the closed incident has lost its evidence")
	}
}

func staysFalse(f *fixture) {
	f.apply(raised("a", "k"))
	f.close(f.only().ID, incidents.FalsePositive)
	before := f.only()
	f.apply(raised("a", "k", revision(2), last(f.now.Add(time.Hour))))
	f.same("the false positive", f.only(), before)
	f.apply(raised("a", "k", revision(3), severity(alert.High)))
	if list := f.opened(); len(list) != 1 || list[0].Severity != alert.High {
		f.Errorf("it became worse, and nobody is told: %+v", list)
	}
}

func storms(f *fixture) {
	const n = 1000
	var alerts []alert.Alert
	for i := range n {
		alerts = append(alerts, raised(fmt.Sprint(i), "k", severity(alert.High)))
	}
	f.apply(alerts...)
	in, timeline, alerts := f.show(f.only().ID)
	if in.Alerts != n || len(timeline) != 100+3 || len(alerts) != 100 { // 128, 256, 512
		f.Errorf("%d alerts, %d entries, %d alerts shown", in.Alerts, len(timeline), len(alerts))
	}
	if told := f.due(pager); len(told) != 10 { // 1, 2, 4 … 512
		f.Errorf("%d messages: %v", len(told), ids(told))
	}
}

func manyRules(f *fixture) {
	var alerts []alert.Alert
	for i := range 150 {
		alerts = append(alerts, raised(fmt.Sprint(i), "k", rule(fmt.Sprintf("rule-%03d", i*89%150))))
	}
	f.apply(alerts...)
	in := f.only()
	if len(in.Rules) != 100 || !in.MoreRules || in.Rules[0] != "rule-000" || in.Rules[99] != "rule-099" || !slices.IsSorted(in.Rules) {
		f.Errorf("%d rules, more %v: %v", len(in.Rules), in.MoreRules, in.Rules)
	}
}
