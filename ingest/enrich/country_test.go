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

type counting struct{ asked int }

func (c *counting) Country(a netip.Addr) (string, bool) {
	c.asked++
	return Embedded{}.Country(a)
}

func TestCacheAnswersAsWhatItCaches(t *testing.T) {
	under := &counting{}
	c := NewCache(under)
	for range 2 {
		for i := range 20000 {
			a := netip.AddrFrom4([4]byte{byte(i >> 6), byte(i), 1, byte(i >> 4)})
			want, wantOK := Embedded{}.Country(a)
			if got, ok := c.Country(a); got != want || ok != wantOK {
				t.Fatalf("%s: %q %v, want %q %v", a, got, ok, want, wantOK)
			}
		}
	}
	under.asked = 0
	a := netip.MustParseAddr("8.8.8.8")
	for range 10 {
		c.Country(a)
	}
	if under.asked > 1 {
		t.Errorf("asked %d times for one address", under.asked)
	}
}

func TestNoAllocations(t *testing.T) {
	c := NewCache(Embedded{})
	a, b := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:4860:4860::8888")
	Embedded{}.Country(b)
	if n := testing.AllocsPerRun(100, func() { c.Country(a); c.Country(b); Embedded{}.Country(a); Embedded{}.Country(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCache(b *testing.B) {
	c := NewCache(Embedded{})
	a := netip.MustParseAddr("8.8.8.8")
	for b.Loop() {
		c.Country(a)
	}
}
