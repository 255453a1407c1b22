package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klaxonhq/klaxon/event"
)

// Priorities of the index templates: above what a server brings along (100 to 200 in Elasticsearch), the alerts' above the events'.
const (
	eventsPriority = 300
	alertsPriority = 310
)

// Prepare puts the templates of indices in place, built from the fields and from what the server says it can, and answers what had to be
// left out, in words for people. Indices that exist keep the mappings that they have. It may be called at every start.
func (c *Client) Prepare(ctx context.Context, fields []event.Field) (leftOut []string, err error) {
	able := everything()
	refused, err := c.putComponent(ctx, c.componentName(), able, fields)
	if err != nil {
		return nil, err
	}
	if refused != nil { // something is not there: find out what
		if able, err = c.probe(ctx); err != nil {
			return nil, err
		}
		if refused, err = c.putComponent(ctx, c.componentName(), able, fields); err != nil || refused != nil {
			return nil, errors.Join(err, refused)
		}
	}
	for _, put := range []func(context.Context, can) error{c.putEventsTemplate, c.putAlertsTemplate} {
		if err := put(ctx, able); err != nil {
			return nil, err
		}
	}
	return able.leftOut(), nil
}

// leftOut is what the server cannot do.
func (c can) leftOut() []string {
	var out []string
	for a := range abilities {
		switch {
		case c[a], a == flatObject, a == flattened && c[flatObject]:
		case a == flattened:
			out = append(out, "flattened and flat_object (vendors' payloads are not searchable)")
		default:
			out = append(out, a.what())
		}
	}
	return out
}

// settings of every index.
func (c *Client) settings(able can, fields int) object {
	mapping := object{"total_fields": object{"limit": fields + 500}, "depth": object{"limit": 40}}
	if able[ignoreBeyond] {
		mapping["total_fields"].(object)["ignore_dynamic_beyond_limit"] = true
	}
	if able[ignoreMalformed] {
		mapping["ignore_malformed"] = true
	}
	index := object{
		"number_of_shards": c.cfg.Shards, "number_of_replicas": c.cfg.Replicas, "refresh_interval": "5s", "mapping": mapping,
		"query": object{"default_field": []string{"message", "event.action", "host.name", "user.name", "related.user", "related.hosts", "rule.name"}},
	}
	if able[bestCompression] {
		index["codec"] = "best_compression"
	}
	return object{"index": index}
}

// component is the settings and mappings that all indices share. Mappings do not grow: a field that is not known is stored, and found
// in the document.
func (c *Client) component(able can, fields []event.Field) object {
	properties := able.properties(append(ownFields(), fields...))
	return object{"template": object{
		"settings": c.settings(able, count(properties)),
		"mappings": object{"dynamic": false, "date_detection": false, "properties": properties},
	}, "_meta": object{"made_by": "klaxon"}}
}

// ownFields are the fields that every document has because klaxon sets them.
func ownFields() []event.Field {
	return []event.Field{
		{Name: event.FieldTimestamp, Type: event.Date}, {Name: event.FieldOriginal, Type: event.Keyword}, {Name: event.FieldDataset, Type: event.Keyword},
		{Name: event.FieldKind, Type: event.Keyword}, {Name: event.FieldTags, Type: event.Keyword}, {Name: event.FieldTenant, Type: event.Keyword},
		{Name: event.FieldEventID, Type: event.Keyword}, {Name: event.FieldBad, Type: event.Keyword}, {Name: "klaxon.original_base64", Type: event.Keyword},
	}
}

// alertFields are the fields of alerts beside those of events.
func alertFields() []event.Field {
	var out []event.Field
	add := func(t event.Type, names ...string) {
		for _, n := range names {
			out = append(out, event.Field{Name: n, Type: t})
		}
	}
	add(event.Keyword, "kibana.alert.uuid", "kibana.alert.severity", "kibana.alert.workflow_status", "kibana.alert.rule.uuid",
		"kibana.alert.rule.name", "kibana.alert.reason", "kibana.alert.ancestors.id", "kibana.alert.ancestors.type",
		"klaxon.alert.id", "klaxon.alert.severity", "klaxon.alert.mode", "klaxon.alert.incident", "klaxon.alert.degraded",
		"klaxon.alert.runbook", "klaxon.alert.controls", "klaxon.alert.key.name", "klaxon.alert.key.values",
		"klaxon.alert.fields.name", "klaxon.alert.fields.values", "klaxon.alert.events.id")
	add(event.Long, "kibana.alert.risk_score", "kibana.alert.ancestors.depth", "klaxon.alert.revision", "klaxon.alert.count", "klaxon.alert.fields.more")
	add(event.Date, "kibana.alert.original_time", "kibana.alert.start", "klaxon.alert.events.time")
	add(event.Boolean, "klaxon.alert.final", "klaxon.alert.fields.estimated")
	return out
}

func (c *Client) putComponent(ctx context.Context, name string, able can, fields []event.Field) (refused, err error) {
	return c.put(ctx, "/_component_template/"+name, c.component(able, fields))
}

func (c *Client) putEventsTemplate(ctx context.Context, _ can) error {
	return oneError(c.put(ctx, "/_index_template/"+c.eventsAlias(), object{
		"index_patterns": []string{c.cfg.Prefix + "-*"},
		"priority":       eventsPriority,
		"composed_of":    []string{c.componentName()},
		"template":       object{"aliases": object{c.eventsAlias(): object{}}},
		"_meta":          object{"made_by": "klaxon"},
	}))
}

func (c *Client) putAlertsTemplate(ctx context.Context, able can) error {
	return oneError(c.put(ctx, "/_index_template/"+c.alertsIndex(), object{
		"index_patterns": []string{c.alertsIndex()},
		"priority":       alertsPriority,
		"composed_of":    []string{c.componentName()},
		"template":       object{"mappings": object{"properties": able.properties(alertFields())}},
		"_meta":          object{"made_by": "klaxon"},
	}))
}

func oneError(refused, err error) error { return errors.Join(refused, err) }

// put puts a template. refused is why the server does not take it as it is; err is everything else.
func (c *Client) put(ctx context.Context, path string, body object) (refused, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("cannot write a template: %w", err)
	}
	var buf bytes.Buffer
	a, err := c.request(ctx, c.base, "PUT", path, b, false, &buf)
	if err != nil {
		return nil, fmt.Errorf("cannot put %s: %s: %w", path, advice(err), err)
	}
	if a.status == 200 {
		return nil, nil
	}
	kind, reason := parseFailure(a.body)
	err = fmt.Errorf("cannot put %s: %d %s: %s", path, a.status, kind, orElseText(reason, excerpt(a.body)))
	switch a.status {
	case 400:
		return err, nil
	case 401, 403:
		return nil, fmt.Errorf("%w; the user needs the cluster privilege manage_index_templates", err)
	}
	return nil, err
}

// probe finds out what the server is able to do, by putting small templates in place and removing them.
func (c *Client) probe(ctx context.Context) (can, error) {
	var able can
	name := c.cfg.Prefix + "-probe"
	for a := range abilities {
		if a == flatObject && able[flattened] {
			continue
		}
		var only can
		only[a] = true
		refused, err := c.putComponent(ctx, name, only, probeFields(a))
		if err != nil {
			return able, err
		}
		able[a] = refused == nil
	}
	var buf bytes.Buffer
	if _, err := c.request(ctx, c.base, "DELETE", "/_component_template/"+name, nil, false, &buf); err != nil {
		return able, fmt.Errorf("cannot remove a template made to find out what the server can: %w", err)
	}
	return able, nil
}

// probeFields is a field whose mapping needs the ability.
func probeFields(a ability) []event.Field {
	switch a {
	case matchOnlyText:
		return []event.Field{{Name: "message", Type: event.Text}}
	case flattened, flatObject:
		return []event.Field{{Name: "vendor", Type: event.Object}}
	case geoPoint:
		return []event.Field{{Name: "source.geo.location", Type: event.Object}}
	}
	return nil
}
