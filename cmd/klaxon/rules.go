package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/rules"
)

type rulesCmd struct {
	Test rulesTestCmd `cmd:"" help:"Run the tests inside the rules."`
	Lint rulesLintCmd `cmd:"" help:"Say what is likely wrong with rules that load."`
	List rulesListCmd `cmd:"" help:"List the rules."`
	Show rulesShowCmd `cmd:"" help:"Show one rule."`
}

type rulesTestCmd struct {
	Dir        []string `arg:"" optional:"" type:"existingdir" help:"Folders with rules beside the shipped ones."`
	DatasetDir []string `type:"existingdir" help:"Folder with datasets beside the shipped ones; may be repeated." placeholder:"DIR"`
	ListDir    []string `type:"existingdir" help:"Folder with lists; may be repeated." placeholder:"DIR"`
	NoShipped  bool     `help:"Leave the shipped rules out."`
	Rule       string   `help:"Run the tests of one rule only." placeholder:"ID"`
	JSON       bool     `help:"Print JSON lines."`
}

// Run runs the tests inside the rules.
func (c *rulesTestCmd) Run(std streams) error {
	from := (&unitFlags{DatasetDir: c.DatasetDir, RuleDir: c.Dir, ListDir: c.ListDir, NoShipped: c.NoShipped}).sources()
	from.asWritten = true
	g, err := loadOrPrint(from, std)
	if err != nil {
		return err
	}
	t := pipeline.NewTester(&g.Generation, g.program)
	passed, failed, untested := 0, 0, 0
	enc := json.NewEncoder(std.out)
	for _, r := range g.Rules.Rules() {
		if c.Rule != "" && c.Rule != r.ID {
			continue
		}
		if len(r.Tests) == 0 {
			untested++
		}
		for i := range r.Tests {
			res := t.Run(r, &r.Tests[i])
			if len(res.Failures) > 0 {
				failed++
			} else {
				passed++
			}
			if c.JSON {
				if err := enc.Encode(res); err != nil {
					return err
				}
				continue
			}
			for _, f := range res.Failures {
				fmt.Fprintf(std.out, "%s:%d: %s: %s: %s\n", res.File, res.Line, res.Rule, res.Name, f)
			}
		}
	}
	if c.Rule != "" && passed+failed+untested == 0 {
		return noRule(g, c.Rule)
	}
	if !c.JSON {
		fmt.Fprintf(std.out, "%d passed, %d failed", passed, failed)
		if untested > 0 {
			fmt.Fprintf(std.out, "; %d rules have no test", untested)
		}
		fmt.Fprintln(std.out)
	}
	if failed > 0 {
		return errFindings
	}
	return nil
}

func noRule(g *loaded, id string) error {
	var ids []string
	for _, r := range g.Rules.Rules() {
		ids = append(ids, r.ID)
	}
	if hint := diag.DidYouMean(id, ids); hint != "" {
		return fmt.Errorf("there is no rule %q: %s", id, hint)
	}
	return fmt.Errorf("there is no rule %q: 'klaxon rules list' names them", id)
}

type rulesLintCmd struct {
	Dir        []string `arg:"" optional:"" type:"existingdir" help:"Folders with rules beside the shipped ones."`
	DatasetDir []string `type:"existingdir" help:"Folder with datasets beside the shipped ones; may be repeated." placeholder:"DIR"`
	ListDir    []string `type:"existingdir" help:"Folder with lists; may be repeated." placeholder:"DIR"`
	NoShipped  bool     `help:"Leave the shipped rules out."`
	JSON       bool     `help:"Print JSON lines."`
}

// endsSoon is how long before its end an exception or override is pointed at.
const endsSoon = 14 * 24 * time.Hour

// Run reports mistakes and what is likely wrong.
func (c *rulesLintCmd) Run(std streams) error {
	flags := unitFlags{DatasetDir: c.DatasetDir, RuleDir: c.Dir, ListDir: c.ListDir, NoShipped: c.NoShipped}
	g, list := load(flags.sources())
	if g != nil {
		list = append(list, rules.Lint(g.Rules, time.Now(), endsSoon)...)
	}
	list.Sort()
	if err := printDiagnostics(std.out, list, c.JSON); err != nil {
		return err
	}
	switch {
	case list.HasErrors():
		return errBroken
	case len(list) > 0:
		return errFindings
	case !c.JSON:
		fmt.Fprintf(std.out, "%d rules, nothing to say\n", len(g.Rules.Rules()))
	}
	return nil
}

func printDiagnostics(w io.Writer, list diag.List, asJSON bool) error {
	enc := json.NewEncoder(w)
	for _, d := range list {
		if !asJSON {
			fmt.Fprintln(w, d)
		} else if err := enc.Encode(d); err != nil {
			return err
		}
	}
	return nil
}

type rulesListCmd struct {
	unitFlags
	JSON bool `help:"Print JSON lines."`
}

// ruleInfo is what a list says of a rule.
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
}

func describeRule(r *rules.Rule) ruleInfo {
	return ruleInfo{ID: r.ID, Title: r.Title, Mode: r.Mode.String(), Severity: severityText(r), Owner: r.Owner, Datasets: r.Source.Datasets, Tags: r.Tags,
		Controls: r.Controls, Tests: len(r.Tests), Version: fmt.Sprintf("%016x", r.Version), File: r.File, Line: r.Line}
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
	fmt.Fprintln(w, "RULE\tMODE\tSEVERITY\tDATASETS\tTESTS\tTITLE")
	for _, r := range g.Rules.Rules() {
		i := describeRule(r)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", i.ID, i.Mode, i.Severity, strings.Join(i.Datasets, " "), i.Tests, i.Title)
	}
	return w.Flush()
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
			Where      string   `json:"where,omitempty"`
			IncidentBy []string `json:"incident_by,omitempty"`
			Runbook    string   `json:"runbook,omitempty"`
		}{describeRule(r), whereText(r), r.IncidentBy, r.Runbook})
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
		text := x.Where.String()
		if x.Until != 0 {
			text += ", until " + time.UnixMilli(x.Until).UTC().Format(time.DateOnly)
		}
		line("except", text+" ("+x.Why+")")
	}
	if c := r.Count; c != nil {
		line("count", fmt.Sprintf("at least %d by %s within %s", c.AtLeast, strings.Join(c.By, ", "), shortSpan(c.Within)))
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
