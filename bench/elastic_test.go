package bench

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/pipeline"
	"github.com/klaxonhq/klaxon/sinks/elasticsearch"
)

// BenchmarkArchiveElasticsearch is fetched batch -> bulk requests, compressed, to a server in the process that takes everything. The server
// shares the core, but reads without unpacking.
func BenchmarkArchiveElasticsearch(b *testing.B) {
	benchmarkArchive(b, func(b *testing.B) pipeline.ArchiveSink {
		var announced atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a body that breaks off fails the client
			w.Header().Set("X-Elastic-Product", "Elasticsearch")
			w.Header().Set("Content-Type", "application/json")
			items := bytes.Repeat([]byte(`{"create":{"status":201}},`), int(announced.Load()))
			_, _ = w.Write(append(append([]byte(`{"errors":false,"items":[`), bytes.TrimSuffix(items, []byte(","))...), "]}"...))
		}))
		b.Cleanup(server.Close)
		client, err := elasticsearch.New(elasticsearch.Config{URLs: []string{server.URL}, Concurrency: 1, MaxBodyBytes: 8 * flushBytes, Now: start})
		if err != nil {
			b.Fatal(err)
		}
		return &announcing{Sink: client.NewSink(), documents: &announced}
	})
}

// announcing tells the server how many documents come, since it does not unpack what it gets.
type announcing struct {
	*elasticsearch.Sink
	documents *atomic.Int64
}

func (s *announcing) Flush(ctx context.Context) ([]event.Rejection, error) {
	n, _ := s.Size()
	s.documents.Store(int64(n))
	return s.Sink.Flush(ctx)
}
