package slack

import (
	"fmt"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// block is a Slack layout block of one of the kinds that klaxon writes.
type block struct {
	Type     string `json:"type"` // header, section, context
	ID       string `json:"block_id,omitempty"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

// The ids of the blocks that are about an alert. A change that no alert caused leaves them as they are.
const (
	blockWhy      = "klaxon_why"
	blockEvidence = "klaxon_evidence"
	blockRunbook  = "klaxon_runbook"
)

// How much of an alert is shown.
const (
	maxShownFields = 8
	maxShownEvents = 3
	maxShownRules  = 5
)

// card is the incident's own message: how it is since a change. Blocks are those that the message has now.
func card(m *incidents.Message, c *incidents.Change, blocks []block) content {
	in := &c.Incident
	title := headline(in)
	out := []block{
		{Type: "header", Text: plain(title, maxHeader)},
		{Type: "section", Fields: facts(in)},
		{Type: "section", Text: mrkdwn("*Key* " + code(in.Key, maxKey))},
	}
	if in.Reason != "" {
		out = append(out, block{Type: "section", Text: plain("Reason: "+in.Reason, maxSentence)})
	}
	if c.Alert != nil {
		out = append(out, about(c.Alert)...)
	} else {
		out = append(out, kept(blocks)...)
	}
	out = append(out, block{Type: "context", Elements: []text{*mrkdwn(footer(in, m.Revision))}})
	return content{Text: escape(title+" ("+in.Tenant+")", maxText), Blocks: out, Parse: "none"}
}

// headline is the title with a mark that can be seen from afar: of the severity, or of how it ended.
func headline(in *incidents.Incident) string {
	mark := map[alert.Severity]string{alert.Urgent: "🔴 Urgent", alert.High: "🟠 High", alert.Normal: "🟡 Normal", alert.Low: "🔵 Low"}[in.Severity]
	switch in.State {
	case incidents.Closed:
		mark = "✅ Closed"
	case incidents.FalsePositive:
		mark = "⚪ False positive"
	}
	return mark + " · " + in.Title
}

// facts are the lines of two columns.
func facts(in *incidents.Incident) []text {
	owner := "nobody yet"
	if in.Owner != "" {
		owner = code(in.Owner, maxValue)
	}
	field := func(name, value string) text { return *mrkdwn("*" + name + "*\n" + value) }
	return []text{
		field("Severity", in.Severity.String()),
		field("State", stateText(in.State)),
		field("Owner", owner),
		field("Tenant", code(in.Tenant, maxValue)),
		field("Alerts", fmt.Sprint(in.Alerts)),
		field("Rules", rulesText(in)),
		field("First seen", clock(in.FirstSeen)),
		field("Last seen", clock(in.LastSeen)),
	}
}

func stateText(s incidents.State) string { return strings.ReplaceAll(string(s), "_", " ") }

func rulesText(in *incidents.Incident) string {
	shown := in.Rules[:min(len(in.Rules), maxShownRules)]
	names := make([]string, len(shown))
	for i, r := range shown {
		names[i] = code(r, maxValue)
	}
	if more := len(in.Rules) - len(shown); more > 0 || in.MoreRules {
		names = append(names, "and more")
	}
	return strings.Join(names, ", ")
}

// clock is an instant in UTC, to the second.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// about is what is known of the alert that the incident is about at the moment.
func about(a *alert.Alert) []block {
	out := []block{{Type: "section", ID: blockWhy, Text: plain(a.Explanation, maxSentence)}}
	if lines := evidence(a); lines != "" {
		out = append(out, block{Type: "section", ID: blockEvidence, Text: mrkdwn(lines)})
	}
	if links := runbook(&a.Rule); links != "" {
		out = append(out, block{Type: "section", ID: blockRunbook, Text: mrkdwn(links)})
	}
	return out
}

// evidence is the values that the alert is about, and where some of its events are found. A line that does not fit is left out, with
// those behind it.
func evidence(a *alert.Alert) string {
	lines := []string{fmt.Sprintf("*Evidence* (%d events)", a.Count)}
	for _, f := range a.Fields[:min(len(a.Fields), maxShownFields)] {
		line := "• " + code(f.Name, maxValue) + ": " + code(strings.Join(f.Values, ", "), maxValue)
		if f.More > 0 {
			line += fmt.Sprintf(" and %d more", f.More)
		}
		lines = append(lines, line)
	}
	for _, e := range a.Events[:min(len(a.Events), maxShownEvents)] {
		lines = append(lines, "• event "+code(e.ID, maxValue)+" "+clock(time.UnixMilli(e.Time)))
	}
	used := 0
	for i, line := range lines {
		if used += length(line) + 1; used > maxEvidence {
			lines = lines[:i]
			break
		}
	}
	return strings.Join(lines, "\n")
}

func runbook(r *alert.Rule) string {
	var parts []string
	if r.Runbook != "" {
		parts = append(parts, "*Runbook* "+link(r.Runbook, "what to do"))
	}
	if r.Owner != "" {
		parts = append(parts, "*Rule's owner* "+code(r.Owner, maxValue))
	}
	return strings.Join(parts, " · ")
}

// kept is what a message says of its alert.
func kept(blocks []block) (out []block) {
	for _, b := range blocks {
		switch b.ID {
		case blockWhy, blockEvidence, blockRunbook:
			out = append(out, b)
		}
	}
	return out
}

// shortID is how much of an id the command line needs.
const shortID = 10

// footer says how to go on.
func footer(in *incidents.Incident, revision int64) string {
	id := in.ID[:min(len(in.ID), shortID)]
	what := "show"
	if in.State == incidents.New {
		what = "ack"
	}
	return fmt.Sprintf("`klaxon incidents %s %s -c klaxon.yaml` · incident %s · revision %d", what, id, code(in.ID, maxValue), revision)
}

// manyBehind is from how many waiting messages on a new incident says that others wait.
const manyBehind = 10

// crowd says in a storm that more is to come, which the rate keeps back; "" otherwise.
func crowd(m *incidents.Message) string {
	if m.Behind < manyBehind {
		return ""
	}
	return fmt.Sprintf("At least %d more messages wait for this channel: `klaxon incidents list -c klaxon.yaml` shows all incidents", m.Behind)
}
