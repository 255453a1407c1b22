package event

import (
	"fmt"
	"slices"
	"strings"
)

// FieldID is the interned form of a field's name within one Schema and all that extend it. 0 is no field. It never reaches disk.
type FieldID uint16

// Type says what a field's values convert to.
type Type uint8

// The types of fields. Untyped is for vendor fields, whose values keep the kind that they arrived with. Elements holds the raw
// JSON of an array, for conditions that look at one element at a time. Object holds a raw JSON value as it came.
const (
	Untyped Type = iota
	Keyword
	Text
	Long
	Double
	Boolean
	Date
	IP
	Elements
	Object
)

// String is the type's name as ECS writes it.
func (t Type) String() string {
	return [...]string{"untyped", "keyword", "text", "long", "double", "boolean", "date", "ip", "elements", "object"}[t]
}

// Field is a name and a type. A name is a dotted ECS path, or a vendor's path under the vendor's prefix.
type Field struct {
	Name string
	Type Type
}

// maxFields bounds a schema: ids are 16 bits, and an event keeps an index entry a field.
const maxFields = 1<<16 - 2

// Schema interns field names. It is immutable: Extend returns a new one in which every old id stays valid.
type Schema struct {
	fields []Field // by id; [0] is no field
	ids    map[string]FieldID
	order  []FieldID // ids in the order of their path segments: a field stands right before its children
	rank   []uint16  // by id: its place in order
	array  []bool    // by id: ECS wants an array, also of one value
	keys   []string  // by id: the name as the keys of a document
}

// The fields that every schema has, because this package sets them.
const (
	FieldTimestamp = "@timestamp"
	FieldOriginal  = "event.original"
	FieldDataset   = "event.dataset"
	FieldKind      = "event.kind"
	FieldTags      = "tags"
	FieldTenant    = "klaxon.tenant"
	FieldEventID   = "klaxon.id"
	FieldBad       = "klaxon.bad_fields"
)

// Ids of the fields that every schema has.
const (
	Timestamp FieldID = iota + 1
	Original
	Dataset
	EventKind
	Tags
	Tenant
	EventID
	BadFields
)

// NewSchema makes a schema of the fields that every schema has and those given. It reports a field named twice with two types.
func NewSchema(fields ...Field) (*Schema, error) {
	s := &Schema{fields: make([]Field, 1), ids: map[string]FieldID{}}
	own := []Field{
		{FieldTimestamp, Date}, {FieldOriginal, Text}, {FieldDataset, Keyword}, {FieldKind, Keyword}, {FieldTags, Keyword},
		{FieldTenant, Keyword}, {FieldEventID, Keyword}, {FieldBad, Keyword},
	}
	return s.Extend(append(own, fields...)...)
}

// Extend returns a schema that also has the given fields. A field that is there already with the same type is left alone; with
// another type, or when there are too many fields, it is an error.
func (s *Schema) Extend(fields ...Field) (*Schema, error) {
	n := &Schema{fields: slices.Clone(s.fields), ids: make(map[string]FieldID, len(s.ids)+len(fields))}
	for name, id := range s.ids {
		n.ids[name] = id
	}
	for _, f := range fields {
		if id, ok := n.ids[f.Name]; ok {
			if have := n.fields[id].Type; have != f.Type {
				return nil, fmt.Errorf("the field %s is of type %s and cannot be %s too", f.Name, have, f.Type)
			}
			continue
		}
		if len(n.fields) >= maxFields {
			return nil, fmt.Errorf("more than %d fields", maxFields)
		}
		n.ids[f.Name] = FieldID(len(n.fields))
		n.fields = append(n.fields, f)
	}
	n.sort()
	return n, nil
}

func (s *Schema) sort() {
	s.order = make([]FieldID, 0, len(s.fields)-1)
	for id := 1; id < len(s.fields); id++ {
		s.order = append(s.order, FieldID(id))
	}
	slices.SortFunc(s.order, func(a, b FieldID) int { return comparePaths(s.fields[a].Name, s.fields[b].Name) })
	s.rank, s.array, s.keys = make([]uint16, len(s.fields)), make([]bool, len(s.fields)), make([]string, len(s.fields))
	for i, id := range s.order {
		s.rank[id], s.array[id], s.keys[id] = uint16(i), wantsArray(s.fields[id].Name), jsonKeys(s.fields[id].Name)
	}
}

// wantsArray says whether ECS normalises a field to an array ("Note: this field should contain an array of values").
func wantsArray(name string) bool {
	switch name {
	case FieldTags, FieldBad, "event.category", "event.type", "process.args", "host.ip", "host.mac", "observer.ip", "observer.mac", "dns.answers",
		"dns.header_flags", "dns.resolved_ip", "user.roles", "container.image.tag", "threat.tactic.id", "threat.tactic.name", "threat.technique.id",
		"threat.technique.name", "email.to.address", "email.cc.address", "email.bcc.address", "email.from.address", "email.reply_to.address",
		"klaxon.geo.databases", "klaxon.source.network", "klaxon.destination.network", "klaxon.client.network", "klaxon.server.network":
		return true
	}
	return strings.HasPrefix(name, "related.")
}

// comparePaths compares segment by segment, so that a.b, a.b.c and a.b-c come in this order.
func comparePaths(a, b string) int {
	for {
		x, restA, moreA := strings.Cut(a, ".")
		y, restB, moreB := strings.Cut(b, ".")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

// Lookup is the id of a field.
func (s *Schema) Lookup(name string) (FieldID, bool) {
	id, ok := s.ids[name]
	return id, ok
}

// ID is the id of a field, or 0.
func (s *Schema) ID(name string) FieldID { return s.ids[name] }

// Name is the name of a field.
func (s *Schema) Name(id FieldID) string { return s.fields[id].Name }

// Type is the type of a field.
func (s *Schema) Type(id FieldID) Type { return s.fields[id].Type }

// Len is one more than the greatest id.
func (s *Schema) Len() int { return len(s.fields) }

// Fields is every field, in the order of their ids. The caller must not write to it.
func (s *Schema) Fields() []Field { return s.fields[1:] }

// Names is every field's name, for suggestions.
func (s *Schema) Names() []string {
	out := make([]string, 0, len(s.fields))
	for _, f := range s.fields[1:] {
		out = append(out, f.Name)
	}
	return out
}
