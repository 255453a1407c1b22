package main

import (
	"encoding/json"
	"fmt"
	"io"
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
