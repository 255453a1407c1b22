package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/internal/records"
)

// unitFlags name folders with units of the user's own.
type unitFlags struct {
	DatasetDir []string `type:"existingdir" help:"Folder with datasets beside the shipped ones; may be repeated." placeholder:"DIR"`
	RuleDir    []string `name:"rules" type:"existingdir" help:"Folder with rules beside the shipped ones; may be repeated." placeholder:"DIR"`
	ListDir    []string `type:"existingdir" help:"Folder with lists; may be repeated." placeholder:"DIR"`
	NoShipped  bool     `help:"Leave the shipped rules out."`

	geoip []DatabaseFile
}

func (f *unitFlags) sources() sources {
	c := defaultConfig()
	c.Datasets.Dirs, c.Rules.Dirs, c.Rules.Lists, c.Rules.Shipped, c.Enrich.GeoIP = f.DatasetDir, f.RuleDir, f.ListDir, !f.NoShipped, f.geoip
	return c.sources()
}

// load compiles what the flags name; mistakes go to standard error.
func (f *unitFlags) load(std streams) (*loaded, error) { return loadOrPrint(f.sources(), std) }

// loadOrPrint compiles a generation; mistakes go to standard error.
func loadOrPrint(s sources, std streams) (*loaded, error) {
	g, list := load(s)
	if list.HasErrors() {
		fmt.Fprintln(std.err, list)
		return nil, errBroken
	}
	return g, nil
}

type parseCmd struct {
	Input      []string `required:"" sep:"none" help:"File to read, or - for standard input; may be repeated." placeholder:"FILE"`
	Dataset    string   `help:"Read every record as this dataset instead of finding out." placeholder:"NAME"`
	DatasetDir []string `type:"existingdir" help:"Folder with datasets beside the shipped ones; may be repeated." placeholder:"DIR"`
	// Keys are kinds of databases.
	GeoIP map[string]string `name:"geoip" help:"MaxMind database: city=FILE, country=FILE, asn=FILE or anonymous=FILE; may be repeated." placeholder:"KIND=FILE"`
}

// Run prints the ECS document of every record, in input order; where one cannot be decoded, why. That alone is no finding: it is
// when JSON was cut off or malformed between records, where some may be missing.
func (c *parseCmd) Run(ctx context.Context, std streams) error {
	flags := unitFlags{DatasetDir: c.DatasetDir}
	var err error
	if flags.geoip, err = databaseFiles(c.GeoIP); err != nil {
		return err
	}
	g, err := flags.load(std)
	if err != nil {
		return err
	}
	if c.Dataset != "" && g.datasets.Get(c.Dataset) == nil {
		return fmt.Errorf("there is no dataset %q: 'klaxon datasets list' names them", c.Dataset)
	}
	out := bufio.NewWriterSize(std.out, 1<<16)
	p := &parser{g: g, normalizer: g.NewNormalizer(), event: event.New(g.Schema), dataset: c.Dataset, out: out,
		file: g.Schema.ID(fieldFile), index: g.Schema.ID(fieldIndex), name: g.Schema.ID(fieldDataset)}
	var found error
	for _, name := range c.Input {
		err := p.parse(ctx, name, std.in)
		var broken *records.Broken
		if errors.As(err, &broken) {
			fmt.Fprintf(std.err, "klaxon: %s is no whole JSON, and records may be missing: %s\n", name, broken)
			found = errFindings
		} else if err != nil {
			return errors.Join(err, out.Flush())
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return found
}

// Fields that printed documents have and archived ones do not.
const (
	fieldFile    = "klaxon.file"
	fieldIndex   = "klaxon.index"
	fieldDataset = "klaxon.dataset"
)

func printedFields() []event.Field {
	return []event.Field{{Name: fieldFile, Type: event.Keyword}, {Name: fieldIndex, Type: event.Long}, {Name: fieldDataset, Type: event.Keyword}}
}

type parser struct {
	g                 *loaded
	normalizer        *ingest.Normalizer
	event             *event.Event
	dataset           string
	out               *bufio.Writer
	doc               []byte
	file, index, name event.FieldID
}

// openInput opens a file or standard input. The time is that of its records: a file's last change, and for a stream now.
func openInput(name string, stdin io.Reader) (in io.ReadCloser, at time.Time, err error) {
	if name == "-" {
		return io.NopCloser(stdin), time.Now(), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("cannot read the input: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a folder")
	}
	if err != nil {
		f.Close()
		return nil, time.Time{}, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return f, info.ModTime(), nil
}

func (p *parser) parse(ctx context.Context, name string, stdin io.Reader) error {
	in, at, err := openInput(name, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := records.NewReader(in, ingest.DefaultMaxBytes)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer r.Close()
	rec := event.Record{Source: event.Source{Topic: sourceName(name)}, Time: at.UnixMilli()}
	for i := int64(0); ctx.Err() == nil; i++ {
		rec.Value, err = r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rec.Offset = i
		if err := p.record(name, &rec); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sourceName stands for a topic's name in the ids of events that came from a file.
func sourceName(file string) string {
	if file == "-" {
		return "stdin"
	}
	return filepath.Base(file)
}

func (p *parser) record(file string, rec *event.Record) error {
	err := p.normalizer.NormalizeAs(p.dataset, rec, p.event, func(e *event.Event) {
		e.Add(p.file, file)
		e.AddInt(p.index, rec.Offset)
		e.Add(p.name, e.Dataset)
		p.doc = append(e.AppendDocument(p.doc[:0]), '\n')
		_, _ = p.out.Write(p.doc) // the writer remembers its error; Flush answers it
	})
	var dead *ingest.DeadLetter
	if !errors.As(err, &dead) {
		return err
	}
	if dead.Reason == ingest.ReasonTooLarge { // it was cut, so that nobody knows how long it is
		dead.Detail = fmt.Sprintf("more than %d bytes", ingest.DefaultMaxBytes)
	}
	p.doc = append(p.doc[:0], `{"klaxon":{"file":`...)
	p.doc = event.AppendString(p.doc, file)
	p.doc = append(p.doc, `,"index":`...)
	p.doc = strconv.AppendInt(p.doc, rec.Offset, 10)
	p.doc = append(p.doc, `,"dead_letter":{"reason":`...)
	p.doc = event.AppendString(p.doc, dead.Reason)
	p.doc = append(p.doc, `,"detail":`...)
	p.doc = event.AppendString(p.doc, dead.Detail)
	p.doc = append(p.doc, `,"offset":`...)
	p.doc = strconv.AppendInt(p.doc, int64(max(dead.Offset, 0)), 10) // of the whole record where no byte is to blame
	_, err = p.out.Write(append(p.doc, "}}}\n"...))
	return err
}
