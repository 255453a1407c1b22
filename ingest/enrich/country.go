// Package enrich says more about an event than its record does: where an address is, whose network it belongs to, and whether that
// network hides who is behind it. Countries come from a table that is built in, or all of it from MaxMind databases.
package enrich

import (
	"net/netip"

	"github.com/phuslu/iploc"
)

// Countries knows in which country an address is.
type Countries interface {
	// Country is the ISO 3166-1 alpha-2 code of an address; ok is false for what is in no country: private, loopback, unassigned.
	Country(a netip.Addr) (code string, ok bool)
}

// Embedded is the table that comes with klaxon, made from IP2Location LITE data. It is safe for concurrent use, and allocates nothing
// except the first time that it sees an IPv6 address, when it unpacks its table.
type Embedded struct{}

// Country looks an address up in the table.
func (Embedded) Country(a netip.Addr) (code string, ok bool) {
	a = public(a)
	if !a.IsValid() {
		return "", false
	}
	code = iploc.IPCountry(a)
	if !isCountry(code) {
		return "", false
	}
	return code, true
}

// carried is the IPv4 address inside an IPv6 one that only carries it (mapped, NAT64, 6to4), and any other address itself.
func carried(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		b := a.As16()
		switch {
		case [12]byte(b[:12]) == [12]byte{0, 0x64, 0xff, 0x9b}: // NAT64, 64:ff9b::/96
			a = netip.AddrFrom4([4]byte(b[12:]))
		case b[0] == 0x20 && b[1] == 0x02: // 6to4, 2002::/16
			a = netip.AddrFrom4([4]byte(b[2:6]))
		}
	}
	return a
}

// public is the address to look up, and no address at all for what is not on the public internet.
func public(a netip.Addr) netip.Addr {
	a = carried(a)
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is4() && special(a.As4()) {
		return netip.Addr{}
	}
	return a
}

// special says whether an IPv4 address is of 0.0.0.0/8 or of the space that carriers share, 100.64.0.0/10.
func special(b [4]byte) bool { return b[0] == 0 || b[0] == 100 && b[1]&0xc0 == 64 }

// Private says whether an address is not on the public internet: private, shared, loopback, link-local, unspecified.
func Private(a netip.Addr) bool { return !public(a).IsValid() }
