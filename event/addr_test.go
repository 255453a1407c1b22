package event

import (
	"net/netip"
	"testing"
	"time"
)

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "010.001.002.003": "10.1.2.3", "0.0.0.0": "0.0.0.0", "255.255.255.255": "255.255.255.255",
		"2001:DB8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "fe80::1%eth0": "fe80::1", "::ffff:203.0.113.9": "203.0.113.9", "::": "::",
	} {
		if a, ok := ParseAddr(in); !ok || a.String() != want {
			t.Errorf("%q: %v %v, want %s", in, a, ok, want)
		}
	}
	for _, in := range []string{"", ".", "1", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "1.2.3.256", "1.2.3.0004", "a.b.c.d", "::1::", "1:2", "host.example", "1.2.3.4:80", "[]", "%x", "1..2.3"} {
		if a, ok := ParseAddr(in); ok {
			t.Errorf("%q was read as %s", in, a)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParseAddr("host.example"); ParseAddr("1.2.3.999"); ParseAddr("1.2.3.4") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What net/netip reads, ParseAddr reads as the same address.
func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"203.0.113.9", "2001:db8::1", "::ffff:1.2.3.4", "010.1.2.3", "[::1]", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := ParseAddr(s)
		want, err := netip.ParseAddr(s)
		if err == nil && (!ok || a != want.WithZone("").Unmap()) {
			t.Fatalf("%q: %v %v, want %v", s, a, ok, want)
		}
		if ok && !a.IsValid() {
			t.Fatalf("%q: an address that is none", s)
		}
	})
}

func TestAppendTime(t *testing.T) {
	for _, ms := range []int64{0, 1, 999, -1, 1795514400123, minMillis, maxMillis, minMillis - 1, maxMillis + 1, 951782400000, -62135596799001} {
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(AppendTime(nil, ms)); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
}
