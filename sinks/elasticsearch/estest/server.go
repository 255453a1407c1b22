package estest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// server is the server under test, asked without the code under test.
type server struct {
	t      *testing.T
	url    string
	prefix string
}

func connect(t *testing.T, url string) *server {
	t.Helper()
	s := &server{t: t, url: strings.TrimRight(url, "/"), prefix: fmt.Sprintf("t%08x", rand.Uint32())}
	t.Cleanup(s.remove)
	return s
}

// remove removes what a test made.
func (s *server) remove() {
	for _, index := range s.indices() {
		s.ask("DELETE", "/"+url.PathEscape(index), "")
	}
	s.ask("DELETE", "/_index_template/"+s.prefix+"-events", "")
	s.ask("DELETE", "/_index_template/"+s.prefix+"-alerts", "")
	s.ask("DELETE", "/_component_template/"+s.prefix+"-ecs", "")
}

// ask sends a request.
func (s *server) ask(method, path, body string) (int, []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also after the test has ended
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	return r.StatusCode, b
}

// must is ask for what has to be answered with 200.
func (s *server) must(method, path, body string) []byte {
	status, b := s.ask(method, path, body)
	if status != http.StatusOK {
		s.t.Errorf("%s %s: %d %s", method, path, status, b)
	}
	return b
}

func (s *server) refresh() { s.must("POST", "/"+s.prefix+"-*/_refresh", "") }

// indices is the names of the indices that there are.
func (s *server) indices() []string {
	var answer map[string]any
	_, b := s.ask("GET", "/"+s.prefix+"-*/_alias", "")
	if err := json.Unmarshal(b, &answer); err != nil {
		s.t.Errorf("%s: %v", b, err)
	}
	var out []string
	for name := range answer {
		if strings.HasPrefix(name, s.prefix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// wantCount counts the events with a value, over the alias of all indices.
func (s *server) wantCount(field, value string, want int) {
	s.t.Helper()
	s.wantQuery("term", field, value, want)
}

// wantMatch is wantCount for words.
func (s *server) wantMatch(field, value string, want int) {
	s.t.Helper()
	s.wantQuery("match", field, value, want)
}

func (s *server) wantQuery(kind, field, value string, want int) {
	s.t.Helper()
	s.refresh()
	query, err := json.Marshal(map[string]any{"query": map[string]any{kind: map[string]any{field: value}}})
	if err != nil {
		s.t.Fatal(err)
	}
	status, b := s.ask("POST", "/"+s.prefix+"-events/_count", string(query))
	var answer struct{ Count int }
	if err := json.Unmarshal(b, &answer); err != nil || status != http.StatusOK || answer.Count != want {
		s.t.Errorf("%s %s = %s: %s, want %d", kind, field, value, b, want)
	}
}

// fieldType is the type that an index gives a field; "": none.
func (s *server) fieldType(index, field string) string {
	var answer map[string]struct {
		Mappings map[string]struct {
			Mapping map[string]struct{ Type string }
		}
	}
	b := s.must("GET", "/"+index+"/_mapping/field/"+field, "")
	if err := json.Unmarshal(b, &answer); err != nil {
		s.t.Errorf("%s: %v", b, err)
	}
	for _, m := range answer[index].Mappings[field].Mapping {
		return m.Type
	}
	return ""
}

// source is a document as it is stored.
func (s *server) source(index, id string) string {
	return string(s.must("GET", "/"+index+"/_source/"+id, ""))
}
