package records

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func all(t *testing.T, in io.Reader, limit int) []string {
	t.Helper()
	r, err := NewReader(in, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []string
	for {
		b, err := r.Next()
		var broken *Broken
		if errors.Is(err, io.EOF) || errors.As(err, &broken) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
}

func TestReaderFindsOutWhatItReads(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"lines":          {"a\r\nb\n\nc", []string{"a", "b", "", "c"}},
		"ndjson":         {"{\"a\":1}\n{\"b\":2}\n", []string{`{"a":1}`, `{"b":2}`}},
		"array":          {"[ {\"a\":[1,\"]}\"]},\n {\"b\":2} ]", []string{`{"a":[1,"]}"]}`, `{"b":2}`}},
		"pretty":         {"{\n \"a\": 1\n}\n{\n \"b\": \"\\\"}\"\n}\n", []string{"{\n \"a\": 1\n}", "{\n \"b\": \"\\\"}\"\n}"}},
		"bracketed line": {"[error] x\n[notice] y", []string{"[error] x", "[notice] y"}},
		"broken object":  {"{\n \"a\": [1\n", []string{"{\n \"a\": [1\n"}},
		"cut ndjson":     {"{\"a\":\n{\"b\":2}\n", []string{`{"a":`, `{"b":2}`}},
		"nothing":        {"", nil},
		"marked array":   {"\xef\xbb\xbf[{\"a\":1}]", []string{`{"a":1}`}},
		"two arrays":     {"[{\"a\":1}]\n[{\"b\":2}]\n", []string{`{"a":1}`, `{"b":2}`}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := all(t, strings.NewReader(c.in), 1<<20); strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestReaderTellsWhatIsBroken: the records are given all the same, and what may be missing is told once, at the end.
func TestReaderTellsWhatIsBroken(t *testing.T) {
	for in, c := range map[string]struct {
		records int
		want    string
	}{
		`[{"a":1},{"a":2}`:              {2, "it ends before the array does, at byte 16"},
		`[{"a":1},{"a":`:                {2, "it ends in the middle of a record, at byte 14"},
		`[{"a":1},,{"a":2}]`:            {2, "there is a comma too many, at byte 9"},
		`[{"a":1},{"a":2},]`:            {2, "the array ends where it should not, at byte 17"},
		`[{"a":1}{"a":2}]`:              {2, "a comma is missing, at byte 8"},
		`[{"a":1}] {"a":2}`:             {2, "something follows the array, at byte 10"},
		"[\n":                           {1, ""},
		"{\n\"a\":1}\n{\n\"a\"":         {2, "it ends in the middle of a record, at byte 14"},
		"{\n\"a\":1}\n}\n{\n\"a\":1}\n": {3, "there is something that is no object, at byte 9"},
		`[{"a":1},{"a":2}]`:             {2, ""},
		"{\n\"a\":1}\n{\n\"a\":1}\n":    {2, ""},
	} {
		r, err := NewReader(strings.NewReader(in), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; err == nil; n++ {
			_, err = r.Next()
		}
		got := ""
		var broken *Broken
		if errors.As(err, &broken) {
			got = err.Error()
		} else if !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", in, err)
		}
		if n-1 != c.records || got != c.want {
			t.Errorf("%q: %d records and %q, want %d and %q", in, n-1, got, c.records, c.want)
		}
	}
}

func TestReaderUnpacks(t *testing.T) {
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	_, _ = g.Write([]byte("a\nb\n"))
	_ = g.Close()
	z, _ := zstd.NewWriter(&zs)
	_, _ = z.Write([]byte("a\nb\n"))
	_ = z.Close()
	for _, in := range []io.Reader{&gz, &zs} {
		if got := all(t, in, 1<<20); strings.Join(got, "|") != "a|b" {
			t.Errorf("got %q", got)
		}
	}
}

func TestReaderBoundsARecord(t *testing.T) {
	got := all(t, strings.NewReader(strings.Repeat("x", 300<<10)+"\ny\n"), 1000)
	if len(got) != 2 || len(got[0]) != 1001 || got[1] != "y" {
		t.Errorf("%d records, the first of %d bytes", len(got), len(got[0]))
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("[{\"a\":1},{\"b\":2}]"))
	f.Add([]byte("a\nb"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in), 1<<10)
		if err != nil {
			return
		}
		defer r.Close()
		for range 1 << 12 {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
