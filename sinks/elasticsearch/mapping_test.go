package elasticsearch

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
)

func TestProperties(t *testing.T) {
	fields := []event.Field{
		{Name: "$scratch", Type: event.Keyword}, {Name: "source.ip", Type: event.IP}, {Name: "source.port", Type: event.Long},
		{Name: "source.geo.location", Type: event.Object}, {Name: "aws.cloudtrail.eventName", Type: event.Untyped}, {Name: "aws.cloudtrail", Type: event.Object},
		{Name: "aws.cloudtrail.arn", Type: event.Keyword}, {Name: "aws.cloudtrail.resources[]", Type: event.Elements}, {Name: "event.original", Type: event.Text},
		{Name: "app.thing", Type: event.Untyped}, {Name: "message", Type: event.Text},
	}
	const all = `{"source":{"properties":{"ip":{"type":"ip"},"port":{"type":"long"},"geo":{"properties":{"location":{"type":"geo_point"}}}}},
		"aws":{"properties":{"cloudtrail":{"type":"flattened","ignore_above":1024,"depth_limit":128}}},
		"event":{"properties":{"original":{"type":"keyword","index":false,"doc_values":false}}},"message":{"type":"match_only_text"}}`
	const least = `{"source":{"properties":{"ip":{"type":"ip"},"port":{"type":"long"}}},"aws":{"properties":{"cloudtrail":{"type":"object","enabled":false}}},
		"event":{"properties":{"original":{"type":"keyword","index":false,"doc_values":false}}},"message":{"type":"text"}}`
	for able, want := range map[can]string{everything(): all, {}: least} {
		if diff := cmp.Diff(decoded(t, []byte(want)), encoded(t, able.properties(fields))); diff != "" {
			t.Error(diff)
		}
	}
}

func encoded(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, b)
}

func decoded(t *testing.T, b []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Servers that lack this or that get templates without it, and what was left out is told.
func TestPrepare(t *testing.T) {
	tests := []struct {
		name, lacks string // what the server's mapper does not know
		want        []string
	}{
		{"everything", "", nil},
		{"a bare Elasticsearch", "match_only_text", []string{"match_only_text"}},
		{"OpenSearch", `"flattened" ignore_dynamic_beyond_limit`, []string{"ignore_dynamic_beyond_limit"}},
		{"next to nothing", `match_only_text "flattened" flat_object geo_point best_compression ignore_malformed ignore_dynamic_beyond_limit`,
			[]string{"match_only_text", "flattened and flat_object", "geo_point", "best_compression", "ignore_malformed", "ignore_dynamic_beyond_limit"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			put := map[string]string{}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
				for _, word := range strings.Fields(tt.lacks) {
					if strings.Contains(string(b), word) {
						wholeError(w, 400, "mapper_parsing_exception", "No handler for type ["+word+"]")
						return
					}
				}
				if put[name] = string(b); r.Method == "DELETE" {
					delete(put, name)
				}
				answerJSON(w, 200, `{"acknowledged":true}`)
			}))
			defer s.Close()
			c, err := New(Config{URLs: []string{s.URL}})
			if err != nil {
				t.Fatal(err)
			}
			leftOut, err := c.Prepare(t.Context(), append(ecs.Fields(), event.Field{Name: "vendor.x", Type: event.Object}))
			if err != nil {
				t.Fatal(err)
			}
			ok := slices.EqualFunc(leftOut, tt.want, strings.HasPrefix)
			if !ok || len(put) != 3 || put["klaxon-ecs"] == "" || put["klaxon-events"] == "" || put["klaxon-alerts"] == "" {
				t.Errorf("left out %q, want %q; put %d templates", leftOut, tt.want, len(put))
			}
		})
	}
}

func TestPrepareFailures(t *testing.T) {
	for status, want := range map[int]string{403: "manage_index_templates", 400: "cannot put", 500: "cannot put"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { wholeError(w, status, "x", "the reason") }))
		c, err := New(Config{URLs: []string{s.URL}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Prepare(t.Context(), ecs.Fields())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the reason") {
			t.Errorf("%d: %v", status, err)
		}
		s.Close()
	}
}
