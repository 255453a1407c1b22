package decode

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// maxHops bounds the addresses that are read of one chain; a longer one is cut off on the left, which is the side that the client writes.
const maxHops = 32

// Forwarded appends the addresses of an X-Forwarded-For list, or of the `for=` parts of a Forwarded header (RFC 7239), to hops, in the
// order written, and keeps of all the 32 rightmost. Ports, quotes and brackets are left out. What is no address, such as `unknown`, is
// there as the zero Addr: somebody stands there, and nobody knows who. Empty elements, and a lone `-`, are left out.
func Forwarded(list string, hops []netip.Addr) []netip.Addr {
	start := len(hops)
	list = unescaped(list)
	for n := 0; list != "" && n < maxHops; n++ {
		var item string
		list, item = cutLast(list)
		if item = strings.TrimSpace(item); item != "" && item != "-" {
			hops = append(hops, hop(item))
		}
	}
	slices.Reverse(hops[start:])
	if more := len(hops) - maxHops; more > 0 {
		hops = hops[:copy(hops, hops[more:])]
	}
	return hops
}

// unescaped takes off the escapes that access logs put on quotes, `\"` or `\x22`: a header as it was sent has some without. Only such a
// text costs an allocation.
func unescaped(list string) string {
	if strings.IndexByte(list, '\\') < 0 {
		return list
	}
	for i := 0; i < len(list); i++ {
		if list[i] == '"' && !escaped(list, i) {
			return list
		}
	}
	if strings.Contains(list, `\x22`) {
		return strings.ReplaceAll(strings.ReplaceAll(list, `\x22`, `"`), `\x5C`, `\`)
	}
	return strings.ReplaceAll(strings.ReplaceAll(list, `\"`, `"`), `\\`, `\`)
}

// cutLast cuts the last element off a list. It reads from the right, where the proxies that are trusted wrote: a quote that a client opened
// further left and never closed hides nothing of what they added.
func cutLast(list string) (rest, last string) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch c := list[i]; {
		case c == '"' && !(quoted && escaped(list, i)):
			quoted = !quoted
		case c == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return "", list
}

// escaped says whether an odd number of backslashes stands before a byte.
func escaped(s string, i int) bool {
	n := 0
	for i > n && s[i-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// hop reads one element: `1.2.3.4`, `1.2.3.4:80`, `"[2001:db8::1]:80"`, `proto=https;for=…`; the zero Addr is none.
func hop(s string) netip.Addr {
	if strings.IndexByte(s, '=') >= 0 {
		s = forParameter(s)
	}
	s = strings.Trim(s, "\"' \t\\")
	if strings.HasPrefix(s, "[") {
		i := strings.IndexByte(s, ']')
		if i < 0 || i+1 < len(s) && s[i+1] != ':' {
			return netip.Addr{}
		}
		s = s[:i+1]
	}
	a, ok := event.ParseAddr(s)
	if i := strings.IndexByte(s, ':'); !ok && i > 0 {
		a, _ = event.ParseAddr(s[:i]) // with a port; what has more colons begins with no address
	}
	return a
}

// forParameter is the value of the first parameter of an element that is called `for`, in whatever case. What others hold in quotes, as a
// host that the client chose, is no parameter.
func forParameter(element string) string {
	for element != "" {
		end := pairEnd(element)
		name, value, _ := strings.Cut(element[:end], "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return strings.TrimSpace(value)
		}
		element = element[min(end+1, len(element)):]
	}
	return ""
}

// pairEnd is where the first parameter ends: at a semicolon outside quotes.
func pairEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			return i
		}
	}
	return len(s)
}

// Client is the first address of the chain that no trusted proxy wrote about itself: from the peer to the left, the first that is
// not trusted, or the leftmost when all are. A peer that is not trusted can have written anything into the header, so it is the client.
// What is in proxies is trusted, and what private says is. ok is false where a trusted proxy wrote down something else than an address:
// what stands left of that can be anybody's.
func Client(peer netip.Addr, hops []netip.Addr, proxies []netip.Prefix, private func(netip.Addr) bool) (client netip.Addr, ok bool) {
	client = peer
	for i := len(hops) - 1; i >= 0 && (!client.IsValid() || private(client) || within(client, proxies)); i-- {
		if client = hops[i]; !client.IsValid() {
			return netip.Addr{}, false
		}
	}
	return client, client.IsValid()
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
