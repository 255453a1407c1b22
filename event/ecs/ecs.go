// Package ecs holds the Elastic Common Schema, version 8, as data: its fields with their types, and the values that ECS allows for the
// fields that categorise events.
package ecs

import (
	_ "embed" // the table of fields
	"fmt"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// Version is the version of ECS that the table follows, for the field ecs.version.
const Version = "8.17.0"

// fieldTable is a field a line, name and type separated by a tab, in the order of the names.
//
//go:embed fields.tsv
var fieldTable string

// Fields is every field of ECS that klaxon knows, in the order of the names. The caller owns the slice.
func Fields() []event.Field {
	lines := strings.Split(strings.TrimSuffix(fieldTable, "\n"), "\n")
	out := make([]event.Field, 0, len(lines))
	for _, line := range lines {
		name, typ, _ := strings.Cut(line, "\t")
		out = append(out, event.Field{Name: name, Type: typeOf(typ)})
	}
	return out
}

func typeOf(name string) event.Type {
	switch name {
	case "text":
		return event.Text
	case "long":
		return event.Long
	case "double":
		return event.Double
	case "boolean":
		return event.Boolean
	case "date":
		return event.Date
	case "ip":
		return event.IP
	case "object":
		return event.Object
	}
	return event.Keyword
}

// Schema makes a schema of every field of ECS.
func Schema() (*event.Schema, error) {
	s, err := event.NewSchema(Fields()...)
	if err != nil {
		return nil, fmt.Errorf("the table of ECS fields contradicts itself: %w", err)
	}
	return s, nil
}

// Allowed is the values that ECS allows for a field, or nil where it allows any. The caller owns the slice.
func Allowed(field string) []string {
	switch field {
	case "event.kind":
		return []string{"alert", "asset", "enrichment", "event", "metric", "pipeline_error", "signal", "state"}
	case "event.outcome":
		return []string{"failure", "success", "unknown"}
	case "event.category":
		return []string{"api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam",
			"intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session", "threat",
			"vulnerability", "web"}
	case "event.type":
		return []string{"access", "admin", "allowed", "change", "connection", "creation", "deletion", "denied", "device", "end",
			"error", "group", "indicator", "info", "installation", "protocol", "start", "user"}
	}
	return nil
}
