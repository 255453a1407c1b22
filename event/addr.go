package event

import (
	"net/netip"
	"strings"
)

// longestAddr is the longest text of an address without a zone: IPv6 with an IPv4 tail.
const longestAddr = 45

// ParseAddr reads an IPv4 or IPv6 address, also in brackets; a zone is left out, and IPv4 written as IPv6 is IPv4. The parts of an IPv4
// address are decimal, whether they are padded with zeros (`010.001.002.003`) or not: logs write them so, and none means octal. What is no
// address costs no allocation unless it has colons and only looks like one.
func ParseAddr(s string) (netip.Addr, bool) {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	if i := strings.IndexByte(s, '%'); i > 0 {
		s = s[:i]
	}
	colons := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ':':
			colons++
		case c == '.', c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return netip.Addr{}, false
		}
	}
	if colons == 0 {
		return parseIPv4(s)
	}
	if colons == 1 || len(s) > longestAddr {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func parseIPv4(s string) (netip.Addr, bool) {
	var parts [4]byte
	at := 0
	for n := range parts {
		value, start := 0, at
		for at < len(s) && at < start+3 && s[at] >= '0' && s[at] <= '9' {
			value = value*10 + int(s[at]-'0')
			at++
		}
		if at == start || value > 255 {
			return netip.Addr{}, false
		}
		parts[n] = byte(value)
		if n < 3 {
			if at >= len(s) || s[at] != '.' {
				return netip.Addr{}, false
			}
			at++
		}
	}
	return netip.AddrFrom4(parts), at == len(s)
}
