package lists

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
)

// none is the row of addresses that are in no network.
const none = int32(-1)

// point is an address of one family as a number.
type point struct{ hi, lo uint64 }

func pointOf(a netip.Addr) point {
	if a.Is4() {
		b := a.As4()
		return point{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (p point) less(q point) bool { return p.hi < q.hi || p.hi == q.hi && p.lo < q.lo }

// next is the number after p; ok is false after the last.
func (p point) next() (q point, ok bool) {
	q = point{p.hi, p.lo + 1}
	if q.lo == 0 {
		q.hi++
	}
	return q, q != point{}
}

// network is a network and the row of what is said of it.
type network struct {
	prefix netip.Prefix // masked; an address is a network of one
	row    int32
}

// last is a network's last address.
func (n network) last() point {
	p, bits := pointOf(n.prefix.Addr()), n.prefix.Addr().BitLen()-n.prefix.Bits()
	switch {
	case bits >= 128:
		return point{^uint64(0), ^uint64(0)}
	case bits >= 64:
		return point{p.hi | (1<<(bits-64) - 1), ^uint64(0)}
	}
	return point{p.hi, p.lo | (1<<bits - 1)}
}

// ranges says of every address of one family which network it lies in, and of several which is the narrowest: the family's numbers are cut
// wherever the answer changes, so that it is found by halving, however many networks and lengths there are.
type ranges struct {
	starts []point
	rows   []int32
}

// newRanges makes the ranges of networks of one family, which it sorts.
func newRanges(nets []network) ranges {
	slices.SortStableFunc(nets, func(a, b network) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	var r ranges
	var around []network // those that the walk is in, the narrowest last
	leave := func() {
		after, ok := around[len(around)-1].last().next()
		around = around[:len(around)-1]
		switch {
		case !ok:
		case len(around) > 0:
			r.cut(after, around[len(around)-1].row)
		default:
			r.cut(after, none)
		}
	}
	for _, n := range nets {
		from := pointOf(n.prefix.Addr())
		for len(around) > 0 && around[len(around)-1].last().less(from) {
			leave()
		}
		r.cut(from, n.row)
		around = append(around, n)
	}
	for len(around) > 0 {
		leave()
	}
	return ranges{slices.Clip(r.starts), slices.Clip(r.rows)}
}

// cut says that from a point on the answer is a row.
func (r *ranges) cut(at point, row int32) {
	n := len(r.starts)
	switch {
	case n > 0 && r.starts[n-1] == at:
		r.rows[n-1] = row
	case n == 0 || r.rows[n-1] != row:
		r.starts, r.rows = append(r.starts, at), append(r.rows, row)
	}
}

// find is the row of an address, or none.
func (r *ranges) find(a netip.Addr) int32 {
	p := pointOf(a)
	i := sort.Search(len(r.starts), func(i int) bool { return p.less(r.starts[i]) })
	if i == 0 {
		return none
	}
	return r.rows[i-1]
}
