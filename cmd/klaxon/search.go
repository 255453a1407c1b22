package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/klaxonhq/klaxon/archive"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/rules"
)

type searchCmd struct {
	Where   string   `arg:"" help:"What to search for, in the language of rules." placeholder:"EXPR"`
	Config  string   `short:"c" type:"path" help:"Configuration file that names the local archive." placeholder:"FILE"`
	Archive string   `type:"existingdir" help:"The archive itself, instead of a configuration." placeholder:"DIR"`
	From    string   `help:"Only events from this time on: 2026-11-24, 2026-11-24T10:00:00Z." placeholder:"TIME"`
	To      string   `help:"Only events up to this time." placeholder:"TIME"`
	Last    string   `help:"Only events of the last so long: 15m, 24h, 7d." placeholder:"SPAN"`
	Dataset []string `help:"Only this dataset; may be repeated." placeholder:"NAME"`
	Tenant  []string `help:"Only this tenant; may be repeated." placeholder:"NAME"`
	Newest  bool     `help:"The newest first."`
	Limit   limit    `default:"1000" help:"At most so many; 0 is all."`
	Count   bool     `help:"Print how many there are, and nothing else."`
	ListDir []string `type:"existingdir" help:"Folder with lists; may be repeated." placeholder:"DIR"`
}

// Run prints the documents that meet the condition, one a line.
func (c *searchCmd) Run(ctx context.Context, std streams) error {
	dir, flags, err := c.archive(std)
	if err != nil {
		return err
	}
	q := archive.Query{Datasets: c.Dataset, Tenants: c.Tenant, Newest: c.Newest}
	if err := c.span(&q, time.Now()); err != nil {
		return err
	}
	if err := c.condition(&q, flags, std); err != nil {
		return err
	}
	r, err := archive.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot open the archive: %w", err)
	}
	return c.print(ctx, r, q, std)
}

// print searches and prints. It asks for one document more than it prints, to know whether there are more.
func (c *searchCmd) print(ctx context.Context, r *archive.Reader, q archive.Query, std streams) error {
	out, found, more := bufio.NewWriterSize(std.out, 1<<16), 0, false
	report, err := r.Search(ctx, q, func(doc []byte, _ *event.Event) error {
		if more = !c.Count && c.Limit > 0 && found == int(c.Limit); more {
			return archive.ErrStop
		}
		found++
		if !c.Count {
			_, _ = out.Write(doc) // the writer remembers its error; Flush answers it
			_ = out.WriteByte('\n')
		}
		return nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("the search ended early: %w", err), out.Flush())
	}
	if c.Count {
		fmt.Fprintln(out, found)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(std.err, "klaxon: stopped after %d; --limit 0 prints all\n", found)
	}
	for _, d := range report.Damages {
		fmt.Fprintln(std.err, "klaxon:", d)
	}
	if len(report.Damages) > 0 {
		return errFindings
	}
	return nil
}

// archive is the folder to search, and what the condition may refer to.
func (c *searchCmd) archive(std streams) (string, *unitFlags, error) {
	flags := &unitFlags{ListDir: c.ListDir}
	switch {
	case (c.Config == "") == (c.Archive == ""):
		return "", nil, errors.New("name either a configuration with -c or an archive with --archive")
	case c.Archive != "":
		return c.Archive, flags, nil
	}
	cfg, list := loadConfig(c.Config, os.LookupEnv)
	if list.HasErrors() {
		fmt.Fprintln(std.err, list)
		return "", nil, errBroken
	}
	if cfg.Archive.Local == nil {
		return "", nil, fmt.Errorf("%s names no local archive, and only that one can be searched here", c.Config)
	}
	flags.DatasetDir, flags.ListDir = cfg.Datasets.Dirs, append(flags.ListDir, cfg.Rules.Lists...)
	return cfg.Archive.Local.Dir, flags, nil
}

func (c *searchCmd) span(q *archive.Query, now time.Time) (err error) {
	if c.Last != "" {
		if c.From != "" || c.To != "" {
			return errors.New("--last cannot stand beside --from or --to")
		}
		d, err := diag.ParseDuration(c.Last)
		if err != nil || d <= 0 {
			return fmt.Errorf("--last: %q is no span: write 15m, 24h or 7d", c.Last)
		}
		q.From = now.Add(-d)
		return nil
	}
	if q.From, err = parseWhen("--from", c.From); err != nil {
		return err
	}
	q.To, err = parseWhen("--to", c.To)
	return err
}

// parseWhen reads an instant or a day, which stands for its beginning in UTC.
func parseWhen(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	ms, ok := event.ParseTime(s)
	if !ok {
		return time.Time{}, fmt.Errorf("%s: %q is no time: write 2026-11-24 or 2026-11-24T10:00:00Z", flag, s)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// condition compiles what to search for. Vendor fields that it names get a place in the schema.
func (c *searchCmd) condition(q *archive.Query, flags *unitFlags, std streams) error {
	g, err := flags.load(std)
	if err != nil {
		return err
	}
	names, list := rules.ConditionFields(c.Where)
	schema := g.Schema
	if !list.HasErrors() {
		if schema, err = rules.ExtendSchema(schema, names); err != nil {
			return err
		}
		var where *rules.Condition
		where, list = rules.CompileCondition(c.Where, schema, rules.ConditionOptions{Lists: g.lists})
		if !list.HasErrors() {
			q.Schema, q.Match = schema, where.Eval
			return nil
		}
	}
	fmt.Fprintln(std.err, list)
	return errBroken
}
