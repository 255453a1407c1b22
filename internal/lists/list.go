// Package lists holds named sets of texts, addresses and networks that conditions and enrichment look things up in. A registry
// is filled at load and immutable afterwards.
package lists

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// List is a named set. Once loaded it is immutable and safe for concurrent use; look-ups allocate nothing.
type List struct {
	name  string
	texts map[string]struct{}
	addrs map[netip.Addr]struct{}
	nets  map[netip.Prefix]struct{}
	bits4 []int // the prefix lengths that occur, the shortest first
	bits6 []int
}

func newList(name string) *List {
	return &List{name: name, texts: map[string]struct{}{}, addrs: map[netip.Addr]struct{}{}, nets: map[netip.Prefix]struct{}{}}
}

// New makes a list of entries, each written as a line of a list file would be. The error names the first entry that is wrong.
func New(name string, entries ...string) (*List, error) {
	l := newList(name)
	for _, e := range entries {
		if p := l.add(e); p != nil {
			return nil, fmt.Errorf("list %s: %s (%s)", name, p.message, p.hint)
		}
	}
	return l, nil
}

type problem struct{ message, hint string }

// add takes one entry. Every entry is a text; what is an address or a network is that too.
func (l *List) add(entry string) *problem {
	entry = strings.TrimSpace(entry)
	if entry == "" {
		return &problem{"an entry is empty", "leave the line out"}
	}
	if host, _, slash := strings.Cut(entry, "/"); slash {
		if _, ok := parseAddr(host); ok {
			return l.addNet(entry)
		}
	} else if a, ok := parseAddr(entry); ok {
		l.addrs[a] = struct{}{}
	}
	l.texts[entry] = struct{}{}
	return nil
}

func (l *List) addNet(entry string) *problem {
	p, err := netip.ParsePrefix(entry)
	if err != nil {
		return &problem{fmt.Sprintf("%q is not a network", entry), "write address/length, such as 10.0.0.0/8 or 2001:db8::/32"}
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return &problem{fmt.Sprintf("%q is wider than all IPv4 addresses written as IPv6", entry), "write the IPv4 network as such"}
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return &problem{fmt.Sprintf("%q has bits behind its length", entry), "did you mean " + p.Masked().String() + "?"}
	}
	l.nets[p] = struct{}{}
	l.texts[entry] = struct{}{}
	bits := &l.bits6
	if p.Addr().Is4() {
		bits = &l.bits4
	}
	if i, found := slices.BinarySearch(*bits, p.Bits()); !found {
		*bits = slices.Insert(*bits, i, p.Bits())
	}
	return nil
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
	a = a.Unmap()
	if _, ok := l.addrs[a]; ok {
		return true
	}
	bits := l.bits6
	if a.Is4() {
		bits = l.bits4
	}
	for _, n := range bits {
		p, err := a.Prefix(n)
		if err != nil {
			return false
		}
		if _, ok := l.nets[p]; ok {
			return true
		}
	}
	return false
}

// HasAddrs says whether the list holds addresses or networks at all.
func (l *List) HasAddrs() bool { return len(l.addrs) > 0 || len(l.nets) > 0 }
