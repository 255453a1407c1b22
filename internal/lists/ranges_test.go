package lists

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// TestTheNarrowestNetworkIsFound holds look-ups against going through all networks.
func TestTheNarrowestNetworkIsFound(t *testing.T) {
	part := rapid.SampledFrom([]byte{0, 1, 2, 127, 128, 254, 255})
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(part, 4, 4).Draw(t, "b")))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(part, 16, 16).Draw(t, "b"))).Unmap()
	})
	rapid.Check(t, func(t *rapid.T) {
		l := newList("x", "net")
		seen := map[netip.Prefix]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			a := addr.Draw(t, "net")
			p := netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
			if !seen[p] {
				seen[p] = true
				if wrong := l.add(p.String(), p.String()); wrong != nil {
					t.Fatal(wrong)
				}
			}
		}
		l.seal()
		for range 8 {
			a := addr.Draw(t, "addr")
			want := netip.Prefix{}
			for p := range seen {
				if p.Contains(a) && (!want.IsValid() || p.Bits() > want.Bits()) {
					want = p
				}
			}
			row, ok := l.FindAddr(a)
			if ok != want.IsValid() || ok && l.Value(row, 0) != want.String() || l.HasAddr(a) != ok {
				t.Fatalf("%s in %v: %v, want %v", a, seen, ok, want)
			}
		}
	})
}

func TestTheEndsOfTheFamilies(t *testing.T) {
	l, err := New("x", "0.0.0.0/1", "255.255.255.255", "ffff::/16", "::/128", "10.0.0.0/8", "10.255.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"0.0.0.0": true, "127.255.255.255": true, "128.0.0.0": false, "255.255.255.254": false, "255.255.255.255": true, "10.255.255.255": true, "11.0.0.0": true,
		"::": true, "::1": false, "fffe:ffff::": false, "ffff::": true, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": true,
	} {
		if l.HasAddr(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
	if l.HasAddr(netip.Addr{}) {
		t.Error("no address is in a network")
	}
	every, err := New("x", "0.0.0.0/0", "::/0")
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		if !every.HasAddr(netip.MustParseAddr(addr)) {
			t.Errorf("%s is in no network", addr)
		}
	}
}

func BenchmarkHasAddr(b *testing.B) {
	for _, n := range []int{4, 10_000, 1_000_000} {
		entries := make([]string, n)
		for i := range entries { // of all lengths from 12 to 32
			a := netip.AddrFrom4([4]byte{byte(i*7 + i>>16), byte(i >> 8 * 13), byte(i * 31), byte(i)})
			entries[i] = netip.PrefixFrom(a, 12+i%21).Masked().String()
		}
		l, err := New("x", entries...)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%d networks", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.HasAddr(netip.AddrFrom4([4]byte{byte(i * 11), byte(i >> 8), byte(i * 3), byte(i)}))
			}
		})
	}
}
