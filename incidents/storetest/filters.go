package storetest

import (
	"fmt"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func filterTests() []test {
	return []test{{"incidents", filtersIncidents}, {"alerts", filtersAlerts}, {"messages", filtersMessages}}
}

func filtersIncidents(f *fixture) {
	for i := range 4 {
		f.apply(raised(fmt.Sprint(i), fmt.Sprint("k", i), severity(alert.Low+alert.Severity(i)), tenant([]string{"acme", "umbrella"}[i%2])))
		f.wait(time.Minute)
	}
	_, err := f.book.Acknowledge(f.ctx(), f.now, incidents.NewID("umbrella", "k1", 1), "kim")
	f.must(err)
	f.close(incidents.NewID("acme", "k2", 1), incidents.Closed)
	for _, c := range []struct {
		name   string
		filter incidents.Filter
		want   []string
	}{
		{"all, the newest first", incidents.Filter{}, []string{"k3", "k2", "k1", "k0"}},
		{"open", incidents.Filter{Open: true}, []string{"k3", "k1", "k0"}},
		{"states", incidents.Filter{States: []incidents.State{incidents.New, incidents.Closed}}, []string{"k3", "k2", "k0"}},
		{"tenant", incidents.Filter{Tenant: "umbrella"}, []string{"k3", "k1"}},
		{"severity", incidents.Filter{MinSeverity: alert.High}, []string{"k3", "k2"}},
		{"since", incidents.Filter{OpenedSince: start().Add(2 * time.Minute)}, []string{"k3", "k2"}},
		{"limit", incidents.Filter{Limit: 1}, []string{"k3"}},
		{"several", incidents.Filter{Open: true, Tenant: "umbrella", MinSeverity: alert.Normal, States: []incidents.State{incidents.Acknowledged}}, []string{"k1"}},
		{"nobody's", incidents.Filter{Tenant: "nobody"}, nil},
	} {
		var got []string
		for _, in := range f.list(c.filter) {
			got = append(got, in.Key)
		}
		f.same(c.name, got, c.want)
	}
}

func filtersAlerts(f *fixture) {
	f.apply(raised("a", "k"), raised("b", "k", rule("rule-2")), raised("c", "l", tenant("umbrella")), raised("d", "k", mode(alert.Signal)))
	in := incidents.NewID("acme", "k", 1)
	for _, c := range []struct {
		name   string
		filter incidents.AlertFilter
		want   int
	}{
		{"all", incidents.AlertFilter{}, 4}, {"id", incidents.AlertFilter{ID: alert.NewID("a")}, 1}, {"incident", incidents.AlertFilter{Incident: in}, 2},
		{"tenant", incidents.AlertFilter{Tenant: "acme"}, 3}, {"rule", incidents.AlertFilter{Rule: "rule-2"}, 1}, {"mode", incidents.AlertFilter{Mode: alert.Signal}, 1},
		{"several", incidents.AlertFilter{Incident: in, Rule: "rule-1", Tenant: "acme"}, 1}, {"limit", incidents.AlertFilter{Limit: 3}, 3},
	} {
		got, err := f.book.Alerts(f.ctx(), c.filter)
		f.must(err)
		if len(got) != c.want {
			f.Errorf("%s: %d alerts, want %d", c.name, len(got), c.want)
		}
	}
	read, after := 0, ""
	for {
		page, err := f.book.Alerts(f.ctx(), incidents.AlertFilter{After: after, Limit: 3})
		f.must(err)
		if len(page) == 0 {
			break
		}
		read, after = read+len(page), page[len(page)-1].ID
	}
	if read != 4 {
		f.Errorf("read %d alerts by pages", read)
	}
}

func filtersMessages(f *fixture) {
	f.apply(raised("a", "k"), raised("b", "l"))
	all := f.messages(incidents.MessageFilter{})
	if len(all) != 6 {
		f.Fatalf("%d messages", len(all))
	}
	for _, c := range []struct {
		name   string
		filter incidents.MessageFilter
		want   int
	}{
		{"destination", incidents.MessageFilter{Destination: archive}, 2}, {"subject", incidents.MessageFilter{Subject: alert.NewID("a")}, 2},
		{"seq", incidents.MessageFilter{Seq: all[2].Seq}, 1}, {"after", incidents.MessageFilter{After: all[2].Seq}, 3},
		{"state", incidents.MessageFilter{State: incidents.Sent}, 0}, {"limit", incidents.MessageFilter{Limit: 2}, 2},
	} {
		if got := f.messages(c.filter); len(got) != c.want {
			f.Errorf("%s: %d messages, want %d", c.name, len(got), c.want)
		}
	}
}
