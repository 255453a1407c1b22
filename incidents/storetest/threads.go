package storetest

import (
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func threadTests() []test {
	return []test{
		{"later messages know what the first one is called", threadStarts},
		{"a first message without a name starts none", threadWithoutName},
		{"it outlives the messages of an open incident", threadOutlives},
		{"it is forgotten in the end", threadForgotten},
	}
}

// told delivers what is due to a destination, each message as what name says of it, and answers the threads that the messages knew.
func (f *fixture) told(destination string, name func(incidents.Message) string) (threads []string) {
	f.Helper()
	for _, m := range f.due(destination) {
		threads = append(threads, m.Thread)
		f.must(f.book.Sent(f.ctx(), m, name(m), f.now))
	}
	return threads
}

func named(ref string) func(incidents.Message) string {
	return func(incidents.Message) string { return ref }
}

func threadStarts(f *fixture) {
	f.apply(raised("a", "k", severity(alert.High)))
	f.same("threads of the first messages", f.told(pager, named("1700.1")), []string{""})
	f.apply(raised("b", "k", severity(alert.High)))
	f.same("threads of the next", f.told(pager, named("1700.2")), []string{"1700.1"})
	f.apply(raised("c", "k", severity(alert.Urgent)), raised("x", "other", severity(alert.High)))
	f.same("threads of a third, and of another incident", f.told(pager, named("1700.3")), []string{"1700.1", ""})
	for _, m := range f.due(soc) {
		if m.Thread != "" {
			f.Errorf("another destination's message is in thread %q", m.Thread)
		}
	}
	sent := f.messages(incidents.MessageFilter{Destination: pager})
	if len(sent) != 4 || sent[0].Thread != "1700.1" || sent[0].Ref != "1700.1" || sent[1].Ref != "1700.2" || sent[2].Thread != "1700.1" {
		f.Errorf("%+v", sent)
	}
}

func threadWithoutName(f *fixture) {
	f.apply(raised("a", "k", severity(alert.High)))
	f.told(pager, named(""))
	f.apply(raised("b", "k", severity(alert.Urgent)))
	f.same("threads", f.told(pager, named("second")), []string{""})
	f.apply(raised("c", "k", severity(alert.Urgent)), raised("d", "k", severity(alert.Urgent)))
	f.same("threads", f.told(pager, named("third")), []string{"second"})
}

// threadOutlives: an incident may stay open for longer than messages are kept.
func threadOutlives(f *fixture) {
	f.apply(raised("a", "k", severity(alert.High)))
	f.told(pager, named("first"))
	for range 20 {
		f.wait(10 * 24 * time.Hour)
		f.must(f.book.Tick(f.ctx(), f.now))
	}
	if left := f.messages(incidents.MessageFilter{Destination: pager}); len(left) != 0 {
		f.Fatalf("left %+v", left)
	}
	f.apply(raised("b", "k", severity(alert.Urgent)))
	f.same("threads", f.told(pager, named("later")), []string{"first"})
}

// threadForgotten: a month after the last message about an incident that was closed, and about an alert.
func threadForgotten(f *fixture) {
	f.apply(raised("a", "k"))
	f.told(soc, named("first"))
	id := f.only().ID
	f.must(second(f.book.Close(f.ctx(), f.now, id, "kim", incidents.Closed, "done")))
	f.same("threads", f.told(soc, named("last")), []string{"first"})
	for _, step := range []struct {
		wait time.Duration
		want string
	}{{30 * 24 * time.Hour, "first"}, {time.Hour, ""}} {
		f.wait(step.wait)
		f.must(f.book.Tick(f.ctx(), f.now))
		f.apply(raised("a", "k", revision(2+f.next)))
		m := f.due(soc)[0]
		if m.Subject != alert.NewID("a") || m.Thread != step.want {
			f.Errorf("after %s the thread is %q, want %q", step.wait, m.Thread, step.want)
		}
	}
}
