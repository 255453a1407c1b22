package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
)

type datasetsCmd struct {
	List datasetsListCmd `cmd:"" help:"List the datasets."`
	Test datasetsTestCmd `cmd:"" help:"Run the tests inside the datasets."`
}

type datasetsListCmd struct {
	DatasetDir []string `type:"existingdir" help:"Folder with datasets beside the shipped ones; may be repeated." placeholder:"DIR"`
	JSON       bool     `help:"Print JSON lines."`
}

// Run lists the datasets.
func (c *datasetsListCmd) Run(std streams) error {
	g, err := (&unitFlags{DatasetDir: c.DatasetDir}).load(std)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		for _, d := range g.datasets.List() {
			if err := enc.Encode(d); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "DATASET\tCLAIMED BY\tTESTS\tTITLE")
	for _, d := range g.datasets.List() {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", d.Name, claimText(&d), d.Tests, d.Title)
	}
	return w.Flush()
}

// claimText says in short what a dataset takes.
func claimText(d *datasets.Info) string {
	var parts []string
	for kind, names := range map[string][]string{"header": d.Headers, "topic": d.Topics, "program": d.Programs} {
		if len(names) > 0 {
			parts = append(parts, kind+" "+strings.Join(names, " "))
		}
	}
	if len(parts) == 0 {
		return "shape"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

type datasetsTestCmd struct {
	Dir  []string `arg:"" optional:"" type:"existingdir" help:"Folders with datasets beside the shipped ones."`
	JSON bool     `help:"Print JSON lines."`
}

// Run runs the tests inside the datasets.
func (c *datasetsTestCmd) Run(std streams) error {
	g, err := (&unitFlags{DatasetDir: c.Dir}).load(std)
	if err != nil {
		return err
	}
	n, e := g.NewNormalizer(), event.New(g.Schema)
	results := g.datasets.Test(func(dataset string, rec *event.Record, each func(*event.Event)) error {
		return n.NormalizeAs(dataset, rec, e, each)
	})
	failed := 0
	enc := json.NewEncoder(std.out)
	for _, r := range results {
		if len(r.Failures) > 0 {
			failed++
		}
		if c.JSON {
			if err := enc.Encode(r); err != nil {
				return err
			}
			continue
		}
		for _, f := range r.Failures {
			fmt.Fprintf(std.out, "%s:%d: %s: %s: %s\n", r.File, r.Line, r.Dataset, r.Name, f)
		}
	}
	if !c.JSON {
		fmt.Fprintf(std.out, "%d passed, %d failed\n", len(results)-failed, failed)
	}
	if failed > 0 {
		return errFindings
	}
	return nil
}
