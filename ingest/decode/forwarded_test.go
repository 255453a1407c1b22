package decode

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// trusting is Client with private peers and 192.0.2.0/24 trusted.
func trusting(peer string, hops []netip.Addr) string {
	private := func(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() }
	p, _ := netip.ParseAddr(peer)
	client, ok := Client(p, hops, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:ff::/48")}, private)
	if !ok {
		return "nobody knows"
	}
	return client.String()
}

func texts(hops []netip.Addr) string {
	var out []string
	for _, h := range hops {
		out = append(out, strings.Replace(h.String(), "invalid IP", "?", 1))
	}
	return strings.Join(out, " ")
}

func TestForwardedAndClient(t *testing.T) {
	for name, c := range map[string]struct{ peer, list, hops, client string }{
		"one proxy":                       {"10.0.0.1", "198.51.100.7", "198.51.100.7", "198.51.100.7"},
		"two proxies":                     {"10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7 10.0.0.2", "198.51.100.7"},
		"a spoofed prefix":                {"10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", "1.1.1.1 198.51.100.7 10.0.0.2", "198.51.100.7"},
		"a spoofed private prefix":        {"10.0.0.1", "10.9.9.9, 198.51.100.7", "10.9.9.9 198.51.100.7", "198.51.100.7"},
		"a stranger who forwards":         {"203.0.113.9", "198.51.100.7", "198.51.100.7", "203.0.113.9"},
		"a stranger in the middle":        {"10.0.0.1", "198.51.100.7, 203.0.113.9", "198.51.100.7 203.0.113.9", "203.0.113.9"},
		"a named proxy":                   {"192.0.2.1", "198.51.100.7", "198.51.100.7", "198.51.100.7"},
		"a named proxy over IPv6":         {"2001:db8:ff::1", "198.51.100.7, 2001:db8:ff::2", "198.51.100.7 2001:db8:ff::2", "198.51.100.7"},
		"all trusted":                     {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3 10.0.0.2", "10.0.0.3"},
		"no peer":                         {"", "198.51.100.7, 203.0.113.9", "198.51.100.7 203.0.113.9", "203.0.113.9"},
		"ports":                           {"10.0.0.1", "203.0.113.9:4711, 198.51.100.7:80", "203.0.113.9 198.51.100.7", "198.51.100.7"},
		"IPv6":                            {"10.0.0.1", "2001:db8::1", "2001:db8::1", "2001:db8::1"},
		"IPv6 in brackets, with a port":   {"10.0.0.1", "[2001:db8::1]:443", "2001:db8::1", "2001:db8::1"},
		"IPv6 in brackets":                {"10.0.0.1", "[2001:db8::1]", "2001:db8::1", "2001:db8::1"},
		"IPv4 written as IPv6":            {"10.0.0.1", "[::ffff:198.51.100.7]:80, ::ffff:10.0.0.2", "198.51.100.7 10.0.0.2", "198.51.100.7"},
		"a zone":                          {"10.0.0.1", "fe80::1%eth0", "fe80::1", "fe80::1"},
		"blanks and tabs":                 {"10.0.0.1", " 203.0.113.9 ,\t198.51.100.7\t", "203.0.113.9 198.51.100.7", "198.51.100.7"},
		"empty elements":                  {"10.0.0.1", ",198.51.100.7,,", "198.51.100.7", "198.51.100.7"},
		"a dash":                          {"10.0.0.1", "-", "", "10.0.0.1"},
		"nothing":                         {"203.0.113.9", "", "", "203.0.113.9"},
		"Forwarded":                       {"10.0.0.1", `for=198.51.100.7;proto=https, for="[2001:db8::1]:443"`, "198.51.100.7 2001:db8::1", "2001:db8::1"},
		"Forwarded in capitals":           {"10.0.0.1", `Proto=https; FOR="198.51.100.7:80" ;By=10.0.0.2`, "198.51.100.7", "198.51.100.7"},
		"Forwarded without for":           {"10.0.0.1", `for=1.1.1.1, proto=https;by=10.0.0.2`, "1.1.1.1 ?", "nobody knows"},
		"no parameter by its name's end":  {"10.0.0.1", `xfor=1.1.1.1;for=198.51.100.7`, "198.51.100.7", "198.51.100.7"},
		"a host that looks like it":       {"10.0.0.1", `host="for=1.1.1.1";for=198.51.100.7`, "198.51.100.7", "198.51.100.7"},
		"a host with commas":              {"10.0.0.1", `for=198.51.100.7;host="a, for=1.1.1.1"`, "198.51.100.7", "198.51.100.7"},
		"a host with escaped quotes":      {"10.0.0.1", `for=198.51.100.7;host="a\", for=1.1.1.1, \\\"b"`, "198.51.100.7", "198.51.100.7"},
		"a host that ends in a backslash": {"10.0.0.1", `for=203.0.113.9;host="a\\", for=198.51.100.7;host="b\\"`, "203.0.113.9 198.51.100.7", "198.51.100.7"},
		"as Apache logs it":               {"10.0.0.1", `for=1.1.1.1;host=\"x\\\", y\", for=\"[2001:db8::1]:443\"`, "1.1.1.1 2001:db8::1", "2001:db8::1"},
		"as nginx logs it":                {"10.0.0.1", `for=1.1.1.1;host=\x22x\x5C\x22, y\x22, for=\x22[2001:db8::1]:443\x22`, "1.1.1.1 2001:db8::1", "2001:db8::1"},
		"a quote that is never closed":    {"10.0.0.1", `for="1.1.1.1, for=198.51.100.7`, "1.1.1.1 198.51.100.7", "198.51.100.7"},
		"a quote before the last":         {"10.0.0.1", `x", 198.51.100.7`, "? 198.51.100.7", "198.51.100.7"},
		"unknown":                         {"10.0.0.1", "1.1.1.1, unknown", "1.1.1.1 ?", "nobody knows"},
		"unknown behind a proxy":          {"10.0.0.1", "for=1.1.1.1, for=_hidden, for=10.0.0.2", "1.1.1.1 ? 10.0.0.2", "nobody knows"},
		"unknown before the client":       {"10.0.0.1", "198.51.100.7:4711, unknown, [2001:db8::1], -", "198.51.100.7 ? 2001:db8::1", "2001:db8::1"},
		"garbage in brackets":             {"10.0.0.1", "[2001:db8::1]x, [2001:db8::1", "? ?", "nobody knows"},
		"addresses that are none":         {"10.0.0.1", "1.2.3.400, 1.2.3, 1:2:3, a.b.c.d:80, 300.1.1.1:80", "? ? ? ? ?", "nobody knows"},
		"garbage":                         {"10.0.0.1", "<script>alert(1)</script>", "?", "nobody knows"},
		"an attack in it":                 {"203.0.113.9", "${jndi:ldap://x}, 127.0.0.1", "? 127.0.0.1", "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			hops := Forwarded(c.list, nil)
			if got := texts(hops); got != c.hops {
				t.Errorf("%s: %s, want %s", c.list, got, c.hops)
			}
			if got := trusting(c.peer, hops); got != c.client {
				t.Errorf("%s over %s: %s, want %s", c.list, c.peer, got, c.client)
			}
		})
	}
}

// TestForwardedKeepsTheRight: the left side is what a client can make as long as it likes.
func TestForwardedKeepsTheRight(t *testing.T) {
	hops := Forwarded(strings.Repeat("1.1.1.1,", 100)+"198.51.100.7", nil)
	if len(hops) != maxHops || hops[maxHops-1].String() != "198.51.100.7" {
		t.Errorf("%d hops, the last %s", len(hops), hops[len(hops)-1])
	}
	hops = Forwarded("10.0.0.2, 10.0.0.3", hops) // the header a second time
	if len(hops) != maxHops || texts(hops[maxHops-3:]) != "198.51.100.7 10.0.0.2 10.0.0.3" {
		t.Errorf("%d hops: %s", len(hops), texts(hops))
	}
}

// TestNoPrefixMovesTheClient: whatever a client sends, a proxy that adds its address, in either form, is believed.
func TestNoPrefixMovesTheClient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.StringOfN(rapid.RuneFrom([]rune(`"\,;=[]: .17forFOR-`)), 0, 30, -1).Draw(t, "sent")
		added := rapid.SampledFrom([]string{"198.51.100.7", "198.51.100.7:80", "for=198.51.100.7", `for="198.51.100.7:80";proto=https`, `host="x\", for=1.1.1.1";for=198.51.100.7`}).Draw(t, "added")
		if got := trusting("10.0.0.1", Forwarded(sent+", "+added, nil)); got != "198.51.100.7" {
			t.Fatalf("%s, %s: %s", sent, added, got)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add("198.51.100.7:80, for=\"[::1]:5\", unknown")
	f.Add(`for=1.1.1.1;host="a\", for=2.2.2.2", "`)
	var buf []netip.Addr
	f.Fuzz(func(t *testing.T, list string) {
		buf = Forwarded(list, buf[:0])
		if len(buf) > maxHops {
			t.Fatalf("%d hops", len(buf))
		}
		if got := trusting("203.0.113.9", buf); got != "203.0.113.9" {
			t.Fatalf("%q is believed of a stranger: %s", list, got)
		}
		if got := trusting("10.0.0.1", Forwarded(list+",198.51.100.7", nil)); got != "198.51.100.7" {
			t.Fatalf("%q moves the client to %s", list, got)
		}
	})
}
