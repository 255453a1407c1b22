package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/kafka"
	kafkago "github.com/segmentio/kafka-go"
)

// Why a topic is left out of the configuration. Machines read these words.
const (
	skipEmpty       = "empty"
	skipBinary      = "binary"
	skipUndecodable = "undecodable"
	skipCompacted   = "compacted"
	skipTooLarge    = "too_large"
	skipForbidden   = "forbidden"
	skipGone        = "gone"
	skipFailed      = "failed"
)

// How a dataset came to claim a topic's records.
const (
	byHeader = "header"
	byTopic  = "topic"
	byShape  = "shape"
)

// Bounds of what is kept of a sample.
const (
	maxTenantsSeen  = 12
	maxTenantBytes  = 64
	maxTenantHeader = 8
	maxTried        = 100 // records that are tried with other datasets
	fitsPercent     = 95
)

// finding is what is known of one topic.
type finding struct {
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions"`
	// Skip is why the topic is left out, "" for one that holds logs; Detail is that for people.
	Skip   string `json:"left_out,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Dataset is whose most of the events are, ClaimedBy what says so: header, topic, shape, or "" where nobody claims them.
	Dataset   string         `json:"dataset,omitempty"`
	ClaimedBy string         `json:"claimed_by,omitempty"`
	Datasets  map[string]int `json:"datasets,omitempty"` // events
	Sampled   int            `json:"records_sampled"`
	Events    int            `json:"events"`
	Parsed    int            `json:"events_parsed"` // of a dataset that claims them
	Misfits   int            `json:"events_pipeline_error"`
	Unclaimed int            `json:"events_unclaimed"`
	Dropped   int            `json:"records_dropped"` // as their dataset declares
	Dead      map[string]int `json:"dead_letters,omitempty"`
	Compacted bool           `json:"compacted,omitempty"`
	Retained  int64          `json:"records_retained"`
	Rate      float64        `json:"records_per_second"`
	Bytes     int            `json:"bytes_per_record"`
	Newest    *time.Time     `json:"newest,omitempty"`
	Tenants   []string       `json:"tenants,omitempty"`
	Rules     []string       `json:"rules,omitempty"`
	// Fits is datasets that would read the topic if they were told to, the best first.
	Fits []string `json:"fits,omitempty"`

	claims  map[string]int             // events by what claims them
	seen    map[string]map[string]bool // by dataset, the fields that rules ask for and its events have
	headers map[string]map[string]bool // values of headers that may name a tenant
}

// hasLogs says whether the topic is to be read.
func (f *finding) hasLogs() bool { return f.Skip == "" }

// dead is how many records cannot be decoded.
func (f *finding) dead() int {
	n := 0
	for _, c := range f.Dead {
		n += c
	}
	return n
}

// percent is a share in whole per cent, rounded down: 100 is all.
func percent(part, whole int) int {
	if whole == 0 {
		return 0
	}
	return part * 100 / whole
}

// parsedPercent is the share that a dataset claims and reads.
func (f *finding) parsedPercent() int { return percent(f.Parsed, f.Events+f.dead()) }

// judge reads samples with the normaliser. Each goroutine has its own.
type judge struct {
	g          *loaded
	normalizer *ingest.Normalizer
	event      *event.Event
	asked      map[string]event.FieldID // the fields that rules ask for
}

func newJudge(g *loaded) *judge {
	j := &judge{g: g, normalizer: g.NewNormalizer(), event: event.New(g.Schema), asked: map[string]event.FieldID{}}
	for _, r := range g.Rules.Rules() {
		for _, name := range r.Fields() {
			if id := g.Schema.ID(name); id != 0 {
				j.asked[name] = id
			}
		}
	}
	return j
}

// generic says whether a dataset takes what nobody claims.
func (j *judge) generic(name string) bool {
	d := j.g.datasets.Get(name)
	return d == nil || d == j.g.datasets.Text() || d == j.g.datasets.JSON()
}

// topic says what a sample shows; failed is why it is not whole.
func (j *judge) topic(t kafka.Topic, s kafka.Sample, failed error) *finding {
	f := &finding{Topic: t.Name, Partitions: t.Partitions, Sampled: len(s.Records), Retained: s.Retained, Rate: s.Rate, Compacted: s.Removed > 0,
		Datasets: map[string]int{}, Dead: map[string]int{}, claims: map[string]int{}, seen: map[string]map[string]bool{}, headers: map[string]map[string]bool{}}
	bytes, newest := 0, int64(0)
	for i := range s.Records {
		r := &s.Records[i]
		bytes += len(r.Key) + len(r.Value)
		newest = max(newest, r.Time)
		j.record(f, r)
	}
	if n := len(s.Records); n > 0 {
		at := time.UnixMilli(newest).UTC()
		f.Bytes, f.Newest = bytes/n, &at
	}
	f.Dataset, f.ClaimedBy = most(f.Datasets), most(f.claims)
	f.Skip, f.Detail = j.verdict(f, s, failed)
	if f.hasLogs() && (j.generic(f.Dataset) || f.parsedPercent() < 50) {
		f.Fits = j.fits(s.Records, f)
	}
	return f
}

// most is the key that was counted most often, the first in the order of the alphabet where several were.
func most(counts map[string]int) string {
	return slices.MaxFunc(append(slices.Sorted(maps.Keys(counts)), ""), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[a], counts[b]), strings.Compare(b, a))
	})
}

// record normalises one record and counts what becomes of it.
func (j *judge) record(f *finding, r *event.Record) {
	f.noteHeaders(r)
	events := 0
	err := j.normalizer.Normalize(r, j.event, func(e *event.Event) {
		events++
		j.count(f, r, e)
	})
	var dead *ingest.DeadLetter
	switch {
	case errors.As(err, &dead):
		f.Dead[dead.Reason]++
	case events == 0:
		f.Dropped++
	}
}

func (j *judge) count(f *finding, r *event.Record, e *event.Event) {
	name := strings.Clone(e.Dataset)
	f.Events++
	f.Datasets[name]++
	switch {
	case j.generic(name):
		f.Unclaimed++
		f.claims[""]++
	case e.Text(event.EventKind) == "pipeline_error":
		f.Misfits++
		f.claims[j.claimedBy(r, name)]++
	default:
		f.Parsed++
		f.claims[j.claimedBy(r, name)]++
	}
	if f.seen[name] == nil {
		f.seen[name] = map[string]bool{}
	}
	for field, id := range j.asked {
		if e.Has(id) {
			f.seen[name][field] = true
		}
	}
}

// claimedBy says what made a dataset claim a record, in the order that the normaliser asks.
func (j *judge) claimedBy(r *event.Record, dataset string) string {
	d := j.g.datasets.Get(dataset)
	switch d {
	case j.g.datasets.ByRecord(r):
		return byHeader
	case j.g.datasets.ByTopic(r.Source.Topic):
		return byTopic
	}
	return byShape
}

// noteHeaders keeps the values of headers that may say whose a record is.
func (f *finding) noteHeaders(r *event.Record) {
	for _, h := range r.Headers {
		if !strings.Contains(strings.ToLower(h.Key), "tenant") || len(h.Key) > maxTenantBytes || len(h.Value) == 0 || len(h.Value) > maxTenantBytes {
			continue
		}
		values := f.headers[h.Key]
		if values == nil {
			if len(f.headers) == maxTenantHeader {
				continue
			}
			values = map[string]bool{}
			f.headers[h.Key] = values
		}
		if len(values) < maxTenantsSeen {
			values[string(h.Value)] = true
		}
	}
}

// verdict says why a topic is left out, "" where it holds logs.
func (j *judge) verdict(f *finding, s kafka.Sample, failed error) (skip, detail string) {
	dead, all := f.dead(), f.Events+f.dead()
	switch {
	case len(s.Records) == 0 && failed != nil:
		return whyFailed(failed)
	case len(s.Records) == 0:
		return j.whyNothing(f, s)
	case dead*2 > all && f.Dead[ingest.ReasonBinary]*2 > dead:
		return skipBinary, fmt.Sprintf("%d of %d records are no text", f.Dead[ingest.ReasonBinary], f.Sampled)
	case dead*2 > all:
		return skipUndecodable, fmt.Sprintf("%d of %d records cannot be decoded (%s)", dead, f.Sampled, counted(f.Dead))
	case f.Compacted && j.generic(f.Dataset):
		return skipCompacted, "its records replace each other by their keys, as a table's do, and no dataset claims them"
	}
	return "", ""
}

func (j *judge) whyNothing(f *finding, s kafka.Sample) (skip, detail string) {
	detail = "it has never held a record"
	switch {
	case s.TooLarge > 0:
		return skipTooLarge, fmt.Sprintf("each of %d records is larger than what is read of a topic", s.TooLarge)
	case s.Retained > 0:
		detail = "no record of it is committed"
	case s.Ever:
		detail = "its records have all expired"
	}
	if d := j.g.datasets.ByTopic(f.Topic); d != nil {
		detail += "; " + d.Name + " would claim it by its name"
	}
	return skipEmpty, detail
}

// whyFailed says why nothing could be read of a topic.
func whyFailed(err error) (skip, detail string) {
	switch {
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		return skipForbidden, "no right to read it: the user needs an ACL READ on the topic"
	case errors.Is(err, kafka.ErrUnknownTopic):
		return skipGone, "it was deleted meanwhile"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return skipFailed, "there was no time left to read it: give more with --timeout"
	}
	return skipFailed, kafka.Explain(err)
}

// counted is what was counted, in words: json_truncated 2, empty 1.
func counted(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	for i, n := range names {
		names[i] = fmt.Sprintf("%s %d", n, counts[n])
	}
	return strings.Join(names, ", ")
}

// fits is the datasets that read nearly all of the records when they are told to, best first, those named like the topic before others.
// Datasets for JSON read any JSON, so their fitting says nothing.
func (j *judge) fits(records []event.Record, f *finding) []string {
	shares := map[string]int{}
	records = records[max(0, len(records)-maxTried):]
	for _, d := range j.g.datasets.All() {
		if d.JSON || j.generic(d.Name) || d.Name == f.Dataset || j.takesAnything(d) {
			continue
		}
		if share := j.shareAs(d, records); share >= fitsPercent {
			shares[d.Name] = share
		}
	}
	return slices.SortedFunc(maps.Keys(shares), func(a, b string) int {
		return cmp.Or(shares[b]-shares[a], likeness(b, f.Topic)-likeness(a, f.Topic), strings.Compare(a, b))
	})
}

// takesAnything says whether a dataset also reads what nobody writes.
func (j *judge) takesAnything(d *datasets.Dataset) bool {
	return j.shareAs(d, []event.Record{{Value: []byte("qz~ no log of any kind ~zq")}}) > 0
}

// shareAs is how many per cent of records a dataset reads.
func (j *judge) shareAs(d *datasets.Dataset, records []event.Record) int {
	read := 0
	for i := range records {
		good, events := true, 0
		err := j.normalizer.NormalizeAs(d.Name, &records[i], j.event, func(e *event.Event) {
			events++
			good = good && e.Text(event.EventKind) != "pipeline_error"
		})
		if err == nil && good && events > 0 {
			read++
		}
	}
	return percent(read, len(records))
}

// likeness is how many parts of a dataset's name the topic's has.
func likeness(dataset, topic string) int {
	n := 0
	for _, part := range strings.Split(dataset, ".") {
		if strings.Contains(topic, part) {
			n++
		}
	}
	return n
}
