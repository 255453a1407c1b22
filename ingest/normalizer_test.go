package ingest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
	"github.com/klaxonhq/klaxon/ingest/enrich"
)

var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).UnixMilli()

// documents normalises a record and returns the documents of its events.
func documents(t testing.TB, n *Normalizer, rec *event.Record) ([]string, error) {
	t.Helper()
	var out []string
	err := n.Normalize(rec, event.New(n.schema), func(e *event.Event) { out = append(out, string(e.AppendDocument(nil))) })
	return out, err
}

func record(value string) *event.Record {
	return &event.Record{Source: event.Source{Topic: "in", Partition: 3}, Offset: 42, Time: now, Value: []byte(value)}
}

func TestDeadLetters(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t), MaxBytes: 300000})
	for name, c := range map[string]struct {
		value  string
		reason string
		offset int
	}{
		"nothing":              {"", ReasonEmpty, -1},
		"blanks":               {" \n", ReasonEmpty, -1},
		"too large":            {strings.Repeat("x", 300001), ReasonTooLarge, -1},
		"NUL only":             {"\x00\x00\x00", ReasonBinary, 0},
		"a serialised message": {"\x00\x00\x00\x00\x07\x02\x0ehello\x06", ReasonBinary, 0},
		"compressed":           {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00", ReasonBinary, 0},
		"truncated":            {`{"a":"b`, ReasonJSONTruncated, 7},
		"in syslog":            {`<13>Nov 24 10:00:00 h p: {"a":1,}`, ReasonJSONInvalid, 32},
		"in Docker":            {`{"log":"{\"a\":\n","stream":"stdout","time":"2026-11-24T10:00:00Z"}`, ReasonJSONTruncated, -1},
		"deep":                 {strings.Repeat(`{"a":`, 10000), ReasonNesting, 5*128 + 1},
		"deep arrays":          {`{"a":` + strings.Repeat(`[`, 10000), ReasonNesting, 5 + 128},
		"a lone brace":         {"{", ReasonJSONTruncated, 1},
		"no elements":          {"[]", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := documents(t, n, record(c.value))
			var d *DeadLetter
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &d) || d.Reason != c.reason || d.Detail == "" || len(docs) != 0 {
				t.Fatalf("%v, %v", docs, err)
			}
			if d.Offset != c.offset {
				t.Errorf("offset %d, want %d: %v", d.Offset, c.offset, d)
			}
		})
	}
	s := n.Stats()
	if s.DeadLetters[ReasonEmpty] != 2 || s.DeadLetters[ReasonBinary] != 3 || s.Records != 13 {
		t.Errorf("%+v", s)
	}
	for reason := range s.DeadLetters {
		if !strings.Contains(strings.Join(Reasons(), " "), reason) {
			t.Errorf("%s is not among the reasons", reason)
		}
	}
}

// After a dead letter the next record is read as if nothing had been.
func TestTheNextRecordGoesOn(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	e := event.New(n.schema)
	for _, bad := range []string{"", `{"a":"b`, `<13>Nov 24 10:00:00 h p: {"x":`, "\x00"} {
		if err := n.Normalize(record(bad), e, func(*event.Event) { t.Errorf("%q is an event", bad) }); err == nil {
			t.Errorf("%q is none", bad)
		}
		if err := n.Normalize(record("hello"), e, func(e *event.Event) {
			want := `{"@timestamp":"2026-11-24T10:00:00.000Z","event":{"dataset":"text","kind":"event","original":"hello"},"klaxon":{"id":"in-3-42-` + "mhwfrwg0" + `","tenant":"default"},"message":"hello"}`
			if got := string(e.AppendDocument(nil)); strings.Replace(got, e.ID.String(), "in-3-42-mhwfrwg0", 1) != want {
				t.Errorf("after %q:\n%s\n%s", bad, got, want)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestTimes(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	const hour = 3600 * 1000
	for name, c := range map[string]struct {
		record, event, want int64
		claimed             bool
		tag                 bool
	}{
		"as the event says":       {now, now - hour, now - hour, false, false},
		"none":                    {now, 0, now, false, false},
		"a little ahead":          {now, now + 5*60*1000, now + 5*60*1000, false, false},
		"ahead":                   {now, now + 5*60*1000 + 1, now, true, true},
		"a year ahead":            {now, now + 366*24*hour, now, true, true},
		"old":                     {now, now - 300*24*hour, now - 300*24*hour, false, false},
		"a year behind":           {now, now - 366*24*hour, now - 366*24*hour, false, true},
		"a record without a time": {0, now, now, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			line := `{"message":"x"}`
			if c.event != 0 {
				line = `{"@timestamp":"` + string(event.AppendTime(nil, c.event)) + `"}`
			}
			r := record(line)
			r.Time = c.record
			err := n.Normalize(r, event.New(n.schema), func(e *event.Event) {
				claimed := e.First(n.f.claimed)
				if e.Time != c.want || e.First(event.Timestamp).Int() != c.want || (claimed != nil) != c.claimed || (e.Text(event.Tags) == TagClockSkew) != c.tag || e.Received != c.record {
					t.Errorf("%s", e.AppendDocument(nil))
				}
				if claimed != nil && claimed.Int() != c.event {
					t.Errorf("%s", e.AppendDocument(nil))
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	if s := n.Stats(); s.Datasets[0].ClockSkew != 3 {
		t.Errorf("%+v", s)
	}
}

func TestInvalidUTF8IsKept(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	for _, line := range []string{"caf\xe9 au lait", "203.0.113.9 - - [24/Nov/2026:09:00:00 +0000] \"GET /\xff HTTP/1.1\" 200 5 \"-\" \"x\"", "{\"msg\":\"caf\xe9\"}"} {
		err := n.Normalize(record(line), event.New(n.schema), func(e *event.Event) {
			original, err := base64.StdEncoding.DecodeString(e.Text(n.f.base64))
			if err != nil || string(original) != line || e.Text(event.Tags) != TagInvalidUTF8 || e.Text(event.EventKind) != "event" {
				t.Errorf("%s", e.AppendDocument(nil))
			}
			if doc := e.AppendDocument(nil); !utf8.Valid(doc) || !json.Valid(doc) {
				t.Errorf("%q", doc)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestNulBytesAreMarked(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	docs, err := documents(t, n, record("a line with a \x00 in it"))
	if err != nil || !strings.Contains(docs[0], `"tags":["nul_bytes"]`) || !strings.Contains(docs[0], `\u0000`) {
		t.Errorf("%s %v", docs, err)
	}
}

// Whoever pads an event loses the padding, not what the rules look at.
func TestTooManyValues(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	many := func(v string) string { return "[" + strings.Repeat(v+",", 9000) + v + "]" }
	line := `{"tags":` + many(`"x"`) + `,"related":{"ip":` + many(`"198.51.100.7"`) + `,"user":` + many(`"x"`) + `},"user":{"name":"mallory","roles":` + many(`"x"`) + `},"host":{"ip":` +
		many(`"192.0.2.1"`) + `},"process":{"args":` + many(`"-v"`) + `},"dns":{"resolved_ip":` + many(`"192.0.2.2"`) + `},"observer":{"ip":` + many(`"192.0.2.3"`) + `},"threat":{"technique":{"id":` +
		many(`"T1"`) + `}},"email":{"to":{"address":` + many(`"a@b"`) + `}},"event":{"action":"login"},"source":{"ip":"203.0.113.9"},"x":1}`
	docs, err := documents(t, n, record(line))
	if err != nil || len(docs) != 1 {
		t.Fatal(err)
	}
	for _, want := range []string{`"kind":"event"`, `"too_many_values"]`, `"id":"in-3-42-`, `"dataset":"json"`, `"tenant":"default"`, `"action":"login"`, `"name":"mallory"`, `"ip":"203.0.113.9"`,
		`"203.0.113.9"]`, `"x","mallory"]`, `"json":{"x":1}`} {
		if !strings.Contains(docs[0], want) {
			t.Errorf("no %s in %.300s", want, docs[0])
		}
	}
	if s := n.Stats(); s.Datasets[0].TooManyValues != 1 || s.Datasets[0].PipelineErrors != 0 {
		t.Errorf("%+v", s)
	}
}

func TestStructuredData(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	docs, err := documents(t, n, record(`<165>1 2026-11-24T09:00:00Z web1 app - ID47 [e@1 a="x] \" y" a="z"][f b=""] hi`))
	if err != nil || !strings.Contains(docs[0], `"structured_data":{"e@1":{"a":"z"},"f":{"b":""}}`) {
		t.Errorf("%s %v", docs, err)
	}
}

// A document of a vendor, and the rest of any, cannot be made so that archives reject it.
func TestDuplicateKeysAreNotArchived(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	for line, want := range map[string]string{
		`{"x":1,"x":{"y":1,"y":1e999}}`: `"json":{"x":{"y":"1e999"}}`,
		`{"Records":[{"eventVersion":"1.08","eventSource":"iam.amazonaws.com","eventName":"CreateUser","requestParameters":{"a":1,"a":2}}]}`: `"requestParameters":{"a":2}`,
	} {
		docs, err := documents(t, n, record(line))
		if err != nil || len(docs) != 1 || !strings.Contains(docs[0], want) {
			t.Errorf("%s: %s %v", line, docs, err)
		}
	}
}

func TestIdsAreStable(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	for range 2 {
		var ids []string
		if err := n.Normalize(record(`[{"msg":"a"},{"msg":"b"},3]`), event.New(n.schema), func(e *event.Event) {
			ids = append(ids, e.Text(event.EventID))
			if e.Text(event.EventID) != e.ID.String() {
				t.Error(e.ID)
			}
		}); err != nil || len(ids) != 3 || ids[0] != (event.ID{Topic: "in", Partition: 3, Offset: 42, Time: now}).String() || ids[2] != ids[0]+"-2" {
			t.Errorf("%v %v", ids, err)
		}
	}
}

func TestTenants(t *testing.T) {
	set := shipped(t)
	header := func(v string) []event.Header { return []event.Header{{Key: "tenant", Value: []byte(v)}} }
	for name, c := range map[string]struct {
		rule    TenantRule
		topic   string
		headers []event.Header
		want    string
	}{
		"none":                   {TenantRule{}, "x", nil, "default"},
		"fixed":                  {TenantRule{Fixed: "acme"}, "x", nil, "acme"},
		"header":                 {TenantRule{Header: "tenant", Fixed: "f"}, "x", header("acme"), "acme"},
		"no header":              {TenantRule{Header: "tenant", Fixed: "f"}, "x", nil, "f"},
		"a header that is none":  {TenantRule{Header: "tenant", Fixed: "f"}, "x", header("../etc"), "f"},
		"topic":                  {TenantRule{Topic: "logs.{tenant}.*"}, "logs.acme.nginx.eu", nil, "acme"},
		"topic, end":             {TenantRule{Topic: "logs.*.{tenant}"}, "logs.nginx.acme", nil, "acme"},
		"topic, dash":            {TenantRule{Topic: "{tenant}-logs"}, "acme-logs", nil, "acme"},
		"another topic":          {TenantRule{Topic: "logs.{tenant}.*"}, "metrics.acme.x", nil, "default"},
		"a topic without it":     {TenantRule{Topic: "logs"}, "logs", nil, "default"},
		"field":                  {TenantRule{Field: "organization.id"}, "x", nil, "globex"},
		"header before the rest": {TenantRule{Header: "tenant", Topic: "{tenant}", Field: "organization.id"}, "t", header("h"), "h"},
		"topic before the field": {TenantRule{Header: "tenant", Topic: "{tenant}", Field: "organization.id"}, "t", nil, "t"},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewNormalizer(Options{Datasets: set, Tenant: c.rule})
			r := record(`{"organization":{"id":"globex"}}`)
			r.Source.Topic, r.Headers = c.topic, c.headers
			for range 2 {
				if err := n.Normalize(r, event.New(n.schema), func(e *event.Event) {
					if e.Tenant != c.want || e.Text(event.Tenant) != c.want {
						t.Errorf("%s, want %s", e.Tenant, c.want)
					}
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestCountriesAndRelated(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t), Country: enrich.Embedded{}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	docs, err := documents(t, n, record(`{"time":"2026-11-24T09:00:00Z","action":"login","outcome":"success","actor":"alice","source":{"ip":"203.0.113.9","forwarded_for":"2001:4860:4860::8888, 10.0.0.1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"client":{"geo":{"country_iso_code":"US"},"ip":"2001:4860:4860::8888"}`, `"forwarded_ip":["2001:4860:4860::8888","10.0.0.1"]`,
		`"related":{"ip":["2001:4860:4860::8888","10.0.0.1","203.0.113.9"],"user":["alice"]}`} {
		if !strings.Contains(docs[0], want) {
			t.Errorf("no %s in %s", want, docs[0])
		}
	}
	docs, err = documents(t, n, record(`{"source":{"ip":"8.8.8.8"},"destination":{"ip":"10.1.1.1"},"host":"web1","url":{"domain":"shop.example"}}`))
	if err != nil || !strings.Contains(docs[0], `"geo":{"country_iso_code":"US"}`) || !strings.Contains(docs[0], `"hosts":["web1","shop.example"]`) {
		t.Errorf("%s %v", docs, err)
	}
}

// own is a unit with everything that keeps events away from somebody.
var own = fstest.MapFS{"own.yaml": {Data: []byte(`
dataset: own
claim: {topic: own}
parse: [{pattern: '<event.action:word> <user.name:word> <url.query>;<message:rest>'}]
keep: {archive: 'event.action == "ping"'}
drop: [{when: 'event.action == "noise"', why: nobody reads them}]
redact: [url.query, user.name]
tests:
  - {line: 'noise a b;c', dropped: true}
  - {line: 'ping abcd efgh;ijkl', expect: {klaxon.keep: archive}}
`)}}

func TestKeepDropRedact(t *testing.T) {
	set := shipped(t, fs.FS(own))
	n := NewNormalizer(Options{Datasets: set})
	give := func(line string) []string {
		r := record(line)
		r.Source.Topic = "own"
		var out []string
		if err := n.Normalize(r, event.New(n.schema), func(e *event.Event) {
			out = append(out, string(e.AppendDocument(nil)))
			if n.ArchiveOnly(e) != strings.HasPrefix(line, "ping") {
				t.Error("kept from the evaluation")
			}
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := give("noise a b;c"); len(got) != 0 {
		t.Errorf("%s", got)
	}
	give("ping alice x=12345;y")
	for line, secrets := range map[string][]string{
		"get alice token=12345;the token=12345 of alice": {"alice", "token=12345"},
		"get bo x;short":   {"bo ", `"x"`},
		"get \xffab xyzw;": {"xyzw"},
	} {
		doc := give(line)[0]
		for _, s := range secrets {
			if strings.Contains(doc, s) {
				t.Errorf("%q is still in %s", s, doc)
			}
		}
		if strings.Contains(doc, "base64") {
			t.Errorf("the original's bytes are still there: %s", doc)
		}
	}
	s := n.Stats()
	if s.Redacted != 8 || s.Datasets[0].Dropped != 1 || s.Datasets[0].ArchiveOnly != 1 || s.Datasets[0].Events != 4 || s.Records != 5 {
		t.Errorf("%+v", s)
	}
	for _, r := range TestDatasets(Options{Datasets: set}) {
		if r.Dataset == "own" && len(r.Failures) > 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestDatasetTestsCanFail(t *testing.T) {
	set := shipped(t, fstest.MapFS{"f.yaml": {Data: []byte(`
dataset: failing
parse: [{pattern: '<message:word>'}]
tests:
  - {line: a, expect: {message: b}}
  - {line: a, expect: {message: null}}
  - {line: a, expect: [{message: a}, {message: a}]}
  - {line: a, dead_letter: empty}
  - {line: a, dropped: true}
  - {line: '', expect: {message: a}}
  - {line: '', dead_letter: binary}
`)}})
	n := 0
	for _, r := range TestDatasets(Options{Datasets: set}) {
		if r.Dataset == "failing" {
			n++
			if len(r.Failures) == 0 || r.Line == 0 || r.File != "f.yaml" {
				t.Errorf("%+v", r)
			}
		}
	}
	if n != 7 {
		t.Errorf("%d tests", n)
	}
}

func TestNormalizeAs(t *testing.T) {
	n := NewNormalizer(Options{Datasets: shipped(t)})
	if err := n.NormalizeAs("nope", record("x"), event.New(n.schema), nil); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Error(err)
	}
}

// Without any dataset everything is text, and nothing is lost.
func TestNoDatasets(t *testing.T) {
	s, err := event.NewSchema(datasets.BaseFields()...)
	if err != nil {
		t.Fatal(err)
	}
	set, list := datasets.Compile(nil, datasets.Options{Schema: s})
	if list.HasErrors() {
		t.Fatal(list)
	}
	n := NewNormalizer(Options{Datasets: set})
	for _, line := range []string{"hello", `{"a":1}`, `[{"a":1}]`, `{"a":`} {
		docs, err := documents(t, n, record(line))
		if err != nil || len(docs) != 1 || !strings.Contains(docs[0], `"dataset":"text"`) {
			t.Errorf("%s: %s %v", line, docs, err)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, line := range hotLine() {
		f.Add([]byte(line), "")
	}
	f.Add([]byte(`[{"msg":"a"},{"msg":"b"},3]`), "logs.nginx.x")
	f.Add([]byte(`<13>Nov 24 10:00:00 h sshd[1]: {"log":"x\n","stream":"stdout","time":"2026-10-10T13:55:36Z"}`), "logs.auth")
	f.Add([]byte(`{"Records":[{"eventVersion":"1"},[],null]}`), "cloudtrail")
	set := shipped(f)
	n := NewNormalizer(Options{Datasets: set, Country: enrich.Embedded{}})
	e := event.New(set.Schema())
	again := NewNormalizer(Options{Datasets: set, Country: enrich.Embedded{}})
	e2 := event.New(set.Schema())
	f.Fuzz(func(t *testing.T, value []byte, topic string) {
		rec := &event.Record{Source: event.Source{Topic: topic}, Offset: 7, Time: now, Value: value}
		before := string(value)
		var docs []string
		err := n.Normalize(rec, e, func(e *event.Event) {
			doc := e.AppendDocument(nil)
			if !json.Valid(doc) || !utf8.Valid(doc) {
				t.Fatalf("no JSON: %q", doc)
			}
			if e.Dataset == "" || e.Tenant == "" || !e.Has(event.Timestamp) || !e.Has(event.EventID) || !e.Has(event.Original) || !e.Has(event.EventKind) || e.Time > now+DefaultMaxSkew.Milliseconds() {
				t.Fatalf("incomplete: %s", doc)
			}
			docs = append(docs, string(doc))
		})
		if (err != nil) == (len(docs) > 0) {
			t.Fatalf("%d events and %v", len(docs), err)
		}
		if string(value) != before {
			t.Fatal("the record was written to")
		}
		i := 0
		if err2 := again.Normalize(rec, e2, func(e *event.Event) {
			if i >= len(docs) || string(e.AppendDocument(nil)) != docs[i] {
				t.Fatalf("another answer: %s", e.AppendDocument(nil))
			}
			i++
		}); (err2 == nil) != (err == nil) {
			t.Fatalf("%v and %v", err, err2)
		}
	})
}
