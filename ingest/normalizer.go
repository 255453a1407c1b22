// Package ingest turns records into events: envelopes off, claimed by a dataset, parsed, enriched, given a tenant, a time and an id.
package ingest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/decode"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

// Defaults of Options.
const (
	DefaultMaxBytes = 1 << 20
	DefaultMaxSkew  = 5 * time.Minute
)

// Tags that the normaliser gives.
const (
	TagClockSkew     = "clock_skew"      // the event's clock is ahead by more than the skew, or behind by more than a year
	TagInvalidUTF8   = "invalid_utf8"    // the record is not UTF-8; its bytes are in klaxon.original_base64
	TagNulBytes      = "nul_bytes"       // the record holds NUL bytes
	TagTooManyValues = "too_many_values" // the event, or one of its fields, had more values than it may have; those that came later are in its original only
)

// Options says how records become events.
type Options struct {
	Datasets *datasets.Set
	// Schema is that of the events; nil: that of the datasets. It must be the datasets' or an extension of it.
	Schema *event.Schema
	// Country is asked for the countries of addresses where no database is about places; nil: no countries.
	Country enrich.Countries
	// Databases say more about addresses; nil: none.
	Databases *enrich.Databases
	Tenant    TenantRule
	// MaxBytes bounds a record's value; 0: 1 MiB.
	MaxBytes int
	// MaxSkew is how far an event's time may lie behind its record's; 0: five minutes.
	MaxSkew time.Duration
	// TrustedProxies are believed about the addresses that they forward for, beside private addresses.
	TrustedProxies []netip.Prefix
}

// Normalizer turns records into events. One per worker: it owns scratch and is not safe for concurrent use.
type Normalizer struct {
	set      *datasets.Set
	schema   *event.Schema
	f        ids
	known    *enrich.Cache // what is known of addresses
	named    *enrich.Databases
	tenant   tenantRule
	maxBytes int
	maxSkew  int64 // milliseconds
	proxies  []netip.Prefix
	reader   datasets.Reader
	stats    stats

	topic   string // the last topic that was looked at, and who claims it
	claimed *datasets.Dataset
	asked   bool

	body       []byte // of what was unescaped out of an envelope
	hops       []netip.Addr
	secret     []byte
	structured []byte // the JSON of a syslog header's structured data

	// Of the record that is being read:
	rec    *event.Record
	syslog decode.Syslog
	has    bool  // a syslog header
	millis int64 // what the envelopes say the time is; 0: nothing
	valid  bool  // UTF-8
	nul    bool
	index  int32
}

// NewNormalizer makes a normaliser.
func NewNormalizer(o Options) *Normalizer {
	n := &Normalizer{set: o.Datasets, schema: o.Schema, maxBytes: o.MaxBytes, maxSkew: o.MaxSkew.Milliseconds(), proxies: o.TrustedProxies}
	if n.schema == nil {
		n.schema = o.Datasets.Schema()
	}
	if n.maxBytes <= 0 {
		n.maxBytes = DefaultMaxBytes
	}
	if n.maxSkew <= 0 {
		n.maxSkew = DefaultMaxSkew.Milliseconds()
	}
	n.f = newIDs(n.schema)
	n.tenant = newTenantRule(o.Tenant, n.schema)
	n.known, n.named = enrich.NewCache(o.Country, o.Databases), o.Databases
	n.stats.datasets = make([]DatasetStats, len(o.Datasets.All())+1)
	n.stats.dead = map[string]uint64{}
	return n
}

// Normalize turns a record into events and calls each with every one of them, in their order in the record. e is scratch: it is reset for
// each event, and what each is given is valid until it returns. A record that cannot be decoded at all is answered with a *DeadLetter,
// and each was not called. A record whose events are all dropped by its dataset is no error.
func (n *Normalizer) Normalize(rec *event.Record, e *event.Event, each func(*event.Event)) error {
	return n.normalize(nil, rec, e, each)
}

// NormalizeAs is Normalize for a record whose dataset is known; "" is Normalize. A name that does not exist is an error.
func (n *Normalizer) NormalizeAs(dataset string, rec *event.Record, e *event.Event, each func(*event.Event)) error {
	if dataset == "" {
		return n.normalize(nil, rec, e, each)
	}
	d := n.set.Get(dataset)
	if d == nil {
		return fmt.Errorf("there is no dataset %q", dataset)
	}
	return n.normalize(d, rec, e, each)
}

// ArchiveOnly says whether an event is to be archived and not evaluated.
func (n *Normalizer) ArchiveOnly(e *event.Event) bool { return e.Has(n.f.keep) }

func (n *Normalizer) normalize(d *datasets.Dataset, rec *event.Record, e *event.Event, each func(*event.Event)) error {
	n.stats.records++
	err := n.record(d, rec, e, each)
	if err != nil {
		n.stats.dead[err.Reason]++
		return err
	}
	return nil
}

func (n *Normalizer) record(d *datasets.Dataset, rec *event.Record, e *event.Event, each func(*event.Event)) *DeadLetter {
	if dead := undecodable(rec.Value, n.maxBytes); dead != nil {
		return dead
	}
	n.rec, n.index, n.has, n.millis = rec, 0, false, 0
	data := bytes.TrimPrefix(rec.Value, []byte("\xef\xbb\xbf"))
	n.valid, n.nul = utf8.Valid(data), bytes.IndexByte(data, 0) >= 0
	claimed := d == nil
	if claimed {
		d = n.claim(rec)
	}
	body := n.unwrap(d, decode.TrimLine(data))
	switch {
	case d == nil:
		d = n.shape(body)
	case d.Shares && claimed && n.has:
		d = cmp.Or(n.set.ByProgram(n.syslog.Program), d)
	}
	switch {
	case d != nil && d.JSON && decode.LooksJSON(body):
		return n.document(d, e, body, each)
	case (d == nil || d.JSON || d == n.set.Text()) && decode.LooksJSONArray(body) && json.Valid(body):
		return n.array(d, e, body, each)
	case d == n.set.Text() && binary(data, n.valid):
		return &DeadLetter{ReasonBinary, "bytes that are no text, and that no dataset claims", 0}
	}
	n.begin(e)
	n.text(d, e, body)
	n.finish(d, e, rec.Value, each)
	return nil
}

// claim is the dataset that a record's headers or its topic name, or nil.
func (n *Normalizer) claim(rec *event.Record) *datasets.Dataset {
	if len(rec.Headers) > 0 {
		if d := n.set.ByRecord(rec); d != nil {
			return d
		}
	}
	if !n.asked || n.topic != rec.Source.Topic {
		n.topic, n.claimed, n.asked = rec.Source.Topic, n.set.ByTopic(rec.Source.Topic), true
	}
	return n.claimed
}

// maxEnvelopes bounds how deep envelopes may stand in each other.
const maxEnvelopes = 3

// unwrap removes the envelopes that are present and that the dataset removes; a record that nobody has claimed yet loses all.
func (n *Normalizer) unwrap(d *datasets.Dataset, body []byte) []byte {
	docker, syslog := d == nil || d.Docker, d == nil || d.Syslog
	for range maxEnvelopes {
		switch {
		case docker && decode.LooksJSON(body):
			docker = false
			var entry decode.Docker
			var ok bool
			if n.body, ok = decode.ParseDocker(body, n.body, &entry); !ok {
				return body
			}
			n.millis, body = entry.Millis, entry.Log
		case syslog:
			syslog = false
			if !decode.ParseSyslog(event.View(body), n.rec.Time, &n.syslog) {
				return body
			}
			n.has = true
			if n.syslog.Millis != 0 {
				n.millis = n.syslog.Millis
			}
			body = unsafe.Slice(unsafe.StringData(n.syslog.Message), len(n.syslog.Message))
		default:
			return body
		}
	}
	return body
}

// shape is the dataset that a body looks like, or nil.
func (n *Normalizer) shape(body []byte) *datasets.Dataset {
	if n.has {
		if d := n.set.ByProgram(n.syslog.Program); d != nil {
			return d
		}
	}
	if decode.LooksJSON(body) {
		return n.set.ByDocument(body)
	}
	return n.set.ByLine(&n.reader, event.View(body))
}

// document reads one JSON object, which is an event or holds several.
func (n *Normalizer) document(d *datasets.Dataset, e *event.Event, body []byte, each func(*event.Event)) *DeadLetter {
	n.begin(e)
	if err := d.ParseJSON(e, body); err != nil {
		return n.dead(err, body)
	}
	if list, ok := d.Events(e); ok {
		if n.elements(d, e, unsafe.Slice(unsafe.StringData(list), len(list)), each) {
			return nil
		}
		n.begin(e) // an empty list: the document itself is the event
		if err := d.ParseJSON(e, body); err != nil {
			return n.dead(err, body)
		}
	}
	n.parsed(d, e, body)
	n.finish(d, e, n.rec.Value, each)
	return nil
}

// parsed finishes a JSON document whose members are in the event: patterns over its fields, and what the dataset sets.
func (n *Normalizer) parsed(d *datasets.Dataset, e *event.Event, body []byte) {
	if !d.Parse(&n.reader, e, event.View(body)) {
		n.misfit(e, "")
	}
}

func (n *Normalizer) dead(err error, body []byte) *DeadLetter {
	var je *event.JSONError
	if !errors.As(err, &je) {
		je = &event.JSONError{Reason: err.Error()}
	}
	return deadJSON(je, offsetIn(n.rec.Value, body))
}

// offsetIn is where part begins in whole, or -1 where it is no part of it.
func offsetIn(whole, part []byte) int {
	if len(part) == 0 || len(whole) == 0 {
		return -1
	}
	at := int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(whole))))
	if at < 0 || at+len(part) > len(whole) {
		return -1
	}
	return at
}

// array reads a JSON array whose elements are events; each element is claimed by its own shape where nobody claims the record.
func (n *Normalizer) array(d *datasets.Dataset, e *event.Event, body []byte, each func(*event.Event)) *DeadLetter {
	if d == n.set.Text() {
		d = nil
	}
	if !n.elements(d, e, body, each) {
		return &DeadLetter{ReasonEmpty, "the array has no elements", offsetIn(n.rec.Value, body)}
	}
	return nil
}

// elements makes an event of every element of an array that is known to be JSON. It answers whether there was any.
func (n *Normalizer) elements(d *datasets.Dataset, e *event.Event, array []byte, each func(*event.Event)) bool {
	found := false
	for m := decode.NewMembers(array); ; {
		_, element, ok := m.Next()
		if !ok {
			return found
		}
		found = true
		as := d
		if as == nil && element[0] == '{' {
			as = n.set.ByDocument(element)
		}
		n.begin(e)
		if as != nil && as.JSON && element[0] == '{' && as.ParseJSON(e, element) == nil {
			n.parsed(as, e, element)
		} else {
			n.begin(e)
			n.misfit(e, event.View(element))
		}
		n.finish(as, e, element, each)
		n.index++
	}
}

// begin resets the event and gives it what the record and its envelopes say.
func (n *Normalizer) begin(e *event.Event) {
	e.Reset(n.schema)
	e.Received = n.rec.Time
	e.ID = event.ID{Topic: n.rec.Source.Topic, Partition: n.rec.Source.Partition, Offset: n.rec.Offset, Time: n.rec.Time, Index: n.index}
	if n.has {
		n.header(e)
	}
}

// header gives the event what the syslog header says.
func (n *Normalizer) header(e *event.Event) {
	h, f := &n.syslog, &n.f
	if h.Priority >= 0 {
		e.AddInt(f.priority, int64(h.Priority))
		e.AddInt(f.facility, int64(h.Facility()))
		e.AddInt(f.severity, int64(h.Severity()))
		e.Add(f.severityName, h.SeverityName())
	}
	for _, x := range [...]struct {
		id   event.FieldID
		text string
	}{{f.hostname, h.Host}, {f.hostName, h.Host}, {f.processName, h.Program}, {f.appname, h.Program}, {f.version, h.Version}, {f.msgid, h.MessageID}} {
		if x.text != "" && x.text != "-" {
			e.Add(x.id, x.text)
		}
	}
	if len(h.PID) > 0 && len(h.PID) < 19 {
		e.Add(f.procid, h.PID)
		if h.PID[0] >= '0' && h.PID[0] <= '9' {
			e.Add(f.processPID, h.PID)
		}
	}
	if h.Structured != "" {
		n.structured = decode.AppendStructured(n.structured[:0], h.Structured)
		e.Add(f.structured, e.Keep(n.structured))
	}
	if h.Repeated > 0 {
		e.AddInt(f.repeated, int64(h.Repeated))
	}
}

// text reads a body that is no JSON document of the dataset's.
func (n *Normalizer) text(d *datasets.Dataset, e *event.Event, body []byte) {
	switch s := event.View(body); {
	case d == nil:
		e.Add(n.f.message, s)
	case d.JSON || !d.Parse(&n.reader, e, s):
		n.misfit(e, s)
	}
}

// misfit marks an event whose dataset could not read it. It is archived and evaluated all the same, or an attacker could hide in it.
func (n *Normalizer) misfit(e *event.Event, body string) {
	e.Set(event.EventKind, "pipeline_error")
	if body != "" {
		e.Set(n.f.message, body)
	}
	if !e.Has(n.f.errorMessage) {
		e.Add(n.f.errorMessage, "no pattern of the dataset fits")
	}
}

// finish gives the event everything that does not depend on its dataset's patterns, and hands it on.
func (n *Normalizer) finish(d *datasets.Dataset, e *event.Event, original []byte, each func(*event.Event)) {
	n.enrich(d, e)
	n.common(d, e, original)
	s := n.stats.of(d)
	if e.Overflow() > 0 {
		s.TooManyValues++
		e.Tag(TagTooManyValues)
	}
	if d != nil {
		if _, dropped := d.Drop(e); dropped {
			s.Dropped++
			return
		}
		if d.ArchiveOnly(e) {
			e.Add(n.f.keep, "archive")
			s.ArchiveOnly++
		}
		if fields := d.Redact(); len(fields) > 0 {
			n.redact(e, fields)
		}
	}
	s.Events++
	if e.Text(event.EventKind) == "pipeline_error" {
		s.PipelineErrors++
	}
	if e.Has(event.BadFields) {
		s.BadFields++
	}
	each(e)
}

// common sets what every event has.
func (n *Normalizer) common(d *datasets.Dataset, e *event.Event, original []byte) {
	e.Dataset = textDataset
	if d != nil {
		e.Dataset = d.Name
	}
	e.Set(event.Dataset, e.Dataset)
	e.Set(event.Original, event.View(original))
	if !e.Has(event.EventKind) {
		e.Add(event.EventKind, "event")
	}
	e.Tenant = n.tenant.of(n.rec, e)
	e.Set(event.Tenant, e.Tenant)
	n.times(d, e)
	const longestID = 320
	arena := e.Scratch(longestID)
	start := len(arena)
	e.Set(event.EventID, e.Kept(e.ID.Append(arena), start))
	if n.nul {
		e.Tag(TagNulBytes)
	}
	if !n.valid {
		n.stats.of(d).InvalidUTF8++
		e.Tag(TagInvalidUTF8)
		arena := e.Scratch(base64.StdEncoding.EncodedLen(len(original)))
		start := len(arena)
		e.Set(n.f.base64, e.Kept(base64.StdEncoding.AppendEncode(arena, original), start))
	}
}

// textDataset is the dataset of what nobody claims, where no dataset claims all text.
const textDataset = "text"
