package elasticsearch

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klaxonhq/klaxon/event"
)

// BenchmarkSink measures Add and Flush against a server that counts documents, on the same machine, and answers as if all were stored.
func BenchmarkSink(b *testing.B) {
	const perFlush = 5000
	fake := newFake(b)
	fake.before = func(w http.ResponseWriter, r *http.Request, _ *bulk) bool {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			b.Error(err)
			return true
		}
		var lines counter
		if _, err := io.Copy(&lines, z); err != nil {
			b.Error(err)
		}
		answerJSON(w, 200, `{"errors":false,"items":[`+strings.TrimSuffix(strings.Repeat(`{"create":{"status":201}},`, int(lines)/2), ",")+`]}`)
		return true
	}
	s := fake.client(nil).NewSink()
	docs := make([]*event.Document, perFlush)
	size := 0
	for i := range docs {
		docs[i] = documentAt(int64(i), noon, fmt.Sprintf(`"},"source":{"ip":"192.0.2.%d","port":%d},"user":{"name":"user%d"},"http":{"response":{"status_code":200}},"message":"%x`,
			i%256, 1024+i*7%60000, i*31%977, i*7919))
		size += len(docs[i].Body)
	}
	b.SetBytes(int64(size / perFlush))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(docs[i%perFlush])
		if i%perFlush == perFlush-1 {
			if rejected, err := s.Flush(b.Context()); err != nil || len(rejected) > 0 {
				b.Fatal(rejected, err)
			}
		}
	}
}

// counter counts line ends.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}
