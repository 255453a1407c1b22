package archive

import (
	"fmt"

	"github.com/klaxonhq/klaxon/event"
)

// Needle says that a field has one of some values. Letter case does not matter, and neither does how an address is written.
type Needle struct {
	Field  string
	Values []string
}

// bloom answers, for values of some fields, `not in this segment` or `perhaps`. Whoever chooses values so that they collide only makes
// searches read more.
type bloom []uint64

const (
	bloomHashes = 7
	bloomBits   = 10 // a value: one in a hundred other values is found by mistake
	// bloomVersion stands in every index: filters of another version, over other fields, are not asked.
	bloomVersion = 1
)

func newBloom(hashes map[uint64]struct{}) bloom {
	if len(hashes) == 0 {
		return nil
	}
	b := make(bloom, (len(hashes)*bloomBits+63)/64)
	for h := range hashes {
		b.each(h, func(word int, bit uint64) bool {
			b[word] |= bit
			return true
		})
	}
	return b
}

func (b bloom) each(h uint64, fn func(word int, bit uint64) bool) bool {
	n, step := uint64(len(b))*64, h>>17|h<<47|1
	for range bloomHashes {
		at := h % n
		if !fn(int(at/64), 1<<(at%64)) {
			return false
		}
		h += step
	}
	return true
}

func (b bloom) has(h uint64) bool {
	return len(b) > 0 && b.each(h, func(word int, bit uint64) bool { return b[word]&bit != 0 })
}

// perhaps answers false if no document of the segment can meet all needles.
func (b bloom) perhaps(needles [][]uint64) bool {
	for _, values := range needles {
		found := false
		for _, h := range values {
			found = found || b.has(h)
		}
		if !found {
			return false
		}
	}
	return true
}

func hashValue(field, value string) uint64 {
	const prime = 0x100000001b3
	h := uint64(0xcbf29ce484222325)
	for i := range len(field) {
		h = (h ^ uint64(field[i])) * prime
	}
	h = (h ^ 0xff) * prime
	for i := range len(value) {
		h = (h ^ uint64(value[i])) * prime
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// hashNeedles is the hashes of needles over fields that segments have a filter for; a needle over another field cannot leave anything
// out.
func hashNeedles(needles []Needle) ([][]uint64, error) {
	s, err := newSummary()
	if err != nil {
		return nil, err
	}
	var out [][]uint64
	for _, n := range needles {
		f, ok := s.schema.Lookup(n.Field)
		if !ok || !s.indexed(f) {
			continue
		}
		var hashes []uint64
		for _, text := range n.Values {
			s.event.Reset(s.schema)
			if !s.event.Add(f, text) {
				hashes = nil // no such address: that the condition can be met all the same is not for us to judge
				break
			}
			hashes = append(hashes, s.hash(f, s.event.First(f)))
		}
		if len(hashes) > 0 {
			out = append(out, hashes)
		}
	}
	return out, nil
}

// summary reads what an index says of a document. It is not safe for concurrent use.
type summary struct {
	schema *event.Schema
	plan   *event.Plan
	event  *event.Event
	first  event.FieldID // of the fields that have a filter; they are the last of the schema
}

func newSummary() (*summary, error) {
	own, err := event.NewSchema()
	if err != nil {
		return nil, fmt.Errorf("cannot make the schema of indices: %w", err)
	}
	var fields []event.Field
	for _, name := range indexedFields {
		t := event.Keyword
		if isAddress(name) {
			t = event.IP
		}
		fields = append(fields, event.Field{Name: name, Type: t})
	}
	s := &summary{first: event.FieldID(own.Len())}
	if s.schema, err = own.Extend(fields...); err != nil {
		return nil, fmt.Errorf("cannot make the schema of indices: %w", err)
	}
	mappings := []event.Mapping{{Path: event.FieldTimestamp, To: event.Timestamp}, {Path: event.FieldEventID, To: event.EventID}}
	for _, f := range fields {
		mappings = append(mappings, event.Mapping{Path: f.Name, To: s.schema.ID(f.Name)})
	}
	s.plan, s.event = event.NewPlan(s.schema, 0, mappings...), event.New(s.schema)
	return s, nil
}

func (s *summary) indexed(f event.FieldID) bool { return f >= s.first }

// read takes a document; what is read of it is valid until the next call and while doc is.
func (s *summary) read(doc []byte) error {
	s.event.Reset(s.schema)
	return s.event.DecodeJSON(s.plan, doc)
}

// time is what @timestamp of the document that was read says, Unix milliseconds; otherwise where it says nothing.
func (s *summary) time(otherwise int64) int64 {
	if v := s.event.First(event.Timestamp); v != nil {
		return v.Int()
	}
	return otherwise
}

// id is the text form of the document's id, or "".
func (s *summary) id() string { return s.event.Text(event.EventID) }

func (s *summary) hash(f event.FieldID, v *event.Value) uint64 {
	text := ""
	if v.Kind() == event.Addr {
		text = v.Addr().String()
	} else {
		text = s.event.Lower(v)
	}
	return hashValue(s.schema.Name(f), text)
}

// collect adds the hashes of the document's values.
func (s *summary) collect(to map[uint64]struct{}) {
	for f := int(s.first); f < s.schema.Len(); f++ {
		for v := s.event.First(event.FieldID(f)); v != nil; v = s.event.Next(v) {
			to[s.hash(event.FieldID(f), v)] = struct{}{}
		}
	}
}

func isAddress(name string) bool {
	switch name {
	case "network.forwarded_ip":
		return true
	}
	return len(name) > 3 && name[len(name)-3:] == ".ip"
}

// indexedFields is what people search events for. To change it is to change bloomVersion.
var indexedFields = [...]string{
	"client.domain", "client.ip", "client.user.name", "cloud.account.id", "cloud.instance.id", "container.id", "container.name",
	"destination.domain", "destination.ip", "destination.user.name", "dns.question.name", "email.from.address", "email.to.address",
	"event.action", "event.code", "event.id", "file.hash.md5", "file.hash.sha1", "file.hash.sha256", "file.path",
	"host.hostname", "host.id", "host.ip", "host.name", "http.request.id", "network.forwarded_ip", "observer.ip", "observer.name",
	"organization.id", "process.executable", "process.hash.md5", "process.hash.sha1", "process.hash.sha256", "process.name",
	"related.hash", "related.hosts", "related.ip", "related.user", "rule.id", "server.domain", "server.ip", "service.name",
	"source.domain", "source.ip", "source.user.name", "span.id", "tls.client.ja3", "tls.server.ja3s", "trace.id", "transaction.id",
	"url.domain", "url.path", "user.changes.name", "user.domain", "user.effective.name", "user.email", "user.id", "user.name",
	"user.target.id", "user.target.name",
}
