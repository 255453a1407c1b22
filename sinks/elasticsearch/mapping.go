package elasticsearch

import (
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// ability is something that servers differ in. For each of them there is a way to do without.
type ability int

const (
	matchOnlyText   ability = iota // a text field that takes little room; else text
	flattened                      // a whole object as one field, in Elasticsearch
	flatObject                     // the same in OpenSearch; with neither, vendors' payloads are stored and cannot be searched
	geoPoint                       // else places are stored and cannot be searched
	bestCompression                // of what is stored; else the default
	ignoreMalformed                // values of another type than the field's are stored and not indexed; else such a document is rejected
	ignoreBeyond                   // more fields than the limit are ignored; else such a document is rejected
	abilities
)

// what names the ability, and what is done without it.
func (a ability) what() string {
	return [...]string{
		"match_only_text (text is used)", "flattened", "flat_object", "geo_point (places are not searchable)",
		"best_compression (the default is used)", "ignore_malformed (documents with values of the wrong type are rejected)",
		"ignore_dynamic_beyond_limit (not needed: mappings do not grow)",
	}[a]
}

// can is what a server is able to do.
type can [abilities]bool

func everything() can {
	var c can
	for a := range abilities {
		c[a] = a != flatObject
	}
	return c
}

type object = map[string]any

const ignoreAbove = 1024 // bytes of a keyword that are indexed

// fieldMapping is how a field is indexed; nil: it is stored only.
func (c can) fieldMapping(f event.Field) object {
	switch f.Name {
	case event.FieldOriginal, "klaxon.original_base64":
		return object{"type": "keyword", "index": false, "doc_values": false}
	}
	switch f.Type {
	case event.Keyword:
		return object{"type": "keyword", "ignore_above": ignoreAbove}
	case event.Text:
		if c[matchOnlyText] {
			return object{"type": "match_only_text"}
		}
		return object{"type": "text"}
	case event.Object:
		if strings.HasSuffix(f.Name, "geo.location") {
			return c.when(geoPoint, object{"type": "geo_point"})
		}
		return c.payload()
	case event.Long, event.Double, event.Boolean, event.IP:
		return object{"type": f.Type.String()}
	case event.Date:
		return object{"type": "date", "format": "strict_date_optional_time||epoch_millis"}
	}
	return nil // of no fixed type: a number here, an object there
}

// payload is how a vendor's own object is indexed. Logs nest as they like: what is deeper than this is rejected, and no log is.
func (c can) payload() object {
	switch {
	case c[flattened]:
		return object{"type": "flattened", "ignore_above": ignoreAbove, "depth_limit": 128}
	case c[flatObject]:
		return object{"type": "flat_object"}
	}
	return object{"type": "object", "enabled": false}
}

func (c can) when(a ability, m object) object {
	if c[a] {
		return m
	}
	return nil
}

// properties nests the mappings of fields by their dots. Fields below one that is mapped as a whole are part of it.
func (c can) properties(fields []event.Field) object {
	sorted := slices.Clone(fields)
	slices.SortFunc(sorted, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) })
	root := object{}
	for _, f := range sorted {
		if f.Name == "" || f.Name[0] == '$' || f.Type == event.Elements {
			continue
		}
		if m := c.fieldMapping(f); m != nil {
			place(root, strings.Split(f.Name, "."), m)
		}
	}
	return root
}

// place puts a mapping at a path, unless something is mapped there, above or below.
func place(properties object, path []string, mapping object) {
	for i, segment := range path {
		at, exists := properties[segment].(object)
		if i == len(path)-1 {
			if !exists {
				properties[segment] = mapping
			}
			return
		}
		if !exists {
			at = object{"properties": object{}}
			properties[segment] = at
		}
		below, ok := at["properties"].(object)
		if !ok {
			return
		}
		properties = below
	}
}

// count is how many fields a mapping has, objects included, as the server's limit counts them.
func count(properties object) int {
	n := 0
	for _, m := range properties {
		n++
		if below, ok := m.(object)["properties"].(object); ok {
			n += count(below)
		}
	}
	return n
}
