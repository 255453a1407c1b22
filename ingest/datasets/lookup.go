package datasets

import (
	"slices"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/event/ecs"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// lookupSpec is a value found by the value of another field: in a table that stands in the unit, or in a list.
type lookupSpec struct {
	key    nameAt
	list   nameAt // a list by its name
	is     string // where the key is in the list
	column nameAt // of a list with columns: what its row says there
	table  map[string]string
	other  string // where the key is in neither
	nodes  []diag.Node
	values []string
}

func readLookup(n diag.Node) *lookupSpec {
	s := &lookupSpec{}
	m, ok := n.Map()
	if !ok {
		return s
	}
	s.key = nameOf(m.Need("key"))
	s.list, s.column = nameOf(m.Get("list")), nameOf(m.Get("column"))
	is, other := m.Get("is"), m.Get("else")
	s.is, s.other = is.Text(), other.Text()
	for _, n := range []diag.Node{is, other} {
		if n.Exists() {
			s.nodes, s.values = append(s.nodes, n), append(s.values, n.Text())
		}
	}
	if t := m.Get("table"); t.Exists() {
		if rows, ok := t.Map(); ok {
			s.table = map[string]string{}
			for _, p := range rows.Pairs() {
				rows.Get(p.Key)
				s.table[p.Key] = p.Value.Text()
				s.nodes, s.values = append(s.nodes, p.Value), append(s.values, p.Value.Text())
			}
		}
	}
	listed, says := s.list.name != "", s.is != "" || s.column.name != ""
	if (s.table == nil) != listed || says != listed || s.is != "" && s.column.name != "" {
		n.Errorf("needs a table, or a list with `is` or with `column`")
	}
	m.Done()
	return s
}

// lookup is a compiled look-up.
type lookup struct {
	key    event.FieldID
	table  map[string]string
	list   *lists.List
	column int // of the list, or -1
	is     string
	other  string
}

func (c *compiler) lookup(to event.FieldID, s *lookupSpec) *lookup {
	l := &lookup{key: c.source(s.key), table: s.table, column: -1, is: s.is, other: s.other}
	for i, text := range s.values {
		c.constant(to, text, s.nodes[i])
	}
	if s.list.name == "" {
		return l
	}
	var ok bool
	if l.list, ok = c.opts.Lists.Get(s.list.name); !ok {
		s.list.node.Errorf("there is no list %q", s.list.name).Hint("%s", diag.DidYouMean(s.list.name, c.opts.Lists.Names()))
		return l
	}
	if s.column.name == "" {
		return l
	}
	if l.column, ok = l.list.Column(s.column.name); !ok {
		hint := diag.DidYouMean(s.column.name, l.list.Columns())
		if len(l.list.Columns()) == 0 {
			hint = "a list with columns is a file lists/" + s.list.name + ".csv"
		}
		s.column.node.Errorf("the list %s has no column %q", s.list.name, s.column.name).Hint("%s", hint)
		return l
	}
	c.checkColumn(to, s.column.node, l)
	return l
}

// checkColumn reports the first value of a column that the field cannot hold.
func (c *compiler) checkColumn(to event.FieldID, at diag.Node, l *lookup) {
	name, typ := c.opts.Schema.Name(to), c.opts.Schema.Type(to)
	allowed := ecs.Allowed(name)
	if allowed == nil && (typ == event.Keyword || typ == event.Text || typ == event.Untyped) {
		return
	}
	e := event.New(c.opts.Schema)
	for key, text := range l.list.Values(l.column) {
		e.Reset(c.opts.Schema)
		switch {
		case text == "":
		case allowed != nil && !slices.Contains(allowed, text):
			at.Errorf("%q, which the list %s has for %s, is not allowed in %s by ECS", text, l.list.Name(), key, name).Hint("correct the list")
			return
		case !e.Add(to, text):
			at.Errorf("%q, which the list %s has for %s, is no %s, which %s is", text, l.list.Name(), key, typ, name).Hint("correct the list")
			return
		}
	}
}

// find is what a value stands for, or "".
func (l *lookup) find(key *event.Value) string {
	if l.list == nil {
		if text, ok := l.table[key.Text()]; ok {
			return text
		}
		return l.other
	}
	row, ok := l.row(key)
	switch {
	case !ok:
		return l.other
	case l.column >= 0:
		return l.list.Value(row, l.column)
	}
	return l.is
}

// row finds a key in the list: an address, also one in a field of texts, by the narrowest network that it lies in.
func (l *lookup) row(key *event.Value) (row int, ok bool) {
	if key.Kind() != event.Addr {
		if row, ok = l.list.FindText(key.Text()); ok || !l.list.HasAddrs() {
			return row, ok
		}
	}
	addr := key.Addr()
	if key.Kind() != event.Addr {
		if addr, ok = event.ParseAddr(key.Text()); !ok {
			return 0, false
		}
	}
	return l.list.FindAddr(addr)
}
