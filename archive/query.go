package archive

import (
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/klaxonhq/klaxon/event"
)

// Query says what to search for. Its zero value is everything.
type Query struct {
	// From and To bound the time, both included; zero is no bound. It is event time unless ByRecordTime is set.
	From, To     time.Time
	ByRecordTime bool
	// MaxSkew is how far event time may lie behind the record's; 0: a day. Hours of records that are earlier by more are not looked at.
	MaxSkew time.Duration
	// Tenants and Datasets are those to search; none: all.
	Tenants, Datasets []string
	// Needles leave out segments in which no event meets all of them. They leave out only whole segments: Match still has to say so.
	Needles []Needle
	// Match says which events are wanted; nil: all. It is called by several goroutines at once, each with an event of its own, which it
	// must not keep.
	Match func(*event.Event) bool
	// Schema is of the events; nil: every field of ECS, and no vendor's.
	Schema *event.Schema
	// Newest puts the newest first, else the oldest come first, by the time that From and To bound. Where more than MaxHeld bytes
	// wait for their turn because the times of segments overlap, the order is kept no longer, and the report says so.
	Newest bool
	// MaxHeld bounds the bytes of documents that wait for their turn; 0: 64 MiB.
	MaxHeld int
	// Workers is how many segments are read at a time; 0: one a processor. Each takes up to 16 MiB for its documents.
	Workers int
}

// ErrStop ends a search without an error when the callback returns it.
var ErrStop = errors.New("the search was ended by its caller")

// Report says what a search did.
type Report struct {
	Segments  int   // that were read
	Skipped   int   // that their index left out
	Documents int64 // that were read
	Found     int64 // that were given to the callback
	// Disordered says that more waited for their turn than may, so that the order was not kept.
	Disordered bool
	Damages    []Damage
}

const (
	defaultMaxSkew = 24 * time.Hour
	defaultMaxHeld = 64 << 20
)

// plan is a query as the walk needs it.
type plan struct {
	Query
	span              Range // Unix milliseconds
	skew              int64
	tenants, datasets map[string]bool // folders; nil: all
	needles           [][]uint64
}

func newPlan(q Query) (*plan, error) {
	p := &plan{Query: q, span: Range{math.MinInt64, math.MaxInt64}, skew: q.MaxSkew.Milliseconds()}
	if !q.From.IsZero() {
		p.span.From = q.From.UnixMilli()
		if q.From.After(time.UnixMilli(p.span.From)) {
			p.span.From++ // part of a millisecond
		}
	}
	if !q.To.IsZero() {
		p.span.To = q.To.UnixMilli()
	}
	if p.skew <= 0 {
		p.skew = defaultMaxSkew.Milliseconds()
	}
	if p.MaxHeld <= 0 {
		p.MaxHeld = defaultMaxHeld
	}
	if p.Workers <= 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	p.tenants, p.datasets = folderSet(q.Tenants, tenantFolder), folderSet(q.Datasets, datasetFolder)
	var err error
	p.needles, err = hashNeedles(q.Needles)
	return p, err
}

func folderSet(names []string, folder func(string) string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	set := map[string]bool{}
	for _, n := range names {
		set[folder(n)] = true
	}
	return set
}

func (p *plan) tenant(folder string) bool  { return p.tenants == nil || p.tenants[folder] }
func (p *plan) dataset(folder string) bool { return p.datasets == nil || p.datasets[folder] }

func (p *plan) day(folder string) bool {
	first, ok := hourOfFolder(folder, "hour=00")
	return !ok || p.records(Range{first * hourMillis, (first+24)*hourMillis - 1})
}

func (p *plan) hour(day, folder string) bool {
	h, ok := hourOfFolder(day, folder)
	return !ok || p.records(Range{h * hourMillis, (h+1)*hourMillis - 1})
}

// records says whether records of a range of time can be wanted. An event can be any time older than its record, and younger by the skew.
func (p *plan) records(r Range) bool {
	if p.ByRecordTime {
		return r.overlaps(p.span)
	}
	return r.To+p.skew >= p.span.From
}

// times is the range that the order and the bounds are by.
func (p *plan) times(event, record Range) Range {
	if p.ByRecordTime {
		return record
	}
	return event
}

func (p *plan) wants(x *Index) bool {
	if !p.times(x.Event, x.Record).overlaps(p.span) {
		return false
	}
	return !x.filtered || x.filter.perhaps(p.needles)
}

func (p *plan) timeOf(e *event.Event) int64 {
	if p.ByRecordTime {
		return e.Received
	}
	return e.Time
}
