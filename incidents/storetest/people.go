package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

func peopleTests() []test {
	return []test{
		{"acknowledge", acknowledges},
		{"the whole way", wholeWay},
		{"every step from every state", everyStep},
		{"notes", notes},
		{"severity set by hand", setsSeverity},
		{"assign", assigns},
		{"who is told", whoIsTold},
		{"an id may be cut short", prefixes},
		{"what is missing is refused", missing},
	}
}

func acknowledges(f *fixture) {
	f.apply(raised("a", "k"))
	id := f.only().ID
	f.wait(time.Minute)
	in, err := f.book.Acknowledge(f.ctx(), f.now, id, "kim")
	f.must(err)
	if in.State != incidents.Acknowledged || in.Owner != "kim" || !in.AcknowledgedAt.Equal(f.now) || !in.UpdatedAt.Equal(f.now) || in.Revision != 2 {
		f.Errorf("%+v", in)
	}
	again, err := f.book.Acknowledge(f.ctx(), f.now.Add(time.Minute), id, "kim")
	f.must(err)
	f.same("the second time", again, in)
	f.same("stored", f.only(), in)
	if _, err := f.book.Acknowledge(f.ctx(), f.now, id, "lee"); err == nil || !strings.Contains(err.Error(), "kim") {
		f.Errorf("acknowledged by another: %v", err)
	}
	_, timeline, _ := f.show(id)
	f.same("timeline", actions(timeline), []string{"opened normal", "state_changed new acknowledged"})
	if e := timeline[1]; e.Actor != "kim" || !e.Time.Equal(f.now) {
		f.Errorf("%+v", e)
	}
}

func wholeWay(f *fixture) {
	f.apply(raised("a", "k"))
	id := f.only().ID
	for _, to := range incidents.States()[1:7] {
		f.wait(time.Minute)
		in, err := f.book.Move(f.ctx(), f.now, id, "kim", to, "step")
		f.must(err)
		if in.State != to || in.Owner != "kim" || !in.AcknowledgedAt.Equal(start().Add(time.Minute)) {
			f.Errorf("%+v", in)
		}
		if to != incidents.Closed {
			f.apply(raised(string(to), "k")) // still folds
		}
	}
	in := f.only()
	if in.Alerts != 6 || in.State != incidents.Closed || in.Reason != "step" || !in.ClosedAt.Equal(f.now) {
		f.Errorf("%+v", in)
	}
}

// everyStep holds the table of legal steps, in words.
func everyStep(f *fixture) {
	legal := map[incidents.State]string{
		incidents.New:           "acknowledged closed false_positive",
		incidents.Acknowledged:  "contained eradicated recovered reviewed closed false_positive",
		incidents.Contained:     "acknowledged eradicated recovered reviewed closed false_positive",
		incidents.Eradicated:    "acknowledged contained recovered reviewed closed false_positive",
		incidents.Recovered:     "acknowledged contained eradicated reviewed closed false_positive",
		incidents.Reviewed:      "acknowledged closed false_positive",
		incidents.Closed:        "",
		incidents.FalsePositive: "",
	}
	n := 0
	for _, from := range incidents.States() {
		for _, to := range append(incidents.States(), "nonsense") {
			n++
			key := fmt.Sprint("k", n)
			f.apply(raised(key, key))
			id := incidents.NewID("acme", key, 1)
			if from != incidents.New && from != incidents.Acknowledged {
				_, err := f.book.Move(f.ctx(), f.now, id, "kim", incidents.Acknowledged, "")
				f.must(err)
			}
			_, err := f.book.Move(f.ctx(), f.now, id, "kim", from, "why")
			f.must(err)
			_, err = f.book.Move(f.ctx(), f.now, id, "kim", to, "why")
			want := from == to || slices.Contains(strings.Fields(legal[from]), string(to))
			if (err == nil) != want {
				f.Errorf("from %s to %s: %v", from, to, err)
			}
		}
	}
}

func notes(f *fixture) {
	f.apply(raised("a", "k"))
	id, told := f.only().ID, len(f.due(soc))
	in, err := f.book.Note(f.ctx(), f.now, id, " kim ", "  looked at it\x00\xff ")
	f.must(err)
	_, err = f.book.Note(f.ctx(), f.now, id, "kim", strings.Repeat("é", 9000))
	f.must(err)
	_, timeline, _ := f.show(id)
	if e := timeline[1]; in.Revision != 2 || e.Actor != "kim" || e.Action != incidents.Noted || e.Text != "looked at it\uFFFD\uFFFD" || e.Revision != 2 {
		f.Errorf("%+v", e)
	}
	if n := len(timeline[2].Text); n > 8<<10 || n < 8<<10-4 {
		f.Errorf("a note of %d bytes", n)
	}
	if n := len(f.due(soc)); n != told {
		f.Errorf("%d messages about notes", n-told)
	}
}

func setsSeverity(f *fixture) {
	f.apply(raised("a", "k", severity(alert.High)))
	id := f.only().ID
	in, err := f.book.SetSeverity(f.ctx(), f.now, id, "kim", alert.Low, "a test system")
	f.must(err)
	if in.Severity != alert.Low || in.Evaluated != alert.High || in.Peak != alert.High || in.Revision != 2 {
		f.Errorf("%+v", in)
	}
	f.apply(raised("b", "k", severity(alert.High)))
	if in := f.only(); in.Severity != alert.Low {
		f.Errorf("the machine undid what kim said: %+v", in)
	}
	f.apply(raised("c", "k", severity(alert.Urgent)))
	if in := f.only(); in.Severity != alert.Urgent {
		f.Errorf("worse than all before, and not raised: %+v", in)
	}
	same, err := f.book.SetSeverity(f.ctx(), f.now, id, "kim", alert.Urgent, "so it is")
	f.must(err)
	f.same("what is so already", same, f.only())
	_, timeline, _ := f.show(id)
	f.same("timeline", actions(timeline), []string{"opened high", "severity_set high low", "alert_added", "severity_raised low urgent", "alert_added"})
	for _, s := range []alert.Severity{0, 5} {
		if _, err := f.book.SetSeverity(f.ctx(), f.now, id, "kim", s, "x"); err == nil {
			f.Errorf("severity %d was taken", s)
		}
	}
}

func assigns(f *fixture) {
	f.apply(raised("a", "k"))
	in, err := f.book.Assign(f.ctx(), f.now, f.only().ID, "kim", "lee")
	f.must(err)
	if in.Owner != "lee" || in.State != incidents.New || in.Revision != 2 {
		f.Errorf("%+v", in)
	}
	in, err = f.book.Acknowledge(f.ctx(), f.now, in.ID, "kim")
	f.must(err)
	if in.Owner != "lee" {
		f.Errorf("the owner changed: %+v", in)
	}
}

// whoIsTold: who was told that an incident is bad is told how it goes on, whatever its severity becomes.
func whoIsTold(f *fixture) {
	f.apply(raised("a", "k"))
	id := f.only().ID
	_, err := f.book.Acknowledge(f.ctx(), f.now, id, "kim")
	f.must(err)
	f.same("messages to the pager", ids(f.due(pager)), []string{})
	_, err = f.book.SetSeverity(f.ctx(), f.now, id, "kim", alert.High, "customers see it")
	f.must(err)
	_, err = f.book.SetSeverity(f.ctx(), f.now, id, "kim", alert.Low, "they do not")
	f.must(err)
	f.close(id, incidents.Closed)
	f.same("messages to the pager", ids(f.due(pager)), []string{id + "-3", id + "-4", id + "-5"})
	f.same("messages to soc", ids(f.due(soc)), []string{alert.NewID("a") + "-1", id + "-1", id + "-2", id + "-3", id + "-4", id + "-5"})
}

func prefixes(f *fixture) {
	var alerts []alert.Alert
	for i := range 40 { // more than 16: some begin alike
		alerts = append(alerts, raised(fmt.Sprint(i), fmt.Sprint(i)))
	}
	f.apply(alerts...)
	byFirst := map[byte]int{}
	list := f.list(incidents.Filter{})
	for _, in := range list {
		byFirst[in.ID[0]]++
	}
	for _, in := range list {
		got, _, _, err := f.book.Show(f.ctx(), in.ID[:1])
		if unique := byFirst[in.ID[0]] == 1; (err == nil) != unique || unique && got.ID != in.ID {
			f.Errorf("%s by one digit: %v", in.ID, err)
		}
		if got, _, _, err := f.book.Show(f.ctx(), in.ID[:12]); err != nil || got.ID != in.ID {
			f.Errorf("%s by twelve digits: %v", in.ID, err)
		}
	}
	for _, id := range []string{"", "%", "xyz", "' OR 1=1", strings.ToUpper(list[0].ID) + "G"} {
		if _, _, _, err := f.book.Show(f.ctx(), id); err == nil {
			f.Errorf("%q finds something", id)
		}
	}
	_, _, _, err := f.book.Show(f.ctx(), incidents.NewID("acme", "no such key", 1))
	f.refused(err, incidents.ErrNotFound)
}

func missing(f *fixture) {
	f.apply(raised("a", "k"))
	id, before := f.only().ID, f.dump()
	for what, err := range map[string]error{
		"actor":         second(f.book.Acknowledge(f.ctx(), f.now, id, " ")),
		"note":          second(f.book.Note(f.ctx(), f.now, id, "kim", " \n")),
		"reason":        second(f.book.Close(f.ctx(), f.now, id, "kim", incidents.Closed, "")),
		"false reason":  second(f.book.Close(f.ctx(), f.now, id, "kim", incidents.FalsePositive, " ")),
		"closing state": second(f.book.Close(f.ctx(), f.now, id, "kim", incidents.Reviewed, "why")),
		"reason to set": second(f.book.SetSeverity(f.ctx(), f.now, id, "kim", alert.Low, "")),
		"owner":         second(f.book.Assign(f.ctx(), f.now, id, "kim", "")),
	} {
		if err == nil {
			f.Errorf("without %s: no error", what)
		}
	}
	f.same("what is stored", f.dump(), before)
}

func second(_ incidents.Incident, err error) error { return err }
