package event

import (
	"encoding/binary"
	"strings"
)

// Plan says which values of a JSON document go to which fields. It is immutable once built and safe for concurrent use.
type Plan struct {
	nodes []planNode
	table []int32 // open addressing by (parent, key); 0 is empty
	mask  uint64
	rest  FieldID
}

type planNode struct {
	key     string
	parent  int32
	targets []FieldID
	raw     []FieldID // targets that take the JSON itself: Elements and Object
	leaf    bool      // nothing below
	placed  bool      // something here or below goes to a field that is not below the plan's rest
}

// Mapping sends what stands at a path to a field. The path's segments are separated by dots; it runs through arrays, and a key
// that has dots itself (`"source.ip": …`) is found under the same path.
type Mapping struct {
	Path string
	To   FieldID
}

// NewPlan builds a plan. If rest is not 0, members of the document's root that no mapping leads into are collected, as one JSON
// object, in that field; so are those that mappings lead into only for fields below rest, which are views of it, and plain values where
// the mappings lead deeper.
func NewPlan(s *Schema, rest FieldID, mappings ...Mapping) *Plan {
	p := &Plan{nodes: []planNode{{parent: -1, leaf: true}}, rest: rest}
	p.grow(64)
	for _, m := range mappings {
		at := int32(0)
		placed := rest == 0 || !below(s.Name(m.To), s.Name(rest))
		for path, more := m.Path, true; more; {
			var key string
			key, path, more = strings.Cut(path, ".")
			at = p.put(at, key)
			p.nodes[at].placed = p.nodes[at].placed || placed
		}
		n := &p.nodes[at]
		if t := s.Type(m.To); t == Elements || t == Object {
			n.raw = append(n.raw, m.To)
		} else {
			n.targets = append(n.targets, m.To)
		}
	}
	return p
}

func (p *Plan) put(parent int32, key string) int32 {
	if at := p.child(parent, key); at > 0 {
		return at
	}
	at := int32(len(p.nodes))
	p.nodes[parent].leaf = false
	p.nodes = append(p.nodes, planNode{key: key, parent: parent, leaf: true})
	if 4*len(p.nodes) > len(p.table) {
		p.grow(2 * len(p.table))
	} else {
		p.insert(at)
	}
	return at
}

func (p *Plan) grow(n int) {
	p.table, p.mask = make([]int32, n), uint64(n-1)
	for i := 1; i < len(p.nodes); i++ {
		p.insert(int32(i))
	}
}

func (p *Plan) insert(at int32) {
	n := &p.nodes[at]
	i := hashKey(n.parent, n.key) & p.mask
	for p.table[i] != 0 {
		i = (i + 1) & p.mask
	}
	p.table[i] = at
}

// child is the node of a key under a parent, or -1.
func (p *Plan) child(parent int32, key string) int32 {
	for i := hashKey(parent, key) & p.mask; ; i = (i + 1) & p.mask {
		at := p.table[i]
		if at == 0 {
			return -1
		}
		if n := &p.nodes[at]; n.parent == parent && n.key == key {
			return at
		}
	}
}

// find is child, also for a key that has dots where the plan has levels.
func (p *Plan) find(parent int32, key string) int32 {
	if p.nodes[parent].leaf {
		return -1
	}
	at := p.child(parent, key)
	if at >= 0 || strings.IndexByte(key, '.') < 0 {
		return at
	}
	at = parent
	for rest, more := key, true; more && at >= 0; {
		var segment string
		segment, rest, more = strings.Cut(rest, ".")
		at = p.child(at, segment)
	}
	return at
}

// unplaced says whether a member of the root, whose value begins with a byte, belongs to the rest.
func (p *Plan) unplaced(at int32, first byte) bool {
	if at < 0 || !p.nodes[at].placed {
		return true
	}
	n := &p.nodes[at]
	return first != '{' && first != '[' && first != 'n' && len(n.targets) == 0 && len(n.raw) == 0
}

func hashKey(parent int32, k string) uint64 {
	h := uint64(uint32(parent))*0x9E3779B97F4A7C15 ^ uint64(len(k))
	b := k
	for len(b) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64([]byte(b[:8]))) * 0xff51afd7ed558ccd
		h ^= h >> 32
		b = b[8:]
	}
	for i := 0; i < len(b); i++ {
		h = (h ^ uint64(b[i])) * 0x100000001b3
	}
	return h ^ h>>29
}
