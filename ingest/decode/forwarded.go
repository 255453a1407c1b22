package decode

import (
	"net/netip"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// maxHops bounds the addresses that are read from one header; a longer list is cut off on the left, which is the side that the
// client writes.
const maxHops = 32

// Forwarded reads the addresses of an X-Forwarded-For list or of the `for=` parts of a Forwarded header (RFC 7239), in the order
// written, into hops, which it returns: at most 32, the rightmost. Ports, quotes and brackets are left out, and so is what is no
// address.
func Forwarded(list string, hops []netip.Addr) []netip.Addr {
	hops = hops[:0]
	for i := 0; list != "" && i < maxHops; i++ {
		item := list
		if at := strings.LastIndexByte(list, ','); at >= 0 {
			list, item = list[:at], list[at+1:]
		} else {
			list = ""
		}
		if a, ok := hop(item); ok {
			hops = append(hops, a)
		}
	}
	for i, j := 0, len(hops)-1; i < j; i, j = i+1, j-1 {
		hops[i], hops[j] = hops[j], hops[i]
	}
	return hops
}

// hop reads one element: `1.2.3.4`, `1.2.3.4:80`, `"[2001:db8::1]:80"`, `for=…;proto=https`.
func hop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if i := strings.Index(s, "for="); i >= 0 {
		s = s[i+4:]
	} else if i := strings.Index(s, "For="); i >= 0 {
		s = s[i+4:]
	}
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s = s[:i]
	}
	s = strings.Trim(s, "\"' \\")
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s, ']'); i > 0 {
			return event.ParseAddr(s[:i+1])
		}
		return netip.Addr{}, false
	}
	if a, ok := event.ParseAddr(s); ok {
		return a, true
	}
	if i := strings.LastIndexByte(s, ':'); i > 0 && strings.IndexByte(s, ':') == i {
		return event.ParseAddr(s[:i])
	}
	return netip.Addr{}, false
}

// Client is the first address of the chain that no trusted proxy wrote about itself: from the peer to the left, the first that is
// not trusted, or the leftmost when all are. A peer that is not trusted can have written anything into the header, so it is the client.
// What is in proxies is trusted, and what private says is.
func Client(peer netip.Addr, hops []netip.Addr, proxies []netip.Prefix, private func(netip.Addr) bool) netip.Addr {
	client := peer
	for i := len(hops) - 1; i >= 0 && (!client.IsValid() || private(client) || within(client, proxies)); i-- {
		client = hops[i]
	}
	return client
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
