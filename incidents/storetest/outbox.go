package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func outboxTests() []test {
	return []test{
		{"a message and its way", messageWay},
		{"a subject keeps its order while it waits", subjectOrder},
		{"what is refused is parked, and others go on", parks},
		{"a parked message may be tried again", retries},
		{"sent twice is once", sentTwice},
		{"what cannot be delivered is given up", givesUp},
		{"a full outbox", overflows},
		{"what was sent is forgotten in the end", prunes},
		{"ticks", ticks},
	}
}

func messageWay(f *fixture) {
	f.apply(raised("a", "k", severity(alert.High)))
	due := f.due(soc)
	if len(due) != 2 {
		f.Fatalf("due %v", ids(due))
	}
	m := due[0]
	want := incidents.Message{Seq: m.Seq, ID: alert.NewID("a") + "-1", Destination: soc, Type: incidents.TypeAlert, Tenant: "acme", Subject: alert.NewID("a"), Revision: 1,
		Severity: alert.High, Time: start().Add(-59 * time.Second), Body: m.Body, State: incidents.Waiting, Created: f.now, Next: f.now}
	f.same("message", m, want)
	var a alert.Alert
	f.must(json.Unmarshal(m.Body, &a))
	f.same("body", a, raised("a", "k", severity(alert.High)))

	f.must(f.book.Failed(f.ctx(), m, "down\x00", f.now.Add(time.Second)))
	if got := f.due(soc); len(got) != 1 || got[0].Type != incidents.TypeIncident {
		f.Errorf("due %v", ids(got))
	}
	f.wait(time.Second)
	m = f.due(soc)[0]
	if m.Attempts != 1 || m.Cause != "down\uFFFD" || !m.Next.Equal(f.now) {
		f.Errorf("%+v", m)
	}
	f.must(f.book.Sent(f.ctx(), m, "ticket-1", f.now))
	sent := f.messages(incidents.MessageFilter{State: incidents.Sent})
	if len(sent) != 1 || sent[0].Ref != "ticket-1" || !sent[0].Done.Equal(f.now) || sent[0].Body != nil {
		f.Errorf("sent %+v", sent)
	}
	m = f.due(soc)[0]
	f.must(f.book.Sent(f.ctx(), m, "", f.now))
	in, timeline, _ := f.show(m.Subject)
	f.same("timeline", actions(timeline), []string{"opened high", "notified soc"})
	if in.Revision != 1 {
		f.Errorf("that somebody was told is no change: %+v", in)
	}
	if n := len(f.due(pager)); n != 1 {
		f.Errorf("%d messages for the other destination", n)
	}
}

func (f *fixture) messages(filter incidents.MessageFilter) []incidents.Message {
	f.Helper()
	list, err := f.book.Outbox(f.ctx(), filter)
	f.must(err)
	return list
}

func subjectOrder(f *fixture) {
	for r := int64(1); r <= 3; r++ {
		f.apply(raised("a", "k", revision(r), mode(alert.Shadow)), raised("b", "k", revision(r), mode(alert.Shadow)))
	}
	a, b := raised("a", ""), raised("b", "")
	id := func(x alert.Alert, r int64) string { x.Revision = r; return x.RevisionID() }
	due := f.due(archive)
	f.same("due", ids(due), []string{id(a, 1), id(b, 1), id(a, 2), id(b, 2), id(a, 3), id(b, 3)})
	f.must(f.book.Failed(f.ctx(), due[0], "down", f.now.Add(time.Minute)))
	f.same("due", ids(f.due(archive)), []string{id(b, 1), id(b, 2), id(b, 3)})
	f.must(f.book.Sent(f.ctx(), due[1], "", f.now))
	f.same("due", ids(f.due(archive)), []string{id(b, 2), id(b, 3)})
	f.wait(time.Minute - time.Millisecond)
	f.same("due", ids(f.due(archive)), []string{id(b, 2), id(b, 3)})
	f.wait(time.Millisecond)
	f.same("due", ids(f.due(archive)), []string{id(a, 1), id(a, 2), id(b, 2), id(a, 3), id(b, 3)})
	some, err := f.book.Due(f.ctx(), archive, f.now, 2)
	f.must(err)
	f.same("due", ids(some), []string{id(a, 1), id(a, 2)})
}

func parks(f *fixture) {
	f.apply(raised("a", "k"))
	f.apply(raised("a", "k", revision(2), severity(alert.High)))
	for _, m := range f.due(soc) {
		if m.Revision == 1 {
			f.must(f.book.Failed(f.ctx(), m, "404 Not Found", time.Time{}))
		}
	}
	if got := f.due(soc); len(got) != 2 || got[0].Revision != 2 || got[1].Revision != 2 {
		f.Errorf("due %v", ids(got))
	}
	parked := f.messages(incidents.MessageFilter{Destination: soc, State: incidents.Parked})
	if len(parked) != 2 || parked[0].Cause != "404 Not Found" || parked[0].Attempts != 1 || parked[0].Body == nil {
		f.Errorf("parked %+v", parked)
	}
	_, timeline, _ := f.show(f.only().ID)
	f.same("timeline", actions(timeline), []string{"opened normal", "severity_raised normal high", "notify_refused soc"})
	tally, err := f.book.Tally(f.ctx())
	f.must(err)
	f.same("tally", tally, incidents.Tally{Open: map[alert.Severity]int64{alert.High: 1}, Outbox: []incidents.Backlog{
		{Destination: archive, Waiting: 2, Oldest: start()}, {Destination: pager, Waiting: 1, Oldest: start()}, {Destination: soc, Waiting: 2, Parked: 2, Oldest: start()}}})
	if tally.OpenIncidents() != 1 {
		f.Error(tally.OpenIncidents())
	}
}

func retries(f *fixture) {
	f.apply(raised("a", "k", mode(alert.Signal)))
	m := f.due(soc)[0]
	f.must(f.book.Failed(f.ctx(), m, "no", time.Time{}))
	f.wait(100 * time.Hour)
	f.must(f.book.Retry(f.ctx(), m.Seq, f.now))
	f.must(f.book.Tick(f.ctx(), f.now))
	if got := f.due(soc); len(got) != 1 || got[0].Attempts != 0 || !got[0].Created.Equal(f.now) {
		f.Errorf("due %+v", got)
	}
	f.refused(f.book.Retry(f.ctx(), m.Seq, f.now), nil)
	f.refused(f.book.Retry(f.ctx(), 999, f.now), incidents.ErrNotFound)
}

func sentTwice(f *fixture) {
	f.apply(raised("a", "k"))
	for _, m := range f.due(soc) {
		f.must(f.book.Sent(f.ctx(), m, "first", f.now))
		before := f.dump()
		f.must(f.book.Sent(f.ctx(), m, "second", f.now.Add(time.Minute)))
		f.must(f.book.Failed(f.ctx(), m, "late", time.Time{}))
		f.same("what is stored", f.dump(), before)
	}
}

func givesUp(f *fixture) {
	f.apply(raised("a", "k", mode(alert.Signal)))
	f.wait(72 * time.Hour)
	f.must(f.book.Tick(f.ctx(), f.now))
	if n := len(f.due(soc)); n != 1 {
		f.Errorf("given up too early")
	}
	f.wait(time.Minute)
	f.must(f.book.Tick(f.ctx(), f.now))
	parked := f.messages(incidents.MessageFilter{State: incidents.Parked})
	if len(f.due(soc)) != 0 || len(parked) != 2 || parked[0].Cause == "" || !parked[0].Done.Equal(f.now) {
		f.Errorf("parked %+v", parked)
	}
	if s := f.book.Stats(); s.GivenUp != 2 {
		f.Errorf("%+v", s)
	}
}

func overflows(f *fixture) {
	f.book = incidents.NewBook(f.store, incidents.Policy{Destinations: destinations(), MaxWaiting: 3})
	for i := range 5 {
		f.apply(raised(fmt.Sprint(i), "k", mode(alert.Shadow)))
	}
	f.must(f.book.Tick(f.ctx(), f.now))
	if got := f.due(archive); len(got) != 3 || got[0].Subject != alert.NewID("2") {
		f.Errorf("due %v", ids(got))
	}
	if s := f.book.Stats(); s.Overflowed != 2 {
		f.Errorf("%+v", s)
	}
}

func prunes(f *fixture) {
	f.apply(raised("a", "k", mode(alert.Signal)))
	f.must(f.book.Sent(f.ctx(), f.due(soc)[0], "", f.now))
	f.must(f.book.Failed(f.ctx(), f.due(archive)[0], "no", time.Time{}))
	for _, step := range []struct {
		wait time.Duration
		left int
	}{{7 * 24 * time.Hour, 2}, {time.Minute, 1}, {23*24*time.Hour - time.Minute, 1}, {time.Minute, 0}} {
		f.wait(step.wait)
		f.must(f.book.Tick(f.ctx(), f.now))
		if got := f.messages(incidents.MessageFilter{}); len(got) != step.left {
			f.Errorf("after %v: %d messages, want %d", step.wait, len(got), step.left)
		}
	}
	f.apply(raised("a", "k", mode(alert.Signal)))
	if got := f.messages(incidents.MessageFilter{}); len(got) != 0 {
		f.Errorf("a replay wrote %+v", got)
	}
	if s := f.book.Stats(); s.Pruned != 2 {
		f.Errorf("%+v", s)
	}
}

// ticks: an hour of them, one a second, is cheap and takes nothing that is young.
func ticks(f *fixture) {
	f.apply(raised("a", "k", mode(alert.Signal)))
	before := f.dump()
	for range 60 * 60 {
		f.wait(time.Second)
		f.must(f.book.Tick(f.ctx(), f.now))
	}
	f.same("what is stored", f.dump(), before)
}
