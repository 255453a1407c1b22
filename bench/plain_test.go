package bench

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/hit"
	"github.com/klaxonhq/klaxon/ingest/enrich"
	"github.com/klaxonhq/klaxon/internal/traffic"
	"github.com/klaxonhq/klaxon/pipeline"
)

// plain is the same work done the usual way: encoding/json into maps, package regexp for lines of text, stock expr over the maps for the
// conditions, json.Marshal for what comes out. It is written as one would write it with some care: everything is compiled once, and an
// event meets the rules of its dataset only. TestPlainAgrees holds it to the same documents and hits.
type plain struct {
	rules map[string][]plainRule // by dataset
	body  []byte
	shard map[int32][]plainHit
	bytes int // of the frames made
}

type plainRule struct {
	id     string
	where  *vm.Program
	key    [][]string // paths
	carry  [][]string
	names  []string // of carry
	sample bool
}

type plainHit struct {
	Rule       string              `json:"rule"`
	Tenant     string              `json:"tenant"`
	Key        []string            `json:"key"`
	Offset     int64               `json:"offset"`
	Index      int                 `json:"index"`
	RecordTime int64               `json:"record_time"`
	Time       string              `json:"time"`
	Fields     map[string][]string `json:"fields,omitempty"`
	Sample     json.RawMessage     `json:"sample,omitempty"`
}

type object = map[string]any

func newPlain(g *pipeline.Generation, conditions []condition) (*plain, error) {
	p := &plain{rules: map[string][]plainRule{}, shard: map[int32][]plainHit{}}
	for _, c := range conditions {
		code, err := c.compile()
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", c.rule, err)
		}
		rule := plainRule{id: c.rule, where: code}
		for _, r := range g.Rules.Rules() {
			if r.ID != c.rule {
				continue
			}
			by := r.IncidentBy
			if r.Count != nil {
				by = r.Count.By
			}
			rule.sample, rule.names = r.Count == nil, r.Carry
			for _, name := range by {
				rule.key = append(rule.key, strings.Split(name, "."))
			}
			for _, name := range r.Carry {
				rule.carry = append(rule.carry, strings.Split(name, "."))
			}
		}
		p.rules[c.dataset] = append(p.rules[c.dataset], rule)
	}
	return p, nil
}

// documents are those of a record, each with its index in it; none where it cannot be decoded.
func (p *plain) documents(r *event.Record) []object {
	switch r.Source.Topic {
	case traffic.TopicNginx:
		return []object{p.common(r, nginxDocument(r), string(r.Value), 0)}
	case traffic.TopicAuth:
		return []object{p.common(r, sshDocument(r), string(r.Value), 0)}
	case traffic.TopicApp:
		var in object
		if json.Unmarshal(r.Value, &in) != nil {
			return nil
		}
		return []object{p.common(r, appDocument(in), string(r.Value), 0)}
	}
	return p.cloudtrail(r)
}

func (p *plain) cloudtrail(r *event.Record) []object {
	var in object
	if json.Unmarshal(r.Value, &in) != nil {
		return nil
	}
	if in["Records"] == nil {
		return []object{p.common(r, cloudtrailDocument(in), string(r.Value), 0)}
	}
	var file struct{ Records []json.RawMessage }
	if json.Unmarshal(r.Value, &file) != nil {
		return nil
	}
	var out []object
	for i, raw := range file.Records {
		var one object
		if json.Unmarshal(raw, &one) != nil {
			return nil
		}
		out = append(out, p.common(r, cloudtrailDocument(one), string(raw), i))
	}
	return out
}

// common adds what every document has.
func (p *plain) common(r *event.Record, doc object, original string, index int) object {
	e := doc["event"].(object)
	e["original"] = original
	if e["kind"] == nil {
		e["kind"] = "event"
	}
	id := fmt.Sprintf("%s-%d-%d-%s", r.Source.Topic, r.Source.Partition, r.Offset, strconv.FormatInt(r.Time, 36))
	if index > 0 {
		id += "-" + strconv.Itoa(index)
	}
	doc["klaxon"] = object{"id": id, "tenant": string(r.Header(traffic.TenantHeader))}
	for _, side := range []string{"source", "client"} {
		if at, ok := doc[side].(object); ok {
			if text, ok := at["ip"].(string); ok {
				addr, err := netip.ParseAddr(text)
				if code, known := (enrich.Embedded{}).Country(addr); err == nil && known {
					at["geo"] = object{"country_iso_code": code}
				}
				relate(doc, "ip", text)
			}
		}
	}
	for _, path := range [][2]string{{"user", "name"}, {"user", "email"}} {
		if o, ok := doc[path[0]].(object); ok {
			relateAny(doc, "user", o[path[1]])
		}
	}
	if o, ok := doc["user"].(object); ok {
		if target, ok := o["target"].(object); ok {
			relateAny(doc, "user", target["name"])
		}
	}
	if o, ok := doc["host"].(object); ok {
		relateAny(doc, "hosts", o["name"])
	}
	if doc["@timestamp"] == nil {
		doc["@timestamp"] = stamp(time.UnixMilli(r.Time))
	}
	return doc
}

func relateAny(doc object, kind string, value any) {
	if s, ok := value.(string); ok && s != "" {
		relate(doc, kind, s)
	}
}

func relate(doc object, kind, value string) {
	related, ok := doc["related"].(object)
	if !ok {
		related = object{}
		doc["related"] = related
	}
	list, _ := related[kind].([]string)
	for _, s := range list {
		if s == value {
			return
		}
	}
	related[kind] = append(list, value)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// match is the match loop: a batch's hits, by shard, as frames.
func (p *plain) match(b *event.Batch) (events int) {
	for i := range b.Records {
		r := &b.Records[i]
		for index, doc := range p.documents(r) {
			events++
			p.hits(r, index, doc)
		}
	}
	for shard, hits := range p.shard {
		if len(hits) == 0 {
			continue
		}
		frame, err := json.Marshal(object{"topic": b.Source.Topic, "partition": b.Source.Partition, "first": b.First, "last": b.Next - 1, "hits": hits})
		if err != nil {
			return 0
		}
		p.bytes += len(frame)
		p.shard[shard] = hits[:0]
	}
	return events
}

func (p *plain) hits(r *event.Record, index int, doc object) {
	dataset := doc["event"].(object)["dataset"].(string)
	for i := range p.rules[dataset] {
		rule := &p.rules[dataset][i]
		out, err := vm.Run(rule.where, doc)
		if yes, _ := out.(bool); err != nil || !yes {
			continue
		}
		h := plainHit{Rule: rule.id, Tenant: doc["klaxon"].(object)["tenant"].(string), Offset: r.Offset, Index: index, RecordTime: r.Time, Time: doc["@timestamp"].(string)}
		for _, path := range rule.key {
			h.Key = append(h.Key, strings.Join(values(doc, path), ","))
		}
		if len(rule.carry) > 0 {
			h.Fields = make(map[string][]string, len(rule.carry))
			for i, path := range rule.carry {
				h.Fields[rule.names[i]] = values(doc, path)
			}
		}
		if rule.sample {
			h.Sample, _ = json.Marshal(doc)
		}
		shard := fnv.New64a()
		shard.Write([]byte(h.Tenant + "\x00" + h.Rule + "\x00" + strings.Join(h.Key, "\x00")))
		n := int32(shard.Sum64() % hit.Shards)
		p.shard[n] = append(p.shard[n], h)
	}
}

// values is a field's values as texts.
func values(doc object, path []string) []string {
	var v any = doc
	for _, name := range path {
		o, ok := v.(object)
		if !ok {
			return nil
		}
		v = o[name]
	}
	switch v := v.(type) {
	case nil:
		return nil
	case []string:
		return v
	case string:
		return []string{v}
	default:
		return []string{fmt.Sprint(v)}
	}
}

// archive is the archive loop: a batch as lines of a bulk request.
func (p *plain) archive(b *event.Batch) (events int) {
	p.body = p.body[:0]
	for i := range b.Records {
		for _, doc := range p.documents(&b.Records[i]) {
			events++
			k := doc["klaxon"].(object)
			action, err := json.Marshal(object{"create": object{"_index": "logs-" + doc["event"].(object)["dataset"].(string) + "-" + k["tenant"].(string), "_id": k["id"]}})
			if err != nil {
				return 0
			}
			line, err := json.Marshal(doc)
			if err != nil {
				return 0
			}
			p.body = append(append(p.body, action...), '\n')
			p.body = append(append(p.body, line...), '\n')
		}
	}
	return events
}
