package datasets

import (
	"cmp"
	"slices"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/internal/diag"
)

// Set is the compiled datasets. It is immutable and safe for concurrent use.
type Set struct {
	schema *event.Schema
	all    []*Dataset // in the order of their names
	byName map[string]*Dataset
	claims claims
	info   []Info
	units  []*Unit
}

// Info describes a dataset for people.
type Info struct {
	Name        string   `json:"name"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	File        string   `json:"file"`
	JSON        bool     `json:"json"`
	Topics      []string `json:"topics,omitempty"`
	Headers     []string `json:"headers,omitempty"`
	Programs    []string `json:"programs,omitempty"`
	// Vendor is the prefix below which any path of a document can be named; "" for none.
	Vendor string `json:"vendor,omitempty"`
	// Fields is what the dataset fills, in order, without scratch fields and without what every event has.
	Fields []string `json:"fields"`
	Tests  int      `json:"tests"`
}

// Compile compiles units. The set is nil if any unit has a mistake; all mistakes are reported at once.
func Compile(units []*Unit, opts Options) (*Set, diag.List) {
	var list diag.List
	s := &Set{schema: opts.Schema, byName: map[string]*Dataset{}}
	s.claims.programs, s.claims.keys = map[string]*Dataset{}, map[string]uint64{}
	s.units = slices.Clone(units)
	slices.SortStableFunc(s.units, func(a, b *Unit) int { return cmp.Compare(a.name, b.name) })
	for _, u := range s.units {
		d := compileUnit(u, opts)
		d.index = len(s.all)
		s.all, s.byName[u.name] = append(s.all, d), d
		s.claims.add(u, d)
		s.checkTests(u)
		s.info = append(s.info, u.info())
		u.flush(&list)
	}
	s.claims.tell(opts.Topics, s.byName)
	if list.HasErrors() {
		return nil, list
	}
	return s, list
}

func (u *Unit) info() Info {
	i := Info{Name: u.name, Title: u.title, Description: u.description, File: u.file, JSON: u.json, Vendor: u.vendor, Tests: len(u.tests)}
	for _, t := range u.claim.topics {
		i.Topics = append(i.Topics, t.name)
	}
	for _, h := range u.claim.headers {
		i.Headers = append(i.Headers, h.key+": "+h.value.name)
	}
	for _, p := range u.claim.programs {
		i.Programs = append(i.Programs, p.name)
	}
	fields := map[string]bool{}
	u.names(func(nameAt) {}, func(n nameAt) {
		if n.name != "" && n.name[0] != '$' {
			fields[n.name] = true
		}
	})
	for f := range fields {
		i.Fields = append(i.Fields, f)
	}
	slices.Sort(i.Fields)
	return i
}

// List describes every dataset, in the order of their names. The caller must not write to it.
func (s *Set) List() []Info { return s.info }

// Schema is what the set was compiled against.
func (s *Set) Schema() *event.Schema { return s.schema }

// All is every dataset, in the order of their names. The caller must not write to it.
func (s *Set) All() []*Dataset { return s.all }

// Names is the names of all datasets, in order.
func (s *Set) Names() []string {
	out := make([]string, len(s.all))
	for i, d := range s.all {
		out[i] = d.Name
	}
	return out
}

// Get is a dataset by its name, or nil.
func (s *Set) Get(name string) *Dataset { return s.byName[name] }

// ByRecord is the dataset that claims a record by a header, or nil.
func (s *Set) ByRecord(rec *event.Record) *Dataset {
	for i := range s.claims.headers {
		h := &s.claims.headers[i]
		if string(rec.Header(h.key)) == h.value {
			return h.d
		}
	}
	return nil
}

// ByTopic is the dataset that claims a topic, or nil.
func (s *Set) ByTopic(topic string) *Dataset { return s.claims.topic(topic) }

// ByProgram is the dataset that claims a program's syslog messages, or nil.
func (s *Set) ByProgram(program string) *Dataset {
	if program == "" {
		return nil
	}
	return s.claims.programs[program]
}

// ByDocument is the dataset that claims a JSON object by its members, else the one for all JSON, or nil.
func (s *Set) ByDocument(data []byte) *Dataset {
	if d := s.claims.document(data); d != nil {
		return d
	}
	return s.claims.anyJSON
}

// ByLine is the dataset that claims a text by its pattern, else the one for all text, or nil.
func (s *Set) ByLine(r *Reader, line string) *Dataset {
	if d := s.claims.line(&r.match, line); d != nil {
		return d
	}
	return s.claims.anyText
}

// Text is the dataset for all text, or nil.
func (s *Set) Text() *Dataset { return s.claims.anyText }

// JSON is the dataset for all JSON, or nil.
func (s *Set) JSON() *Dataset { return s.claims.anyJSON }

// Reader is the scratch that reading needs: one per worker. The zero value is ready.
type Reader struct {
	match decode.Match
}

// Far is how many bytes of the last text fitted the last pattern that was tried.
func (r *Reader) Far() int { return r.match.Far() }

// Dataset is one compiled dataset. It is immutable and safe for concurrent use.
type Dataset struct {
	Name string
	// JSON says that its records are JSON; Syslog and Docker, which envelopes it removes where they are present.
	JSON, Syslog, Docker bool
	// Shares says that of what it claims by topic or header, the records of a syslog program that another dataset claims are the other's.
	Shares bool

	index     int
	schema    *event.Schema
	plan      *event.Plan
	each      event.FieldID
	eachKey   string
	picks     []pick
	steps     []step
	sets      []assign
	forwarded event.FieldID
	redact    []event.FieldID
	keep      Condition
	drops     []drop
}

// pick takes the first present of several places of a document.
type pick struct {
	to   event.FieldID
	from []event.FieldID
}

type drop struct {
	when Condition
	why  string
}

// Index is the dataset's place in Set.All.
func (d *Dataset) Index() int { return d.index }

// Forwarded is the field that holds the addresses which proxies wrote down, or 0.
func (d *Dataset) Forwarded() event.FieldID { return d.forwarded }

// Redact is the fields whose values must not be archived. The caller must not write to it.
func (d *Dataset) Redact() []event.FieldID { return d.redact }

// Events is the JSON array that holds the events of a document which was just parsed; ok is false where the document is one event.
func (d *Dataset) Events(e *event.Event) (array string, ok bool) {
	if d.each == 0 || !e.Has(d.each) {
		return "", false
	}
	return e.Text(d.each), true
}

// ParseJSON reads a JSON object into the event. The error is an *event.JSONError. Texts alias data.
func (d *Dataset) ParseJSON(e *event.Event, data []byte) error {
	if err := e.DecodeJSON(d.plan, data); err != nil {
		return err
	}
	for i := range d.picks {
		d.picks[i].apply(e)
	}
	return nil
}

func (p *pick) apply(e *event.Event) {
	if e.Has(p.to) {
		return
	}
	for _, from := range p.from {
		if e.Has(from) {
			for v := e.First(from); v != nil; v = e.Next(v) {
				e.AddCopy(p.to, v)
			}
			return
		}
	}
}

// Parse runs the patterns over a text and then sets what the dataset sets. It answers whether the text fits; where it does not, what was
// captured up to there stays, and nothing is set. Texts alias text.
func (d *Dataset) Parse(r *Reader, e *event.Event, text string) bool {
	for i := range d.steps {
		if !d.steps[i].run(r, e, text) {
			return false
		}
	}
	for i := range d.sets {
		d.sets[i].apply(e)
	}
	return true
}

// ArchiveOnly says whether the dataset keeps the event out of the evaluation.
func (d *Dataset) ArchiveOnly(e *event.Event) bool { return d.keep != nil && d.keep.Eval(e) }

// Drop says whether the dataset declares that the event is thrown away, and why.
func (d *Dataset) Drop(e *event.Event) (why string, drop bool) {
	for i := range d.drops {
		if d.drops[i].when != nil && d.drops[i].when.Eval(e) {
			return d.drops[i].why, true
		}
	}
	return "", false
}
