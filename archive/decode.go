package archive

import (
	"fmt"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// decoder reads stored documents as events of a schema. It is immutable.
type decoder struct {
	schema *event.Schema
	plan   *event.Plan
}

// newDecoder makes a decoder for every field of a schema, each of which stands in a document at its own name.
func newDecoder(s *event.Schema) *decoder {
	var mappings []event.Mapping
	for i, f := range s.Fields() {
		if !strings.HasPrefix(f.Name, "$") { // scratch is not stored
			mappings = append(mappings, event.Mapping{Path: f.Name, To: event.FieldID(i + 1)})
		}
	}
	return &decoder{s, event.NewPlan(s, 0, mappings...)}
}

// decode reads a document of a key. The event's texts alias doc.
func (d *decoder) decode(k *Key, doc []byte, e *event.Event) error {
	e.Reset(d.schema)
	if err := e.DecodeJSON(d.plan, doc); err != nil {
		return fmt.Errorf("cannot read a stored document: %w", err)
	}
	e.Dataset, e.Tenant = e.Text(event.Dataset), e.Text(event.Tenant)
	e.Received = k.Hour * hourMillis
	if p, ok := parsePosition(e.Text(event.EventID), k.Topic, k.Partition); ok {
		e.ID, e.Received = p.id(k.Topic, k.Partition), p.time
	}
	e.Time = e.Received
	if v := e.First(event.Timestamp); v != nil {
		e.Time = v.Int()
	}
	return nil
}
