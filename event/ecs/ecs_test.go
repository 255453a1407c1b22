package ecs

import (
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/event"
)

func TestFieldsAreSortedUniqueAndTyped(t *testing.T) {
	fields := Fields()
	if len(fields) < 400 {
		t.Fatalf("only %d fields", len(fields))
	}
	if !slices.IsSortedFunc(fields, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the table is not in order")
	}
	for i, line := range strings.Split(strings.TrimSuffix(fieldTable, "\n"), "\n") {
		name, typ, _ := strings.Cut(line, "\t")
		if got := typeOf(typ).String(); got != typ || name == "" {
			t.Errorf("line %d: %q reads as %s", i+1, line, got)
		}
		if i > 0 && fields[i-1].Name == name {
			t.Errorf("%s is there twice", name)
		}
	}
}

func TestSchema(t *testing.T) {
	s, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]event.Type{
		"source.ip": event.IP, "http.response.status_code": event.Long, "message": event.Text, "user.target.name": event.Keyword,
		"event.created": event.Date, "process.interactive": event.Boolean, "event.risk_score": event.Double, "labels": event.Object,
		"@timestamp": event.Date, "related.ip": event.IP, "network.forwarded_ip": event.IP, "source.geo.country_iso_code": event.Keyword,
	} {
		if id, ok := s.Lookup(name); !ok || s.Type(id) != want {
			t.Errorf("%s: %v %s, want %s", name, ok, s.Type(id), want)
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, f := range []string{"event.kind", "event.category", "event.type", "event.outcome"} {
		if a := Allowed(f); len(a) == 0 || !slices.IsSorted(a) {
			t.Errorf("%s: %v", f, a)
		}
	}
	if Allowed("event.action") != nil {
		t.Error("event.action is free")
	}
}
