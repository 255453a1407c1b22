// Package elasticsearch archives documents and alerts in Elasticsearch, or OpenSearch. It writes bulk requests itself, through the
// official client's transport, and looks at every item of every answer: a document is stored, or rejected with a reason, and nothing
// is ever dropped.
//
// Documents go to plain indices named by dataset and date of record time, under an id that follows from the record: a replay meets its
// own document and is answered 409. Whoever writes must be allowed to `create_doc`, `create_index` and `auto_configure` on them,
// to `index` alerts, and to `manage_index_templates`.
//
// OpenSearch's flat_object cannot leave out long texts: there, a document is rejected if its vendor's payload holds a text of more than
// 32,766 bytes.
package elasticsearch

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	elastic "github.com/elastic/go-elasticsearch/v8"
	"github.com/klaxonhq/klaxon/event"
	"go.uber.org/zap"
)

// Config says where to write and how.
type Config struct {
	URLs []string // of the nodes, http or https, without user and password
	// Username and Password, or APIKey (the encoded form). Neither is ever part of an error or a log line.
	Username, Password, APIKey string
	CAFile                     string // PEM; "": the system's authorities

	Prefix  string            // of the names of indices, templates and aliases; "": klaxon
	Periods map[string]Period // by dataset; what is not named is daily
	// Retention is how long indices are kept: records dated further back go to the undated index, as do those dated more than a day
	// ahead. 0: for ever.
	Retention        time.Duration
	Shards, Replicas int // of every index; Shards 0: 1

	Concurrency      int           // bulk requests at a time in one Flush; 0: 2
	MaxBodyBytes     int           // of a bulk request before compression; 0: 8 MiB. One document may be larger.
	MaxDocumentBytes int           // what is larger is rejected; 0: 8 MiB
	Timeout          time.Duration // of one request; 0: one minute
	Pauses           Pauses
	Now              func() time.Time // nil: time.Now
	Log              *zap.Logger      // nil: nothing is logged
}

// Pauses between tries: they double from First to Max, each with up to a half more by chance. Slow is the pause where somebody has to
// do something first: grant a privilege, or raise a limit. Zero values: 100 ms, 30 s, 30 s.
type Pauses struct{ First, Max, Slow time.Duration }

const (
	defaultPrefix      = "klaxon"
	defaultConcurrency = 2
	defaultBodyBytes   = 8 << 20
	defaultTimeout     = time.Minute
	maxAhead           = 24 * time.Hour // that a record may be dated before its index is the undated one
)

// Client is an Elasticsearch to write to. It is safe for concurrent use.
type Client struct {
	cfg   Config
	base  *elastic.BaseClient
	each  []*elastic.BaseClient // one a URL, for Check
	log   *zap.Logger
	stats counters
	told  told
}

// counters is Stats while it is written.
type counters struct {
	requests, failures, stored, present, retried, rejected, splits, bytes, alerts atomic.Int64
}

// Stats counts what all sinks of a client did.
type Stats struct {
	Requests int64 // bulk requests sent
	Failures int64 // bulk requests that were not answered with 200
	Stored   int64 // documents
	Present  int64 // documents that were there already
	Retried  int64 // documents that were sent once more
	Rejected int64 // documents
	Splits   int64 // bulk requests that were cut in halves
	Bytes    int64 // sent, compressed
	Alerts   int64 // revisions of alerts stored
}

// Stats is what happened since New.
func (c *Client) Stats() Stats {
	s := &c.stats
	return Stats{Requests: s.requests.Load(), Failures: s.failures.Load(), Stored: s.stored.Load(), Present: s.present.Load(), Retried: s.retried.Load(),
		Rejected: s.rejected.Load(), Splits: s.splits.Load(), Bytes: s.bytes.Load(), Alerts: s.alerts.Load()}
}

// New makes a client. It does not talk to the server: see Check and Prepare.
func New(cfg Config) (*Client, error) {
	cfg.fill()
	if len(cfg.URLs) == 0 {
		return nil, errors.New("no address of Elasticsearch is given")
	}
	for _, u := range cfg.URLs {
		p, err := url.Parse(u)
		if err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
			return nil, errors.New("an address of Elasticsearch is none: write it as https://elastic.example:9200") // it may hold a password: not shown
		}
		if p.User != nil {
			return nil, fmt.Errorf("the address %s holds a password: give user and password, or an API key, apart from it", p.Redacted())
		}
	}
	if !validPrefix(cfg.Prefix) {
		return nil, fmt.Errorf("%q cannot begin an index's name: use lower-case letters, digits, dashes and dots, a letter first", cfg.Prefix)
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, log: cfg.Log}
	ec := elastic.Config{Username: cfg.Username, Password: cfg.Password, APIKey: cfg.APIKey, DisableRetry: true, DisableMetaHeader: true, Transport: transport}
	for _, u := range cfg.URLs {
		ec.Addresses = []string{u}
		one, err := elastic.NewBaseClient(ec)
		if err != nil {
			return nil, fmt.Errorf("cannot make a client of Elasticsearch: %w", err)
		}
		c.each = append(c.each, one)
	}
	ec.Addresses = cfg.URLs
	if c.base, err = elastic.NewBaseClient(ec); err != nil {
		return nil, fmt.Errorf("cannot make a client of Elasticsearch: %w", err)
	}
	return c, nil
}

func (cfg *Config) fill() {
	cfg.URLs = slices.Clone(cfg.URLs)
	for i, u := range cfg.URLs {
		cfg.URLs[i] = strings.TrimRight(u, "/")
	}
	orElse(&cfg.Prefix, defaultPrefix)
	orElse(&cfg.Shards, 1)
	orElse(&cfg.Concurrency, defaultConcurrency)
	orElse(&cfg.MaxBodyBytes, defaultBodyBytes)
	orElse(&cfg.MaxDocumentBytes, defaultBodyBytes)
	orElse(&cfg.Timeout, defaultTimeout)
	orElse(&cfg.Pauses.First, 100*time.Millisecond)
	orElse(&cfg.Pauses.Max, 30*time.Second)
	orElse(&cfg.Pauses.Slow, 30*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
}

func orElse[T comparable](to *T, otherwise T) {
	var zero T
	if *to == zero {
		*to = otherwise
	}
}

func validPrefix(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789.-", r)) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 64
}

// told remembers what was logged, so that a cluster that refuses for hours does not fill the log.
type told struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// tellEvery is how often the same trouble is logged.
const tellEvery = 30 * time.Second

// tell logs that writing is held up, at most every half minute for each kind of trouble.
func (c *Client) tell(kind, message string, fields ...zap.Field) {
	now := c.cfg.Now()
	c.told.mu.Lock()
	defer c.told.mu.Unlock()
	if last, ok := c.told.last[kind]; ok && now.Sub(last) < tellEvery {
		return
	}
	if c.told.last == nil || len(c.told.last) > 100 {
		c.told.last = map[string]time.Time{}
	}
	c.told.last[kind] = now
	c.log.Warn(message, fields...)
}

// Rejections of documents, by reason.
const (
	ReasonTooLarge     = "too_large"     // larger than the limit, or than the server takes
	ReasonIDTooLong    = "id_too_long"   // the server takes ids of at most 512 bytes
	ReasonNotAnObject  = "not_an_object" // not one JSON object on one line
	ReasonMapping      = "mapping"       // a field has another type than the index gives it
	ReasonRejected     = "rejected"      // the server refuses the document for good
	ReasonRefused      = "refused"       // the server refused the document, and no other, for a long time
	ReasonFailureStore = "failure_store" // the server put the document aside instead of into its index
)

func rejection(id event.ID, reason, detail string) event.Rejection {
	id.Topic = strings.Clone(id.Topic)
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	return event.Rejection{ID: id, Reason: reason, Detail: detail}
}

const maxDetail = 1000
