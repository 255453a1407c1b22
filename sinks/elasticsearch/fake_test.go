package elasticsearch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klaxonhq/klaxon/event"
)

// fake is a server that takes bulk requests as Elasticsearch does, and misbehaves where a test says so.
type fake struct {
	*httptest.Server
	t testing.TB

	mu       sync.Mutex
	docs     map[string]string // by index/id
	versions map[string]int64
	requests int
	most     int // bytes of the largest request, decompressed

	// before is asked when a request has come, after when its items were carried out. They answer true if they have answered
	// the request themselves. Both may be nil.
	before, after func(w http.ResponseWriter, r *http.Request, b *bulk) bool
	// item is asked for each item; an answer is given instead of carrying it out.
	item func(b *bulk, a *action) *string
}

// bulk is a request.
type bulk struct {
	number  int // from 1
	bytes   int // decompressed
	actions []action
}

func (b *bulk) has(offset string) bool {
	for _, a := range b.actions {
		if strings.Contains(a.id, "-"+offset+"-") {
			return true
		}
	}
	return false
}

type action struct {
	op, index, id string
	version       int64
	doc           string
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, docs: map[string]string{}, versions: map[string]int64{}}
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = nullLog()
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_cluster/health" {
		answerJSON(w, 200, `{"status":"green"}`)
		return
	}
	f.mu.Lock()
	f.requests++
	b := &bulk{number: f.requests}
	f.mu.Unlock()
	if f.before != nil && f.before(w, r, b) { // without having read the body
		return
	}
	f.read(r, b)
	if f.after == nil || !f.after(w, r, b) {
		answerJSON(w, 200, f.carryOut(b))
	}
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(productHeader, product)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// read reads a request, and complains of what a server would not take.
func (f *fake) read(r *http.Request, b *bulk) {
	if r.Method != "POST" || r.URL.Path != "/_bulk" || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Content-Encoding") != "gzip" || r.URL.Query().Get("filter_path") == "" {
		f.t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		f.t.Error(err)
		return
	}
	body, err := io.ReadAll(z)
	if err != nil || len(body) == 0 || body[len(body)-1] != '\n' {
		f.t.Errorf("a body of %d bytes without a line end: %v", len(body), err)
	}
	b.bytes = len(body)
	f.mu.Lock()
	f.most = max(f.most, len(body))
	f.mu.Unlock()
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, len(body)+1)
	for lines.Scan() {
		var head map[string]struct {
			Index       string `json:"_index"`
			ID          string `json:"_id"`
			Version     int64  `json:"version"`
			VersionType string `json:"version_type"`
		}
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil || len(head) != 1 {
			f.t.Errorf("action %s: %v", lines.Bytes(), err)
			return
		}
		if !lines.Scan() {
			f.t.Error("an action without a document")
			return
		}
		for op, h := range head {
			if h.ID == "" || len(h.ID) > 512 || op == "index" && h.VersionType != "external" {
				f.t.Errorf("%s: %+v", op, h)
			}
			b.actions = append(b.actions, action{op, h.Index, h.ID, h.Version, lines.Text()})
		}
	}
}

// carryOut does what the request says and answers it.
func (f *fake) carryOut(b *bulk) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var items []string
	for i := range b.actions {
		a := &b.actions[i]
		if f.item != nil {
			if answer := f.item(b, a); answer != nil {
				items = append(items, fmt.Sprintf(`{%q:%s}`, a.op, *answer))
				continue
			}
		}
		key := a.index + "/" + a.id
		_, exists := f.docs[key]
		if exists && (a.op == "create" || a.version <= f.versions[key]) {
			items = append(items, fmt.Sprintf(`{%q:{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[%s]: version conflict"}}}`, a.op, a.id))
			continue
		}
		f.docs[key], f.versions[key] = a.doc, a.version
		items = append(items, fmt.Sprintf(`{%q:{"status":201}}`, a.op))
	}
	return `{"errors":false,"items":[` + strings.Join(items, ",") + `]}`
}

func itemError(status int, kind, reason string) *string {
	s := fmt.Sprintf(`{"status":%d,"error":{"type":%q,"reason":%q}}`, status, kind, reason)
	return &s
}

func wholeError(w http.ResponseWriter, status int, kind, reason string) bool {
	answerJSON(w, status, fmt.Sprintf(`{"error":{"root_cause":[{"type":%q,"reason":%q}],"type":%q,"reason":%q},"status":%d}`, kind, reason, kind, reason, status))
	return true
}

// hangUp closes the connection without an answer.
func hangUp(t testing.TB, w http.ResponseWriter) bool {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return true
	}
	c.Close()
	return true
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func (f *fake) client(change func(*Config)) *Client {
	f.t.Helper()
	cfg := Config{URLs: []string{f.URL}, Now: func() time.Time { return noon }, Timeout: 2 * time.Second,
		Pauses: Pauses{First: 500 * time.Microsecond, Max: 2 * time.Millisecond, Slow: 2 * time.Millisecond}}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func documentAt(offset int64, received time.Time, extra string) *event.Document {
	id := event.ID{Topic: "logs", Partition: 1, Offset: offset, Time: received.UnixMilli()}
	return &event.Document{ID: id, Dataset: "nginx.access", Tenant: "acme", Received: received.UnixMilli(), Time: received.UnixMilli(),
		Body: []byte(fmt.Sprintf(`{"event":{"original":"line %d%s"}}`, offset, extra))}
}

func newDocument(offset int64) *event.Document { return documentAt(offset, noon, "") }

// nullLog is where a test server complains of connections that a test has broken.
func nullLog() *log.Logger { return log.New(io.Discard, "", 0) }
