package incidents

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/klaxonhq/klaxon/alert"
)

// shortID is how much of an id a list shows: enough to tell thousands of incidents apart.
const shortID = 10

// titleWidth is how many characters of a title a list shows.
const titleWidth = 80

const timeLayout = "2006-01-02 15:04:05"

// WriteList writes a table of incidents for people. What comes from events is made safe for a terminal.
func WriteList(w io.Writer, list []Incident) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSEVERITY\tSTATE\tOWNER\tOPENED (UTC)\tLAST SEEN\tALERTS\tTENANT\tTITLE")
	for i := range list {
		in := &list[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", short(in.ID), in.Severity, in.State, cell(in.Owner, 20), clock(in.OpenedAt),
			clock(in.LastSeen), in.Alerts, cell(in.Tenant, 20), cell(in.Title, titleWidth))
	}
	return t.Flush()
}

// causeWidth is how many characters of a failure a list shows.
const causeWidth = 120

// WriteOutbox writes a table of messages for people. What comes from events and destinations is made safe for a terminal.
func WriteOutbox(w io.Writer, list []Message) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no messages")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SEQ\tDESTINATION\tSTATE\tWRITTEN (UTC)\tTRIES\tNEXT\tABOUT\tREVISION\tCAUSE")
	for i := range list {
		m := &list[i]
		next := "-"
		if m.State == Waiting {
			next = clock(m.Next)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\t%s %s\t%d\t%s\n", m.Seq, cell(m.Destination, titleWidth), m.State, clock(m.Created), m.Attempts, next, m.Type, short(m.Subject),
			m.Revision, cell(m.Cause, causeWidth))
	}
	return t.Flush()
}

// WriteShow writes an incident, its timeline and its alerts for people. What comes from events is made safe for a terminal.
func WriteShow(w io.Writer, in Incident, timeline []Entry, alerts []alert.Alert) error {
	b := bufio.NewWriter(w)
	writeHead(b, &in)
	writeTimeline(b, &in, timeline)
	writeAlerts(b, &in, alerts)
	return b.Flush()
}

func writeHead(w io.Writer, in *Incident) {
	fmt.Fprintf(w, "%s\n\n", printable(in.Title))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, printable(value))
		}
	}
	line("id", in.ID)
	line("severity", severityText(in))
	line("state", string(in.State))
	line("owner", in.Owner)
	line("reason", in.Reason)
	line("tenant", in.Tenant)
	line("key", in.Key)
	if in.Episode > 1 {
		line("episode", fmt.Sprintf("%d: the key had incidents before", in.Episode))
	}
	rules := strings.Join(in.Rules, ", ")
	if in.MoreRules {
		rules += ", and more"
	}
	line("rules", rules)
	line("alerts", fmt.Sprint(in.Alerts))
	line("first seen", clock(in.FirstSeen))
	line("last seen", clock(in.LastSeen))
	line("opened", clock(in.OpenedAt))
	line("acknowledged", clock(in.AcknowledgedAt))
	line("closed", clock(in.ClosedAt))
	line("revision", fmt.Sprint(in.Revision))
	t.Flush()
}

func severityText(in *Incident) string {
	if in.Severity == in.Evaluated {
		return in.Severity.String()
	}
	return fmt.Sprintf("%s (set by hand; by its alerts it is %s)", in.Severity, in.Evaluated)
}

func writeTimeline(w io.Writer, in *Incident, timeline []Entry) {
	fmt.Fprintln(w, "\nTimeline (UTC)")
	if hidden := in.Entries - int64(len(timeline)); hidden > 0 {
		fmt.Fprintf(w, "  … %d earlier entries\n", hidden)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range timeline {
		e := &timeline[i]
		fmt.Fprintf(t, "  %s\t%s\t%s\n", clock(e.Time), cell(e.Actor, 20), printable(sentence(e)))
	}
	t.Flush()
}

// sentence says what an entry says.
func sentence(e *Entry) string {
	said := strings.ReplaceAll(string(e.Action), "_", " ")
	switch {
	case e.From != "" && e.To != "":
		said += fmt.Sprintf(" from %s to %s", e.From, e.To)
	case e.To != "":
		said += " " + e.To
	}
	if e.Text != "" {
		said += ": " + e.Text
	}
	if e.Alert != "" {
		said += " [alert " + short(e.Alert) + "]"
	}
	return said
}

// linesOfAlert bounds how many fields and events of an alert are shown.
const linesOfAlert = 12

func writeAlerts(w io.Writer, in *Incident, alerts []alert.Alert) {
	fmt.Fprintln(w, "\nAlerts")
	if hidden := in.Alerts - int64(len(alerts)); hidden > 0 {
		fmt.Fprintf(w, "  … %d more\n", hidden)
	}
	for i := range alerts {
		a := &alerts[i]
		fmt.Fprintf(w, "  %s  %s  %s  %s\n", short(a.ID), a.Severity, clock(millis(a.Time)), printable(a.Title))
		detail := func(name, value string) {
			if value != "" {
				fmt.Fprintf(w, "    %-11s %s\n", name, printable(strings.TrimSpace(value)))
			}
		}
		detail("rule", a.Rule.ID+" (version "+a.Rule.Version+")")
		detail("why", a.Explanation)
		detail("runbook", a.Rule.Runbook)
		for _, f := range a.Fields[:min(len(a.Fields), linesOfAlert)] {
			detail(f.Name, fieldText(f))
		}
		for _, e := range a.Events[:min(len(a.Events), linesOfAlert)] {
			detail("event", clock(millis(e.Time))+"  "+e.ID)
		}
		detail("degraded", a.Degraded)
	}
}

func fieldText(f alert.Field) string {
	text := strings.Join(f.Values, ", ")
	if f.More > 0 {
		text += fmt.Sprintf(" and %d more", f.More)
	}
	return text
}

// cell is a text as one cell of a table, at most so many characters wide.
func cell(s string, width int) string {
	s = printable(s)
	if s == "" {
		return "-"
	}
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func short(id string) string { return printable(id[:min(len(id), shortID)]) }

// clock is an instant for people; the zero time is nothing.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}
