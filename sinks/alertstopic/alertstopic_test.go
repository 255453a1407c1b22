package alertstopic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/notifytest"
	"github.com/klaxonhq/klaxon/sinks/alertstopic"
)

type record struct {
	topic, key, value string
	headers           map[string]string
}

type topic struct {
	mu      sync.Mutex
	records []record
	err     error
	hangs   bool
}

func (p *topic) Send(ctx context.Context, name string, key, value []byte, headers []event.Header) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	if p.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	r := record{topic: name, key: string(key), value: string(value), headers: map[string]string{}}
	for _, h := range headers {
		r.headers[h.Key] = string(h.Value)
	}
	p.records = append(p.records, r)
	return nil
}

func TestContract(t *testing.T) {
	notifytest.Run(t, func(*testing.T) notifytest.Target {
		p := &topic{}
		return notifytest.Target{Notifier: alertstopic.New(p, "klaxon.alerts"), Type: incidents.TypeAlert,
			Taken: func() (out []string) {
				for _, r := range p.records {
					out = append(out, r.headers["klaxon-id"])
				}
				return out
			},
			Down: func() { p.err = errors.New("broker is down") }, Up: func() { p.err = nil },
			Hang: func() { p.hangs = true }, Refuse: func() { p.err = fmt.Errorf("too large: %w", incidents.ErrPermanent) },
		}
	})
}

// documented returns the example of docs/alerts-topic.md, its key, and the names of headers and fields that stand in its tables.
func documented(t *testing.T) (a alert.Alert, raw, key, text string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/alerts-topic.md")
	if err != nil {
		t.Fatal(err)
	}
	text = string(b)
	_, rest, _ := strings.Cut(text, "Key: `")
	key, rest, _ = strings.Cut(rest, "`")
	_, rest, _ = strings.Cut(rest, "```json\n")
	raw, _, _ = strings.Cut(rest, "```")
	d := json.NewDecoder(strings.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		t.Fatalf("the example is no alert: %v", err)
	}
	return a, raw, key, text
}

// TestDocumented: what is written is what the documentation shows, byte for byte, and every header and field is explained.
func TestDocumented(t *testing.T) {
	a, raw, key, text := documented(t)
	body, err := json.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	p := &topic{}
	s := alertstopic.New(p, "klaxon.alerts")
	m := incidents.Message{ID: a.RevisionID(), Type: incidents.TypeAlert, Subject: a.ID, Revision: a.Revision, Body: body}
	ref, err := s.Deliver(context.Background(), m)
	if err != nil || ref != "klaxon.alerts" || len(p.records) != 1 {
		t.Fatal(ref, err, p.records)
	}
	var example bytes.Buffer
	if err := json.Compact(&example, []byte(raw)); err != nil {
		t.Fatal(err)
	}
	want := record{topic: "klaxon.alerts", key: key, value: example.String(), headers: map[string]string{
		"klaxon-id": a.ID + "-2", "klaxon-type": "com.klaxon.alert.v1", "klaxon-alert-id": a.ID, "klaxon-revision": "2", "klaxon-rule": "ssh-bruteforce",
		"klaxon-mode": "live", "klaxon-severity": "high", "klaxon-tenant": "acme", "content-type": "application/json",
	}}
	if diff := cmp.Diff(want, p.records[0], cmp.AllowUnexported(record{})); diff != "" {
		t.Errorf("documented -, written +:\n%s", diff)
	}
	inDocs := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:klaxon|content)-[a-z-]+)` \\|").FindAllStringSubmatch(text, -1) {
		inDocs[m[1]] = true
	}
	for name := range p.records[0].headers {
		if !inDocs[name] {
			t.Errorf("the header %s is not documented", name)
		}
		delete(inDocs, name)
	}
	if len(inDocs) > 0 {
		t.Errorf("documented and not written: %v", inDocs)
	}
	full, err := json.Marshal(alert.Alert{Key: []alert.Field{{}}, Fields: []alert.Field{{}}, Degraded: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(full, &fields); err != nil {
		t.Fatal(err)
	}
	for name := range fields {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the field %s is not documented", name)
		}
	}
}

func TestRefuses(t *testing.T) {
	down := errors.New("broker is down")
	for _, c := range []struct {
		name      string
		m         incidents.Message
		err       error
		permanent bool
	}{
		{"an incident", incidents.Message{Type: incidents.TypeIncident, Body: []byte(`{}`)}, nil, true},
		{"no JSON", incidents.Message{Type: incidents.TypeAlert, Body: []byte(`{`)}, nil, true},
		{"a broker that is down", incidents.Message{Type: incidents.TypeAlert, Body: []byte(`{"severity":"low"}`)}, down, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := alertstopic.New(&topic{err: c.err}, "x").Deliver(context.Background(), c.m)
			if err == nil || errors.Is(err, incidents.ErrPermanent) != c.permanent || c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%v, permanent %v", err, errors.Is(err, incidents.ErrPermanent))
			}
		})
	}
}
