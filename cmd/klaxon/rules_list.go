package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klaxonhq/klaxon/rules"
)

type rulesListCmd struct {
	unitFlags
	JSON bool `help:"Print JSON lines."`
}

// ruleInfo is what a list says of a rule: mode, severity and owner as they hold now for whoever has no override of their own.
type ruleInfo struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Mode     string   `json:"mode"`
	Severity string   `json:"severity"`
	Owner    string   `json:"owner,omitempty"`
	Datasets []string `json:"datasets"`
	Tags     []string `json:"tags,omitempty"`
	Controls []string `json:"controls,omitempty"`
	Tests    int      `json:"tests"`
	Version  string   `json:"version"`
	File     string   `json:"file"`
	Line     int      `json:"line"`

	Overrides []overrideInfo `json:"overrides,omitempty"`
}

// overrideInfo is one override of a rule.
type overrideInfo struct {
	Tenant string   `json:"tenant,omitempty"`
	Sets   []string `json:"sets"`
	Why    string   `json:"why"`
	Until  string   `json:"until,omitempty"` // the last day
	Ended  bool     `json:"ended,omitempty"`
	File   string   `json:"file"`
	Line   int      `json:"line"`
}

func describeRule(r *rules.Rule) ruleInfo {
	now := time.Now()
	holds := holdsNow(r, now)
	return ruleInfo{ID: r.ID, Title: r.Title, Mode: holds.Mode.String(), Severity: severityText(holds), Owner: holds.Owner, Datasets: r.Source.Datasets, Tags: r.Tags,
		Controls: r.Controls, Tests: len(r.Tests), Version: fmt.Sprintf("%016x", r.Version), File: r.File, Line: r.Line, Overrides: describeOverrides(r, now)}
}

func describeOverrides(r *rules.Rule, now time.Time) []overrideInfo {
	var out []overrideInfo
	for _, o := range r.Overrides() {
		out = append(out, overrideInfo{Tenant: o.Tenant, Sets: o.Sets, Why: o.Why, Until: lastDay(o.Until), Ended: o.Until != 0 && o.Until <= now.UnixMilli(),
			File: o.File, Line: o.Line})
	}
	return out
}

// lastDay is the last day before an instant in Unix milliseconds; 0 is no end.
func lastDay(until int64) string {
	if until == 0 {
		return ""
	}
	return time.UnixMilli(until - 1).UTC().Format(time.DateOnly)
}

func severityText(r *rules.Rule) string {
	var words []string
	for _, s := range r.Severity {
		words = append(words, s.Is.String())
	}
	if len(words) == 0 {
		return rules.Normal.String()
	}
	return strings.Join(words, "/")
}

// Run lists the rules.
func (c *rulesListCmd) Run(std streams) error {
	g, err := c.load(std)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		for _, r := range g.Rules.Rules() {
			if err := enc.Encode(describeRule(r)); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tMODE\tSEVERITY\tDATASETS\tTESTS\tOVERRIDDEN FOR\tTITLE")
	for _, r := range g.Rules.Rules() {
		i := describeRule(r)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", i.ID, i.Mode, i.Severity, strings.Join(i.Datasets, " "), i.Tests, overriddenFor(i.Overrides), i.Title)
	}
	return w.Flush()
}

// overriddenFor is the tenants with overrides that have not ended.
func overriddenFor(all []overrideInfo) string {
	var who []string
	for _, o := range all {
		if name := tenantName(o.Tenant); !o.Ended && !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	if len(who) == 0 {
		return "-"
	}
	return strings.Join(who, ", ")
}

func tenantName(tenant string) string {
	if tenant == "" {
		return "all"
	}
	return tenant
}

type rulesShowCmd struct {
	ID string `arg:"" help:"The rule's id."`
	unitFlags
	JSON bool `help:"Print JSON."`
}

// Run shows one rule as it was understood.
func (c *rulesShowCmd) Run(std streams) error {
	g, err := c.load(std)
	if err != nil {
		return err
	}
	r, ok := g.Rules.Rule(c.ID)
	if !ok {
		return noRule(g, c.ID)
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(struct {
			ruleInfo
			Where      string        `json:"where,omitempty"`
			IncidentBy []string      `json:"incident_by,omitempty"`
			Runbook    string        `json:"runbook,omitempty"`
			Holds      []holdingInfo `json:"holds,omitempty"`
		}{describeRule(r), whereText(r), r.IncidentBy, r.Runbook, describeHoldings(r)})
	}
	showRule(std.out, r)
	return nil
}

func whereText(r *rules.Rule) string {
	if r.Where == nil {
		return ""
	}
	return r.Where.String()
}

func showRule(w io.Writer, r *rules.Rule) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n             "))
		}
	}
	line("id", r.ID)
	line("title", r.Title)
	line("description", r.Description)
	line("file", fmt.Sprintf("%s:%d", r.File, r.Line))
	line("version", fmt.Sprintf("%016x", r.Version))
	line("mode", r.Mode.String())
	line("owner", r.Owner)
	line("source", strings.Join(r.Source.Datasets, ", "))
	line("where", whereText(r))
	for _, x := range r.Except {
		line("except", exceptionText(x))
	}
	if c := r.Count; c != nil {
		line("count", fmt.Sprintf("at least %d by %s within %s", c.AtLeast, strings.Join(c.By, ", "), shortSpan(c.Within)))
		line("quiet", shortSpan(r.Quiet))
	}
	for _, s := range r.Severity {
		if s.When != nil {
			line("severity", s.Is.String()+" when "+s.When.String())
		} else {
			line("severity", s.Is.String())
		}
	}
	if r.TitleTemplate != nil {
		line("alert", r.TitleTemplate.String())
	}
	line("incident by", strings.Join(r.IncidentBy, ", "))
	line("tags", strings.Join(r.Tags, ", "))
	line("controls", strings.Join(r.Controls, ", "))
	line("runbook", r.Runbook)
	for _, f := range r.FalsePositives {
		line("beware", f)
	}
	for _, t := range r.Tests {
		line("test", t.Name)
	}
	for _, o := range describeOverrides(r, time.Now()) {
		line("override", overrideText(o))
	}
	for _, text := range holdingTexts(describeHoldings(r)) {
		line("holds", text)
	}
}

func exceptionText(x rules.Exception) string {
	text := x.Where.String()
	if x.Until != 0 {
		text += ", until " + lastDay(x.Until)
	}
	return text + " (" + x.Why + ")"
}

// shortSpan writes a span as rule files do: 10m, not 10m0s.
func shortSpan(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
