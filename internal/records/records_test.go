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
		if errors.Is(err, io.EOF) {
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
	} {
		t.Run(name, func(t *testing.T) {
			if got := all(t, strings.NewReader(c.in), 1<<20); strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
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
