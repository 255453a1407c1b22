package enrich

import (
	"net/netip"
	"testing"
)

type counting struct{ asked int }

func (c *counting) Country(a netip.Addr) (string, bool) {
	c.asked++
	return Embedded{}.Country(a)
}

func TestCacheAnswersAsWhatItCaches(t *testing.T) {
	under := &counting{}
	c := NewCache(under, nil)
	for range 2 {
		for i := range 20000 {
			a := netip.AddrFrom4([4]byte{byte(i >> 6), byte(i), 1, byte(i >> 4)})
			want, _ := Embedded{}.Country(a)
			if got := c.Lookup(a); *got != (Info{Country: want}) {
				t.Fatalf("%s: %+v, want %q", a, got, want)
			}
		}
	}
	under.asked = 0
	a := netip.MustParseAddr("8.8.8.8")
	for range 10 {
		c.Lookup(a)
	}
	if under.asked > 1 {
		t.Errorf("asked %d times for one address", under.asked)
	}
	if got := NewCache(nil, nil).Lookup(a); *got != (Info{}) {
		t.Errorf("nobody knows %+v", got)
	}
}
