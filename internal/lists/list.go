// Package lists holds named sets and tables of texts, addresses and networks that conditions, datasets and enrichment look things up in. A registry
// is filled at load and immutable afterwards.
package lists

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// List is a named set; or a named table, whose rows are found by their keys. Once loaded it is immutable and safe for concurrent use;
// look-ups allocate nothing.
type List struct {
	name    string
	texts   map[string]int32 // the row of every entry; of a set, 0
	four    ranges
	six     ranges
	columns []string // of a table, without that of the keys
	values  []string // row after row

	adding4, adding6 []network // until the list is sealed
}

func newList(name string, columns ...string) *List {
	return &List{name: name, texts: map[string]int32{}, columns: columns}
}

// New makes a list of entries, each written as a line of a list file would be. The error names the first entry that is wrong.
func New(name string, entries ...string) (*List, error) {
	l := newList(name)
	for _, e := range entries {
		if p := l.add(e); p != nil {
			return nil, fmt.Errorf("list %s: %s (%s)", name, p.message, p.hint)
		}
	}
	l.seal()
	return l, nil
}

type problem struct{ message, hint string }

// add takes one entry, and in a table its values, one a column. Every entry is a text; what is an address or a network is that too.
func (l *List) add(entry string, values ...string) *problem {
	entry = strings.TrimSpace(entry)
	if entry == "" {
		return &problem{"an entry is empty", "leave the line out"}
	}
	n, p := parseNetwork(entry)
	if p != nil {
		return p
	}
	row := int32(0)
	if len(l.columns) > 0 {
		row = int32(len(l.values) / len(l.columns))
		l.values = append(l.values, values...)
	}
	l.texts[entry] = row
	switch {
	case !n.IsValid():
	case n.Addr().Is4():
		l.adding4 = append(l.adding4, network{n, row})
	default:
		l.adding6 = append(l.adding6, network{n, row})
	}
	return nil
}

// seal ends the list: what was added is found from now on.
func (l *List) seal() {
	l.four, l.six = newRanges(l.adding4), newRanges(l.adding6)
	l.adding4, l.adding6 = nil, nil
}

// parseNetwork reads what is a network, or an address as a network of one; of any other text the answer is no network.
func parseNetwork(entry string) (netip.Prefix, *problem) {
	host, _, slash := strings.Cut(entry, "/")
	a, ok := parseAddr(host)
	switch {
	case !ok:
		return netip.Prefix{}, nil
	case !slash:
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(entry)
	if err != nil {
		return p, &problem{fmt.Sprintf("%q is not a network", entry), "write address/length, such as 10.0.0.0/8 or 2001:db8::/32"}
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, &problem{fmt.Sprintf("%q is wider than all IPv4 addresses written as IPv6", entry), "write the IPv4 network as such"}
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return p, &problem{fmt.Sprintf("%q has bits behind its length", entry), "did you mean " + p.Masked().String() + "?"}
	}
	return p, nil
}

// parseAddr reads an address without a zone; IPv4 written as IPv6 is IPv4.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// Name is the list's name.
func (l *List) Name() string { return l.name }

// Len is how many entries there are.
func (l *List) Len() int { return len(l.texts) }

// HasText says whether a text is an entry, exactly as written.
func (l *List) HasText(s string) bool {
	_, ok := l.texts[s]
	return ok
}

// HasAddr says whether an address is an entry or lies in a network that is one.
func (l *List) HasAddr(a netip.Addr) bool {
	_, ok := l.FindAddr(a)
	return ok
}

// HasAddrs says whether the list holds addresses or networks at all.
func (l *List) HasAddrs() bool { return len(l.four.starts) > 0 || len(l.six.starts) > 0 }

// FindText is the row of a text.
func (l *List) FindText(s string) (row int, ok bool) {
	i, ok := l.texts[s]
	return int(i), ok
}

// FindAddr is the row of the narrowest network that an address lies in; an address that is an entry itself is narrower than any.
func (l *List) FindAddr(a netip.Addr) (row int, ok bool) {
	if !a.IsValid() {
		return 0, false
	}
	r := &l.six
	if a = a.Unmap(); a.Is4() {
		r = &l.four
	}
	i := r.find(a)
	return int(i), i != none
}

// Columns is the names of the columns of a table; a set has none. The caller must not write to it.
func (l *List) Columns() []string { return l.columns }

// Column is the place of a column by its name.
func (l *List) Column(name string) (column int, ok bool) {
	column = slices.Index(l.columns, name)
	return column, column >= 0
}

// Value is what a row says in a column, "" for nothing.
func (l *List) Value(row, column int) string { return l.values[row*len(l.columns)+column] }

// Values is every key with what its row says in a column, in no order.
func (l *List) Values(column int) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for key, row := range l.texts {
			if !yield(key, l.Value(int(row), column)) {
				return
			}
		}
	}
}
