package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/event"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

// offsetsOf is the offsets of the documents that the server has, sorted. A document that is there under two indices is there twice.
func (f *fake) offsetsOf() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []int64
	for key, doc := range f.docs {
		var partition, offset int64
		var rest string
		_, id, _ := strings.Cut(key, "/")
		if n, _ := fmt.Sscanf(id, "logs-%d-%d-%s", &partition, &offset, &rest); n != 3 || !strings.Contains(doc, fmt.Sprintf("line %d", offset)) {
			f.t.Errorf("%s holds %s", key, doc)
		}
		out = append(out, offset)
	}
	slices.Sort(out)
	return out
}

func upTo(n int64, but ...int64) []int64 {
	var out []int64
	for i := range n {
		if !slices.Contains(but, i) {
			out = append(out, i)
		}
	}
	return out
}

// first makes a server misbehave for so many requests.
func first(n int, do func(w http.ResponseWriter) bool) func(http.ResponseWriter, *http.Request, *bulk) bool {
	return func(w http.ResponseWriter, _ *http.Request, b *bulk) bool { return b.number <= n && do(w) }
}

func refuse(status int, kind, reason string) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool { return wholeError(w, status, kind, reason) }
}

const overTheLimit = "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, coordinating_operation_bytes=%d, max_coordinating_and_primary_bytes=900]"

// Every status and every failure that servers were seen to answer with: no document is lost, and none is there twice.
func TestFlush(t *testing.T) {
	poison := func(kind int) func(b *bulk, a *action) *string {
		return func(_ *bulk, a *action) *string {
			if !strings.Contains(a.id, "-7-") {
				return nil
			}
			switch kind {
			case 0:
				return itemError(400, "document_parsing_exception", "[1:2] failed to parse field [a] of type [long]")
			case 1:
				return itemError(400, "mapper_parsing_exception", "failed to parse")
			case 2:
				return itemError(400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded")
			case 3:
				return itemError(500, "null_pointer_exception", "")
			case 4:
				s := `{"status":201,"failure_store":"used"}`
				return &s
			}
			return itemError(413, "", "")
		}
	}
	firstItems := func(n int, answer *string) func(*bulk, *action) *string {
		return func(b *bulk, a *action) *string {
			if b.number <= n && a.id[len("logs-1-")]%2 == 1 {
				return answer
			}
			return nil
		}
	}
	notFor7 := func(do func(w http.ResponseWriter) bool) func(http.ResponseWriter, *http.Request, *bulk) bool {
		return func(w http.ResponseWriter, _ *http.Request, b *bulk) bool { return b.has("7") && do(w) }
	}
	tests := []struct {
		name     string
		set      func(f *fake)
		rejected string // the reason of document 7
	}{
		{"fine", func(*fake) {}, ""},
		{"a busy server: 429 for the request", func(f *fake) {
			f.after = first(4, refuse(429, "es_rejected_execution_exception", "rejected execution of coordinating operation"))
		}, ""},
		{"429 for some items", func(f *fake) {
			f.item = firstItems(5, itemError(429, "es_rejected_execution_exception", "rejected execution of TimedRunnable"))
		}, ""},
		{"429 for ever, for what is large", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				return b.bytes > 900 && wholeError(w, 429, "es_rejected_execution_exception", "too much")
			}
		}, ""},
		{"429 that says that the request is too large", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				return b.bytes > 900 && wholeError(w, 429, "es_rejected_execution_exception", fmt.Sprintf(overTheLimit, b.bytes))
			}
		}, ""},
		{"429 that says that one document is too large", func(f *fake) {
			f.after = notFor7(refuse(429, "es_rejected_execution_exception", fmt.Sprintf(overTheLimit, 901)))
		}, ReasonTooLarge},
		{"413 with an empty body", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				if b.bytes > 900 {
					w.WriteHeader(413)
				}
				return b.bytes > 900
			}
		}, ""},
		{"413 for one document", func(f *fake) {
			f.after = notFor7(func(w http.ResponseWriter) bool { w.WriteHeader(413); return true })
		}, ReasonTooLarge},
		{"413 for an item", func(f *fake) { f.item = poison(5) }, ReasonTooLarge},
		{"400 for the request because of one document", func(f *fake) {
			f.after = notFor7(refuse(400, "illegal_argument_exception", "Malformed action/metadata line"))
		}, ReasonRejected},
		{"mapping error", func(f *fake) { f.item = poison(0) }, ReasonMapping},
		{"mapping error of OpenSearch", func(f *fake) { f.item = poison(1) }, ReasonMapping},
		{"another error of a document", func(f *fake) { f.item = poison(2) }, ReasonRejected},
		{"500 for one item, for ever", func(f *fake) { f.item = poison(3) }, ReasonRefused},
		{"put into the failure store", func(f *fake) { f.item = poison(4) }, ReasonFailureStore},
		{"500 for every request that holds one document", func(f *fake) { f.after = notFor7(refuse(500, "", "")) }, ReasonRefused},
		{"hangs up on one document", func(f *fake) {
			f.after = notFor7(func(w http.ResponseWriter) bool { return hangUp(f.t, w) })
		}, ReasonRefused},
		{"a starting server: 503 for items", func(f *fake) {
			f.item = firstItems(9, itemError(503, "unavailable_shards_exception", "primary shard is not active"))
		}, ""},
		{"503", func(f *fake) { f.after = first(9, refuse(503, "", "")) }, ""},
		{"a proxy's 502", func(f *fake) {
			f.after = first(9, func(w http.ResponseWriter) bool {
				http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
				return true
			})
		}, ""},
		{"500 for a while", func(f *fake) { f.after = first(3, refuse(500, "x", "y")) }, ""},
		{"a block of an index: 403", func(f *fake) {
			f.item = firstItems(20, itemError(403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"))
		}, ""},
		{"a full disk: 429", func(f *fake) {
			f.item = firstItems(20, itemError(429, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];"))
		}, ""},
		{"a block of the cluster: 403 for the request", func(f *fake) {
			f.after = first(20, refuse(403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"))
		}, ""},
		{"a privilege is missing, for items", func(f *fake) {
			f.item = firstItems(20, itemError(403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized"))
		}, ""},
		{"a privilege is missing, for the request", func(f *fake) { f.after = first(20, refuse(403, "security_exception", "unauthorized")) }, ""},
		{"a wrong password for a while", func(f *fake) { f.after = first(20, refuse(401, "security_exception", "unable to authenticate")) }, ""},
		{"no more shards may be made", func(f *fake) {
			f.item = firstItems(20, itemError(400, "validation_exception", "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;"))
		}, ""},
		{"a closed index", func(f *fake) { f.item = firstItems(20, itemError(400, "index_closed_exception", "closed")) }, ""},
		{"indices may not be made", func(f *fake) { f.item = firstItems(20, itemError(404, "index_not_found_exception", "no such index")) }, ""},
		{"moved", func(f *fake) {
			f.after = first(4, func(w http.ResponseWriter) bool { w.WriteHeader(301); return true })
		}, ""},
		{"too few items", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				if b.number > 3 {
					return false
				}
				f.carryOut(b)
				answerJSON(w, 200, `{"errors":false,"items":[{"create":{"status":201}}]}`)
				return true
			}
		}, ""},
		{"garbage with 200, after storing", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				if b.number > 3 {
					return false
				}
				f.carryOut(b)
				answerJSON(w, 200, [...]string{"", "<html>", `{"took":3}`}[b.number-1])
				return true
			}
		}, ""},
		{"half an answer, after storing", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				if b.number > 3 {
					return false
				}
				all := f.carryOut(b)
				w.Header().Set("Content-Length", fmt.Sprint(len(all)))
				answerJSON(w, 200, all[:len(all)/2])
				return hangUp(f.t, w)
			}
		}, ""},
		{"hangs up after storing", func(f *fake) {
			f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
				if b.number <= 3 {
					f.carryOut(b)
				}
				return b.number <= 3 && hangUp(f.t, w)
			}
		}, ""},
		{"hangs up before reading", func(f *fake) {
			f.before = first(3, func(w http.ResponseWriter) bool { return hangUp(f.t, w) })
		}, ""},
		{"answers before reading", func(f *fake) { f.before = first(3, refuse(429, "es_rejected_execution_exception", "no")) }, ""},
		{"answers too late, after storing", func(f *fake) {
			f.after = func(_ http.ResponseWriter, r *http.Request, b *bulk) bool {
				if b.number == 1 {
					f.carryOut(b)
					<-r.Context().Done()
				}
				return b.number == 1
			}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			tt.set(f)
			c := f.client(func(cfg *Config) { cfg.MaxBodyBytes, cfg.Timeout = 3000, 300*time.Millisecond })
			s := c.NewSink()
			for i := range int64(60) {
				s.Add(newDocument(i))
			}
			rejected, err := s.Flush(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := upTo(60)
			if tt.rejected != "" {
				want = upTo(60, 7)
				if len(rejected) != 1 || rejected[0].ID != newDocument(7).ID || rejected[0].Reason != tt.rejected {
					t.Errorf("rejected %v, want document 7: %s", rejected, tt.rejected)
				}
			} else if len(rejected) > 0 {
				t.Errorf("rejected %v", rejected)
			}
			if got := f.offsetsOf(); !slices.Equal(got, want) {
				t.Errorf("stored %v", got)
			}
			st := c.Stats()
			if st.Stored+st.Present != int64(len(want)) || st.Rejected != int64(len(rejected)) {
				t.Errorf("%+v", st)
			}
			if docs, bytes := s.Size(); docs != 0 || bytes != 0 {
				t.Errorf("%d documents, %d bytes are left", docs, bytes)
			}
		})
	}
}

// Whatever happens in whatever order, if not so often that a document is given up: each is stored once.
func TestFlushChaos(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFake(t)
		troubles := rapid.SliceOfN(rapid.IntRange(0, 9), 0, giveUpAfter).Draw(r, "troubles")
		trouble := func(b *bulk) int {
			if b.number <= len(troubles) {
				return troubles[b.number-1]
			}
			return -1
		}
		f.before = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
			return trouble(b) == 0 && hangUp(t, w) || trouble(b) == 1 && wholeError(w, 429, "es_rejected_execution_exception", "")
		}
		f.item = func(b *bulk, a *action) *string {
			switch odd := a.id[len("logs-1-")]%2 == 1; {
			case trouble(b) == 2 && odd:
				return itemError(429, "es_rejected_execution_exception", "")
			case trouble(b) == 3 && !odd:
				return itemError(503, "unavailable_shards_exception", "")
			case trouble(b) == 4 && odd:
				return itemError(403, "security_exception", "")
			}
			return nil
		}
		f.after = func(w http.ResponseWriter, _ *http.Request, b *bulk) bool {
			switch trouble(b) {
			case 5:
				f.carryOut(b)
				return hangUp(t, w)
			case 6:
				f.carryOut(b)
				answerJSON(w, 200, `{"items":[]}`)
			case 7:
				if len(b.actions) == 1 { // one document is never too large here
					return false
				}
				w.WriteHeader(413)
			case 8:
				return wholeError(w, 503, "", "")
			default:
				return false
			}
			return true
		}
		c := f.client(func(cfg *Config) {
			cfg.MaxBodyBytes, cfg.Concurrency = rapid.IntRange(1, 5000).Draw(r, "body"), rapid.IntRange(1, 3).Draw(r, "requests")
			cfg.Pauses = Pauses{First: time.Microsecond, Max: time.Microsecond, Slow: time.Microsecond}
		})
		n := int64(rapid.IntRange(1, 40).Draw(r, "documents"))
		s := c.NewSink()
		for i := range n {
			s.Add(newDocument(i))
		}
		rejected, err := s.Flush(t.Context())
		if got := f.offsetsOf(); err != nil || len(rejected) > 0 || !slices.Equal(got, upTo(n)) {
			r.Errorf("stored %v of %d, rejected %v, %v", got, n, rejected, err)
		}
		f.Close()
	})
}

func TestFlushEndsWithItsContext(t *testing.T) {
	f := newFake(t)
	f.after = first(1<<30, refuse(503, "", ""))
	s := f.client(func(cfg *Config) { cfg.Pauses = Pauses{First: time.Hour, Max: time.Hour} }).NewSink()
	s.Add(newDocument(1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
}

func TestFlushNothing(t *testing.T) {
	f := newFake(t)
	if rejected, err := f.client(nil).NewSink().Flush(t.Context()); err != nil || len(rejected) > 0 || f.requests > 0 {
		t.Errorf("%v, %v after %d requests", rejected, err, f.requests)
	}
}

func TestAddRejects(t *testing.T) {
	f := newFake(t)
	s := f.client(func(cfg *Config) { cfg.MaxDocumentBytes = 100 }).NewSink()
	id := func(offset int64) event.ID {
		return event.ID{Topic: "logs", Partition: 1, Offset: offset, Time: noon.UnixMilli()}
	}
	for i, body := range []string{"", "x", "[]", `{"a":1`, "{\n}", `{"a":"` + strings.Repeat("x", 100) + `"}`} {
		s.Add(&event.Document{ID: id(int64(i)), Dataset: "d", Received: noon.UnixMilli(), Body: []byte(body)})
	}
	long := id(6)
	long.Topic = strings.Repeat("t", 600)
	s.Add(&event.Document{ID: long, Dataset: "d", Received: noon.UnixMilli(), Body: []byte(`{}`)})
	s.Add(newDocument(7))
	if docs, _ := s.Size(); docs != 8 {
		t.Errorf("Size: %d documents", docs)
	}
	rejected, err := s.Flush(t.Context())
	var reasons []string
	for i, r := range rejected {
		reasons = append(reasons, r.Reason)
		if r.ID.Offset != int64(i) {
			t.Errorf("rejected %v", r)
		}
	}
	want := []string{ReasonNotAnObject, ReasonNotAnObject, ReasonNotAnObject, ReasonNotAnObject, ReasonNotAnObject, ReasonTooLarge, ReasonIDTooLong}
	if err != nil || !slices.Equal(reasons, want) || !slices.Equal(f.offsetsOf(), []int64{7}) {
		t.Errorf("rejected %v, %v; stored %v", rejected, err, f.offsetsOf())
	}
}

func TestBodiesAreBounded(t *testing.T) {
	f := newFake(t)
	var under, most atomic.Int64
	f.after = func(http.ResponseWriter, *http.Request, *bulk) bool {
		most.Store(max(most.Load(), under.Add(1)))
		time.Sleep(2 * time.Millisecond)
		under.Add(-1)
		return false
	}
	c := f.client(func(cfg *Config) { cfg.MaxBodyBytes, cfg.Concurrency = 5000, 3 })
	s := c.NewSink()
	for i := range int64(500) {
		s.Add(newDocument(i))
	}
	s.Add(documentAt(500, noon, strings.Repeat("x", 20_000))) // larger than a body: alone in one
	if _, err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.offsetsOf(); len(got) != 501 || f.most < 20_000 || f.most > 21_000 || most.Load() < 2 || most.Load() > 3 {
		t.Errorf("%d documents; the largest body has %d bytes; %d requests at a time", len(got), f.most, most.Load())
	}
}

// What holds writing up is logged once, with what to do, and without secrets.
func TestTells(t *testing.T) {
	f := newFake(t)
	f.after = first(30, refuse(403, "security_exception", "action [indices:data/write/bulk] is unauthorized for user [klaxon]"))
	core, logs := observer.New(zap.InfoLevel)
	s := f.client(func(cfg *Config) {
		cfg.Username, cfg.Password, cfg.Log = "klaxon", "s3cret", zap.New(core)
	}).NewSink()
	s.Add(newDocument(1))
	if _, err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := logs.All()
	if len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0].ContextMap()), "is unauthorized") || strings.Contains(fmt.Sprint(entries), "s3cret") {
		t.Errorf("logged %v", entries)
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	f := newFake(t)
	s := f.client(nil).NewSink()
	docs := make([]*event.Document, 200)
	for i := range docs {
		docs[i] = newDocument(int64(i))
	}
	fill := func() {
		for _, d := range docs {
			s.Add(d)
		}
		s.batch.reset()
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 0 {
		t.Errorf("%v allocations for %d documents", n, len(docs))
	}
}
