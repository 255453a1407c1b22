package event

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// Plan says which values of a JSON document go to which fields. It is immutable once built and safe for concurrent use.
type Plan struct {
	nodes []planNode
	table []int32 // open addressing by (parent, key); 0 is empty
	mask  uint64
	rest  FieldID
	whole FieldID // takes the document
}

type planNode struct {
	key     string
	parent  int32
	targets []FieldID
	raw     []rawTarget
	leaf    bool // nothing below
	placed  bool // something here or below goes to a field that is not below the plan's rest
}

// rawTarget is a field that takes the JSON itself: Elements and Object.
type rawTarget struct {
	to       FieldID
	elements bool
	any      bool // an Object that also takes what is no object
}

// rawTo is a field as a target. Archives have a place where ECS has one: an object, a pair of numbers, or a text.
func rawTo(s *Schema, f FieldID) rawTarget {
	return rawTarget{f, s.Type(f) == Elements, strings.HasSuffix(s.Name(f), "geo.location")}
}

// Mapping sends what stands at a path to a field. The empty path is the whole document, for an Object field. A path's segments are separated by dots; it runs through arrays, and a key
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
		if m.Path == "" {
			p.whole = m.To
			continue
		}
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
			n.raw = append(n.raw, rawTo(s, m.To))
		} else {
			n.targets = append(n.targets, m.To)
		}
	}
	return p
}

func (p *Plan) put(parent int32, key string) int32 {
	hash, _ := hashText(key)
	if at := p.child(parent, key, hash); at > 0 {
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
	hash, _ := hashText(n.key)
	i := slot(n.parent, hash) & p.mask
	for p.table[i] != 0 {
		i = (i + 1) & p.mask
	}
	p.table[i] = at
}

// child is the node of a key, whose hash is given, under a parent, or -1.
func (p *Plan) child(parent int32, key string, hash uint64) int32 {
	for i := slot(parent, hash) & p.mask; ; i = (i + 1) & p.mask {
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
func (p *Plan) find(parent int32, key string, hash uint64) int32 {
	if p.nodes[parent].leaf {
		return -1
	}
	at := p.child(parent, key, hash)
	if at >= 0 || strings.IndexByte(key, '.') < 0 {
		return at
	}
	at = parent
	for rest, more := key, true; more && at >= 0; {
		var segment string
		segment, rest, more = strings.Cut(rest, ".")
		hash, _ := hashText(segment)
		at = p.child(at, segment, hash)
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

// slot is where a key under a parent is to be looked for first.
func slot(parent int32, hash uint64) uint64 { return hash ^ uint64(uint32(parent))*0x9E3779B97F4A7C15 }

// hashText spreads texts well; whoever wants to can make two that collide. It also says whether the text is ASCII.
func hashText(s string) (hash uint64, ascii bool) {
	const a, b = 0xa0761d6478bd642f, 0xe7037ed1a0b428db
	n := len(s)
	var x, y, all uint64
	switch {
	case n >= 8:
		h := uint64(n)
		for ; len(s) > 16; s = s[8:] {
			x = load64(s)
			all |= x
			h = fold(x^h, a)
		}
		x, y = load64(s), load64(s[len(s)-8:])
		all |= x | y
		x ^= h
	case n >= 4:
		x, y = uint64(load32(s)), uint64(load32(s[n-4:]))
		all = x | y
	case n > 0:
		x = uint64(s[0])<<16 | uint64(s[n>>1])<<8 | uint64(s[n-1])
		all = x
	}
	return fold(x^a, y^b^uint64(n)), all&highs == 0
}

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

func load64(s string) uint64 { return binary.LittleEndian.Uint64([]byte(s[:8])) }

func load32(s string) uint32 { return binary.LittleEndian.Uint32([]byte(s[:4])) }
