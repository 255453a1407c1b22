package lists

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/internal/diag"
)

func TestTable(t *testing.T) {
	var d diag.List
	r := Load(files(map[string]string{"assets.csv": "\ufeff# who owns what\r\nnetwork, owner ,note\r\n\r\n10.0.0.0/8, platform,\"says \"\"hello, world\"\"\"\r\n" +
		"10.20.0.0/16,data,#1\r\n# 10.30.0.0/16,nobody,\r\n10.20.0.7,db,\r\n2001:db8::/32,six,x\r\nalice,people,y\r\n"}), &d)
	if len(d) > 0 {
		t.Fatal(d)
	}
	l, ok := r.Get("assets")
	if !ok || l.Len() != 5 || !slices.Equal(l.Columns(), []string{"owner", "note"}) {
		t.Fatalf("%+v", l)
	}
	for addr, want := range map[string]string{
		"10.1.2.3": `platform says "hello, world"`, "10.20.1.1": "data #1", "10.20.0.7": "db ", "::ffff:10.20.0.7": "db ", "10.30.1.1": `platform says "hello, world"`, "2001:db8::1": "six x", "192.0.2.1": "",
	} {
		row, ok := l.FindAddr(netip.MustParseAddr(addr))
		got := ""
		if ok {
			got = l.Value(row, 0) + " " + l.Value(row, 1)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if row, ok := l.FindText("alice"); !ok || l.Value(row, 0) != "people" {
		t.Error("alice is not found")
	}
	if _, ok := l.FindText("bob"); ok || l.HasText("owner") {
		t.Error("what is no key was found")
	}
	if i, ok := l.Column("note"); !ok || i != 1 {
		t.Error("there is no column note")
	}
	if _, ok := l.Column("network"); ok {
		t.Error("the keys are no column")
	}
	if got := maps.Collect(l.Values(0)); len(got) != 5 || got["10.20.0.7"] != "db" {
		t.Errorf("%v", got)
	}
}

func TestTableReports(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {"", "bad.csv:1:1: the table is empty"},
		"one column":          {"owner\nx\n", "bad.csv:1:1: the first line names one column"},
		"no name":             {"a,,c\n", "bad.csv:1:1: column 2 has no name"},
		"a name twice":        {"a,b,b\n", "the column b is named twice"},
		"many columns":        {strings.Repeat("a,", 70) + "b\n", "names 71 columns, and at most 64"},
		"too few":             {"a,b,c\nx,y\n", "bad.csv:2:1: the row has 2 values, and the first line names 3 columns"},
		"too many":            {"a,b\n# c\nx,y,z\n", "bad.csv:3:1: the row has 3 values, and the first line names 2 columns"},
		"no key":              {"a,b\n,y\n", "bad.csv:2:1: an entry is empty"},
		"a key twice":         {"a,b\nx,1\ny,2\nx,3\n", "bad.csv:4:1: the key x is there already, in line 2"},
		"a network twice":     {"a,b\n10.0.0.0/8,1\n::ffff:10.0.0.0/104,2\n", "bad.csv:3:1: the key ::ffff:10.0.0.0/104 is there already, in line 2"},
		"an address twice":    {"a,b\n10.0.0.1,1\n10.0.0.1/32,2\n", "is there already, in line 2"},
		"host bits":           {"a,b\n10.0.0.1/8,y\n", "bad.csv:2:1: \"10.0.0.1/8\" has bits behind its length (did you mean 10.0.0.0/8?)"},
		"a quote":             {"a,b\nx,\"y\nz,1\n", `is no CSV: `},
		"a quote in a value":  {"a,b\nx,y \"z\"\n", "bad.csv:2:5: is no CSV: "},
		"binary":              {"a,b\nx,\xff\n", "bad.csv:2:1: a value must be UTF-8"},
		"a long value":        {"a,b\nx," + strings.Repeat("y", maxEntry+1) + "\n", "at most 1024 bytes"},
		"binary in the names": {"a,\xff\n", "column 2 has no name"},
	} {
		t.Run(name, func(t *testing.T) {
			var d diag.List
			Load(files(map[string]string{"bad.csv": c.text}), &d)
			if d.Err() == nil || !strings.Contains(d.String(), c.want) {
				t.Errorf("got %q, want %q", d, c.want)
			}
			for _, one := range d {
				if one.Hint == "" || one.Line == 0 {
					t.Errorf("no place or no hint: %s", one)
				}
			}
		})
	}
	var d diag.List
	if Load(files(map[string]string{"bad.csv": "a,b\n" + strings.Repeat("x\n", 5000)}), &d); len(d) != maxProblems {
		t.Errorf("%d mistakes are told of one file", len(d))
	}
}
