package enrich

import (
	"net/netip"
	"testing"
)

func TestCountry(t *testing.T) {
	for in, want := range map[string]string{
		"8.8.8.8": "US", "::ffff:8.8.8.8": "US", "64:ff9b::808:808": "US", "2002:808:808::1": "US", "2001:4860:4860::8888": "US",
		"5.160.0.1": "IR", "175.45.176.1": "KP", "2001:67c:18::1": "", "10.0.0.1": "", "192.168.1.1": "", "127.0.0.1": "", "::1": "", "fe80::1": "", "fd00::1": "",
		"0.0.0.0": "", "0.1.2.3": "", "255.255.255.255": "", "100.64.0.1": "", "169.254.0.1": "", "224.0.0.1": "", "::": "",
	} {
		got, ok := Embedded{}.Country(netip.MustParseAddr(in))
		if ok != (got != "") || want != "" && got != want {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
		if want == "" && ok && in != "2001:67c:18::1" {
			t.Errorf("%s: %q, want none", in, got)
		}
	}
	if _, ok := (Embedded{}).Country(netip.Addr{}); ok {
		t.Error("no address is in a country")
	}
}

// Every address gets an answer without a panic, the ends of the ranges among them.
func TestCountryOfAnyAddress(t *testing.T) {
	for i := range 1 << 16 {
		a4 := netip.AddrFrom4([4]byte{byte(i >> 8), byte(i), byte(i * 7), byte(i * 13)})
		a6 := netip.AddrFrom16([16]byte{byte(i >> 8), byte(i), byte(i * 7), byte(i * 13), 15: byte(i)})
		for _, a := range []netip.Addr{a4, a6} {
			if code, ok := (Embedded{}).Country(a); ok && len(code) != 2 {
				t.Fatalf("%s: %q", a, code)
			}
		}
	}
}
