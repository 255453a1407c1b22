package lists

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func files(contents map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range contents {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestLoad(t *testing.T) {
	var d diag.List
	r := Load(files(map[string]string{
		"embargoed.txt":     "\ufeff# countries\nKP # North Korea\n\n  IR\t# Iran\nUA-43\n",
		"deep/scanners.txt": "203.0.113.9\n10.0.0.0/8\n2001:db8::/32\n::ffff:198.51.100.1\n/admin#top\nhttp://x/y\n",
		"README.md":         "not a list",
	}), &d)
	if len(d) > 0 {
		t.Fatal(d)
	}
	if got := r.Names(); !slices.Equal(got, []string{"embargoed", "scanners"}) {
		t.Fatalf("names %q", got)
	}
	e, _ := r.Get("embargoed")
	s, ok := r.Get("scanners")
	if !ok || e.Len() != 3 || s.Len() != 6 || e.Name() != "embargoed" || e.HasAddrs() || !s.HasAddrs() {
		t.Fatalf("%d and %d entries", e.Len(), s.Len())
	}
	for text, want := range map[string]bool{"KP": true, "IR": true, "UA-43": true, "kp": false, "": false, "KP # North Korea": false} {
		if e.HasText(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	for text, want := range map[string]bool{"/admin#top": true, "http://x/y": true, "10.0.0.0/8": true} {
		if s.HasText(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	for addr, want := range map[string]bool{
		"203.0.113.9": true, "203.0.113.8": false, "10.1.2.3": true, "11.0.0.0": false, "2001:db8:1::1": true, "2001:db9::": false,
		"::ffff:10.0.0.1": true, "198.51.100.1": true,
	} {
		if s.HasAddr(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
	if _, ok := r.Get("scanner"); ok {
		t.Error("a list that is not there was found")
	}
	var none *Registry
	if _, ok := none.Get("x"); ok || none.Names() != nil {
		t.Error("no registry has lists")
	}
}

func TestLoadReports(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"host bits": {"# x\n  10.0.0.1/8\n", `bad.txt:2:3: "10.0.0.1/8" has bits behind its length (did you mean 10.0.0.0/8?)`},
		"length":    {"10.0.0.0/33\n", `bad.txt:1:1: "10.0.0.0/33" is not a network`},
		"mapped":    {"::ffff:0.0.0.0/90\n", `wider than all IPv4`},
		"binary":    {"a\nb\xff\n", `bad.txt:2:1: an entry must be UTF-8`},
		"long":      {strings.Repeat("a", maxEntry+1), `at most 1024 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			var d diag.List
			Load(files(map[string]string{"bad.txt": c.text}), &d)
			if d.Err() == nil || !strings.Contains(d.String(), c.want) {
				t.Errorf("got %q, want %q", d, c.want)
			}
		})
	}
	var d diag.List
	Load(files(map[string]string{"a/x.txt": "1", "b/x.csv": "k,v\n1,2\n"}), &d)
	if !strings.Contains(d.String(), "b/x.csv: there is already a list x") {
		t.Errorf("got %q", d)
	}
	d = nil
	if Load(files(map[string]string{"log.txt": strings.Repeat("10.0.0.1/8\n", 5000)}), &d); len(d) != maxProblems {
		t.Errorf("%d mistakes are told of a file that is no list", len(d))
	}
}

func TestDefine(t *testing.T) {
	var d diag.List
	docs := diag.Documents("klaxon.yaml", []byte("lists:\n  vpn: [10.8.0.0/16, alice]\n  bad: ['', 1.2.3.4/99]\n"), &d)
	m, _ := docs[0].Map()
	inner, _ := m.Get("lists").Map()
	r := &Registry{}
	for _, p := range inner.Pairs() {
		r.Define(p.Key, p.Value)
	}
	vpn, ok := r.Get("vpn")
	if !ok || !vpn.HasText("alice") || !vpn.HasAddr(netip.MustParseAddr("10.8.3.4")) {
		t.Error("the inline list lacks its entries")
	}
	for _, want := range []string{"klaxon.yaml:3:9: lists.bad[0]: an entry is empty", "is not a network"} {
		if !strings.Contains(d.String(), want) {
			t.Errorf("got %q, want %q", d, want)
		}
	}
	r.LoadInto(files(map[string]string{"vpn.txt": "bob\n"}), &d)
	if own, _ := r.Get("vpn"); !own.HasText("bob") || own.HasText("alice") {
		t.Error("a later list does not replace an earlier one")
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	l, err := New("x", "10.0.0.0/8", "192.0.2.1", "2001:db8::/48", "alice")
	if err != nil {
		t.Fatal(err)
	}
	var d diag.List
	table, _ := Load(files(map[string]string{"x.csv": "net,owner\n10.0.0.0/8,us\n"}), &d).Get("x")
	a, b := netip.MustParseAddr("10.2.3.4"), netip.MustParseAddr("2001:db9::1")
	if n := testing.AllocsPerRun(100, func() {
		_ = l.HasAddr(a) && l.HasText("alice") && l.HasAddr(b)
		if row, ok := table.FindAddr(a); !ok || table.Value(row, 0) != "us" {
			t.Error("it is not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := New("x", "10.0.0.1/8"); err == nil {
		t.Error("host bits were taken")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("KP # x\n10.0.0.0/8\n::1\n"))
	f.Add([]byte("\ufeff#\n/\n10.0.0.0/-1\n::ffff:1.2.3.4/100\n"))
	f.Add([]byte("\ufeffaddress,owner\r\n10.0.0.0/8,\"a, b\"\r\n# x\n::1,c\n10.1.2.3,d\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"f.txt", "f.csv"} {
			var d diag.List
			r := Load(fstest.MapFS{name: &fstest.MapFile{Data: data}}, &d)
			l, ok := r.Get("f")
			if !ok {
				continue
			}
			l.HasText(string(data))
			if row, ok := l.FindAddr(netip.MustParseAddr("10.1.2.3")); ok {
				for i := range l.Columns() {
					l.Value(row, i)
				}
			}
			for i := range l.Columns() {
				for key := range l.Values(i) {
					if !l.HasText(key) {
						t.Fatalf("%q is a key and not found", key)
					}
				}
			}
		}
	})
}
