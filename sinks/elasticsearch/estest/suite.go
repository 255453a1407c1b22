// Package estest is what every Elasticsearch, and every OpenSearch, has to do for sinks/elasticsearch. It is run against real servers.
package estest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/sinks/elasticsearch"
)

// day is the day of most records of the suite, Unix milliseconds.
var day = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// Suite runs the tests against the server at an address, http://host:port, which lets anybody in. It makes indices and templates of its
// own and removes them.
func Suite(t *testing.T, url string) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *server)
	}{
		{"check", testCheck},
		{"replays store nothing twice", testReplay},
		{"two writers of the same documents", testTwoWriters},
		{"mappings", testMappings},
		{"documents that do not fit are rejected", testRejected},
		{"search", testSearch},
		{"indices", testIndices},
		{"a block is waited for", testBlock},
		{"many small requests", testManyRequests},
		{"alerts", testAlerts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, connect(t, url)) })
	}
}

// client makes a client whose names nobody else has.
func (s *server) client(change func(*elasticsearch.Config)) *elasticsearch.Client {
	s.t.Helper()
	cfg := elasticsearch.Config{URLs: []string{s.url}, Prefix: s.prefix, Now: func() time.Time { return day },
		Pauses: elasticsearch.Pauses{First: 20 * time.Millisecond, Max: 200 * time.Millisecond, Slow: 200 * time.Millisecond}}
	if change != nil {
		change(&cfg)
	}
	c, err := elasticsearch.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// prepared is client, with its templates in place.
func (s *server) prepared(change func(*elasticsearch.Config)) *elasticsearch.Client {
	s.t.Helper()
	c := s.client(change)
	leftOut, err := c.Prepare(s.t.Context(), fields())
	if err != nil {
		s.t.Fatal(err)
	}
	if len(leftOut) > 0 {
		s.t.Logf("the server cannot do: %s", strings.Join(leftOut, ", "))
	}
	return c
}

func fields() []event.Field {
	return append(ecs.Fields(), event.Field{Name: "aws.cloudtrail", Type: event.Object}, event.Field{Name: "aws.cloudtrail.eventName", Type: event.Untyped})
}

// document is a document of the dataset nginx.access.
func document(offset int64, at time.Time, members string) *event.Document {
	return documentOf("nginx.access", offset, at, members)
}

func documentOf(dataset string, offset int64, at time.Time, members string) *event.Document {
	id := event.ID{Topic: "logs", Partition: 3, Offset: offset, Time: at.UnixMilli()}
	if members != "" {
		members = "," + members
	}
	body := fmt.Sprintf(`{"@timestamp":%q,"event":{"dataset":%q,"original":"line %d","kind":"event"},"klaxon":{"id":%q,"tenant":"acme"}%s}`,
		at.Format("2006-01-02T15:04:05.000Z"), dataset, offset, id, members)
	return &event.Document{ID: id, Dataset: dataset, Tenant: "acme", Received: at.UnixMilli(), Time: at.UnixMilli(), Body: []byte(body)}
}

func flush(t *testing.T, s *elasticsearch.Sink, docs ...*event.Document) []event.Rejection {
	t.Helper()
	for _, d := range docs {
		s.Add(d)
	}
	rejected, err := s.Flush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rejected
}

func numbered(n int) []*event.Document {
	docs := make([]*event.Document, n)
	for i := range docs {
		docs[i] = document(int64(i), day, "")
	}
	return docs
}

func testCheck(t *testing.T, s *server) {
	if err := s.client(nil).Check(t.Context()); err != nil {
		t.Error(err)
	}
	s.prepared(nil)
	s.prepared(nil) // as every start does
}

func testReplay(t *testing.T, s *server) {
	c := s.prepared(nil)
	docs := numbered(500)
	for range 2 {
		if rejected := flush(t, c.NewSink(), docs...); len(rejected) > 0 {
			t.Errorf("rejected: %v", rejected)
		}
	}
	flush(t, c.NewSink(), append(numbered(100), document(1000, day, ""))...)
	if st := c.Stats(); st.Stored != 501 || st.Present != 600 || st.Rejected != 0 {
		t.Errorf("%+v", st)
	}
	s.wantCount("klaxon.tenant", "acme", 501)
}

func testTwoWriters(t *testing.T, s *server) {
	c := s.prepared(nil)
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			sink := c.NewSink()
			for part := range slices.Chunk(numbered(600), 37) {
				flush(t, sink, part...)
			}
		})
	}
	writers.Wait()
	if st := c.Stats(); st.Stored != 600 || st.Present != 600 {
		t.Errorf("%+v", st)
	}
	s.wantCount("klaxon.tenant", "acme", 600)
}

func testMappings(t *testing.T, s *server) {
	c := s.prepared(nil)
	flush(t, c.NewSink(), document(1, day, `"unheard":{"of":[1,{"x":"y"}]},"message":"hello"`))
	index := s.prefix + "-nginx.access-2026.11.24"
	for field, want := range map[string]string{"source.ip": "ip", "@timestamp": "date", "user.name": "keyword", "http.response.status_code": "long", "event.original": "keyword", "klaxon.id": "keyword"} {
		if got := s.fieldType(index, field); got != want {
			t.Errorf("%s is of type %q, want %q", field, got, want)
		}
	}
	if got := s.fieldType(index, "message"); got != "match_only_text" && got != "text" {
		t.Errorf("message is of type %q", got)
	}
	if got := s.fieldType(index, "unheard.of"); got != "" {
		t.Errorf("a field that nobody knows was mapped as %q", got)
	}
}

func testRejected(t *testing.T, s *server) {
	c := s.prepared(func(cfg *elasticsearch.Config) { cfg.MaxDocumentBytes = 10_000 })
	rejected := flush(t, c.NewSink(), document(1, day, ""), document(2, day, `"source":"a text where an object belongs"`), document(3, day, ""),
		document(4, day, `"message":"`+strings.Repeat("x", 10_000)+`"`),
		&event.Document{ID: event.ID{Topic: "logs", Offset: 5}, Dataset: "nginx.access", Received: day.UnixMilli(), Body: []byte(`{"broken":}`)},
		document(6, day, ""))
	got := map[int64]string{}
	for _, r := range rejected {
		got[r.ID.Offset] = r.Reason
	}
	want := map[int64]string{2: elasticsearch.ReasonMapping, 4: elasticsearch.ReasonTooLarge, 5: got[5]}
	if len(got) != 3 || got[2] != want[2] || got[4] != want[4] || got[5] == "" {
		t.Errorf("rejected: %v", rejected)
	}
	s.wantCount("klaxon.tenant", "acme", 3)
}

func testSearch(t *testing.T, s *server) {
	c := s.prepared(nil)
	leftOut, err := c.Prepare(t.Context(), fields())
	if err != nil {
		t.Fatal(err)
	}
	flush(t, c.NewSink(),
		document(1, day, `"source":{"ip":"192.0.2.17"},"message":"a quick brown fox"`),
		document(2, day, `"source":{"ip":"198.51.100.4"},"user":{"name":"`+strings.Repeat("x", 5000)+`"}`),
		document(3, day, `"source":{"ip":"2001:db8::17"},"aws":{"cloudtrail":{"eventName":"ConsoleLogin","deep":{"deeper":["a",7]}}}`))
	s.wantCount("source.ip", "192.0.2.0/24", 1)
	s.wantCount("source.ip", "2001:db8::/32", 1)
	s.wantCount("source.ip", "0.0.0.0/0", 2)
	s.wantMatch("message", "brown quick", 1)
	if !strings.Contains(strings.Join(leftOut, " "), "payloads") {
		s.wantCount("aws.cloudtrail.eventName", "ConsoleLogin", 1)
		s.wantCount("aws.cloudtrail.deep.deeper", "a", 1)
	}
}

func testIndices(t *testing.T, s *server) {
	c := s.prepared(func(cfg *elasticsearch.Config) {
		cfg.Retention = 30 * 24 * time.Hour
		cfg.Periods = map[string]elasticsearch.Period{"audit": elasticsearch.Monthly, "auth": elasticsearch.Weekly}
	})
	flush(t, c.NewSink(), document(1, day, ""), documentOf("audit", 2, day, ""), documentOf("auth", 3, day, ""), documentOf("Our *Own* Dataset/ü", 4, day, ""),
		document(5, day.AddDate(0, 0, -31), ""), document(6, day.AddDate(1, 0, 0), ""), document(7, day.AddDate(0, 0, -29), ""), document(8, time.UnixMilli(-5), ""))
	want := []string{"-audit-2026.11", "-auth-2026.w48", "-nginx.access-2026.10.26", "-nginx.access-2026.11.24", "-our__own__dataset___-2026.11.24", "-undated"}
	got := s.indices()
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], s.prefix)
	}
	if !slices.Equal(got, want) {
		t.Errorf("indices %v, want %v", got, want)
	}
	s.wantCount("klaxon.tenant", "acme", 8)
}

func testBlock(t *testing.T, s *server) {
	c := s.prepared(nil)
	flush(t, c.NewSink(), document(1, day, ""))
	index := s.prefix + "-nginx.access-2026.11.24"
	for _, block := range []string{"write", "read_only_allow_delete"} {
		s.must("PUT", "/"+index+"/_settings", `{"index.blocks.`+block+`":true}`)
		before := c.Stats().Retried
		opened := make(chan bool)
		go func() {
			defer close(opened)
			for deadline := time.Now().Add(20 * time.Second); c.Stats().Retried < before+3 && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			s.must("PUT", "/"+index+"/_settings", `{"index.blocks.`+block+`":null}`)
		}()
		n := int64(len(block))
		if rejected := flush(t, c.NewSink(), document(n, day, ""), documentOf("json", n, day, "")); len(rejected) > 0 {
			t.Errorf("%s: rejected: %v", block, rejected)
		}
		<-opened
		if c.Stats().Retried < before+3 {
			t.Errorf("%s: nothing was refused", block)
		}
	}
	s.wantCount("klaxon.tenant", "acme", 5)
}

func testManyRequests(t *testing.T, s *server) {
	c := s.prepared(func(cfg *elasticsearch.Config) { cfg.MaxBodyBytes, cfg.Concurrency = 10_000, 4 })
	flush(t, c.NewSink(), numbered(2000)...)
	if st := c.Stats(); st.Stored != 2000 || st.Requests < 40 {
		t.Errorf("%+v", st)
	}
	s.wantCount("klaxon.tenant", "acme", 2000)
}

func testAlerts(t *testing.T, s *server) {
	c := s.prepared(nil)
	revision := func(n int64) *alert.Alert {
		return &alert.Alert{ID: "a1", Revision: n, Tenant: "acme", Severity: alert.High, Title: fmt.Sprint("revision ", n), Time: day.UnixMilli(),
			First: day.UnixMilli(), Last: day.UnixMilli(), Count: n, Rule: alert.Rule{ID: "r1", Title: "Rule", Mode: alert.Live},
			Key:    []alert.Field{{Name: "source.ip", Values: []string{"192.0.2.17"}}},
			Fields: []alert.Field{{Name: "user.name", Values: []string{"alice"}, More: 2}},
			Events: []alert.Event{{ID: "logs-3-1-x", Time: day.UnixMilli()}}}
	}
	for _, batch := range [][]*alert.Alert{{revision(1), revision(2)}, {revision(5)}, {revision(3), revision(5), revision(4)}} {
		if err := c.PutAlerts(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	other := revision(1)
	other.ID = "a2"
	if err := c.PutAlerts(t.Context(), []*alert.Alert{other}); err != nil {
		t.Fatal(err)
	}
	s.refresh()
	if got := s.source(s.prefix+"-alerts", "a1"); !strings.Contains(got, `"revision":5`) {
		t.Errorf("the alert is %s", got)
	}
	for field, want := range map[string]string{"klaxon.alert.revision": "long", "source.ip": "ip", "kibana.alert.uuid": "keyword"} {
		if got := s.fieldType(s.prefix+"-alerts", field); got != want {
			t.Errorf("%s is of type %q, want %q", field, got, want)
		}
	}
	if got := s.indices(); !slices.Equal(got, []string{s.prefix + "-alerts"}) {
		t.Errorf("indices %v", got)
	}
}
