package diag

import "slices"

// Map is a mapping whose keys are asked for one by one; Done reports those that nobody asked for.
type Map struct {
	of    Node
	keys  []Node
	vals  []Node
	asked []string
}

// Map reads a mapping. What is no mapping is reported, and ok is false.
func (n Node) Map() (m *Map, ok bool) {
	m = &Map{of: n}
	if !n.Exists() {
		return m, false
	}
	if !n.IsMap() {
		n.Errorf("must be a mapping (key: value), not a %s", n.kind())
		return m, false
	}
	for i := 0; i+1 < len(n.node.Content); i += 2 {
		k := n.node.Content[i]
		path := join(n.path, k.Value)
		m.keys = append(m.keys, n.at(k, path))
		m.vals = append(m.vals, n.at(n.node.Content[i+1], path))
	}
	return m, true
}

// Get is the value of a key; the zero Node, which is silent, when the key is not there.
func (m *Map) Get(key string) Node {
	m.asked = append(m.asked, key)
	for i, k := range m.keys {
		if k.node.Value == key {
			return m.vals[i]
		}
	}
	return Node{}
}

// Need is Get for a key that must be there and not be null.
func (m *Map) Need(key string) Node {
	v := m.Get(key)
	if !v.Exists() {
		m.of.Errorf("the key %s is missing", key)
	}
	return v
}

// Has says whether the key is there, null or not. It does not count as asking for it.
func (m *Map) Has(key string) bool {
	return slices.ContainsFunc(m.keys, func(k Node) bool { return k.node.Value == key })
}

// Done reports every key that was never asked for, with the name it most likely meant.
func (m *Map) Done() {
	for _, k := range m.keys {
		if !slices.Contains(m.asked, k.node.Value) {
			k.Errorf("unknown key %q", k.node.Value).Hint("%s", DidYouMean(k.node.Value, m.asked))
		}
	}
}

// Len is how many keys there are.
func (m *Map) Len() int { return len(m.keys) }

// Pair is one key with its value, for mappings whose keys are data.
type Pair struct {
	Key   string
	KeyAt Node
	Value Node
}

// Pairs is every key and value in the order written.
func (m *Map) Pairs() []Pair {
	out := make([]Pair, len(m.keys))
	for i, k := range m.keys {
		out[i] = Pair{k.node.Value, k, m.vals[i]}
	}
	return out
}
