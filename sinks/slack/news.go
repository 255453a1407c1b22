package slack

import (
	"fmt"
	"strings"

	"github.com/klaxonhq/klaxon/incidents"
)

// news is the reply that says what changed.
func news(m *incidents.Message, c *incidents.Change) content {
	in := &c.Incident
	said := sentence(c)
	out := []block{{Type: "section", Text: mrkdwn(said)}}
	if detail := because(c); detail != "" {
		out = append(out, block{Type: "section", Text: plain(detail, maxSentence)})
	}
	now := fmt.Sprintf("severity %s · %s", in.Severity, stateText(in.State))
	if in.Owner != "" {
		now += " · owner " + code(in.Owner, maxValue)
	}
	now += fmt.Sprintf(" · alerts %d · revision %d", in.Alerts, m.Revision)
	out = append(out, block{Type: "context", Elements: []text{*mrkdwn(now)}})
	return content{Text: said, Blocks: out, Parse: "none"}
}

// sentence says in one line who did what.
func sentence(c *incidents.Change) string {
	from, to := code(c.From, maxValue), code(c.To, maxValue)
	actor := code(c.Actor, maxValue)
	switch c.Action {
	case incidents.Opened:
		return "The incident was opened"
	case incidents.AlertAdded:
		return fmt.Sprintf("%d alerts by now", c.Incident.Alerts)
	case incidents.RuleAdded:
		return "Another rule joined: " + to
	case incidents.SeverityRaised:
		return fmt.Sprintf("Severity raised from *%s* to *%s*", from, to)
	case incidents.SeveritySet:
		return fmt.Sprintf("%s set the severity from %s to %s", actor, from, to)
	case incidents.StateChanged:
		return fmt.Sprintf("%s: %s → %s", actor, from, to)
	case incidents.Assigned:
		return fmt.Sprintf("%s gave it to %s", actor, to)
	}
	return actor + ": " + code(strings.ReplaceAll(string(c.Action), "_", " "), maxValue)
}

// because is why: what a person wrote, or what the alert says of itself.
func because(c *incidents.Change) string {
	switch {
	case c.Action == incidents.AlertAdded && c.Alert != nil:
		return c.Alert.Title
	case c.Text != "":
		return c.Text
	case c.Alert != nil:
		return c.Alert.Explanation
	}
	return ""
}
