package decode

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestAppendStructured(t *testing.T) {
	for in, want := range map[string]string{
		``:                          `{}`,
		`-`:                         `{}`,
		`[id]`:                      `{"id":{}}`,
		`[e@1 a="x" b=""][f c="y"]`: `{"e@1":{"a":"x","b":""},"f":{"c":"y"}}`,
		`[e a="\" \\ \] \n"]`:       `{"e":{"a":"\" \\ ] \\n"}}`,
		`[e a="]"]`:                 `{"e":{"a":"]"}}`,
		`[e a="1"][f a=1][g a="1"]`: `{"e":{"a":"1"}}`,
		`[e  a="1"  b="2" ]`:        `{"e":{"a":"1","b":"2"}}`,
		`[`:                         `{}`,
		`[e a="`:                    `{}`,
		"[e a=\"\xff\x01\"]":        `{"e":{"a":"` + "\ufffd" + `\u0001"}}`,
		`[e a="1" a="2"]`:           `{"e":{"a":"1","a":"2"}}`,
	} {
		if got := string(AppendStructured(nil, in)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func FuzzAppendStructured(f *testing.F) {
	for _, s := range []string{`[e@1 a="x] \" y"][f b=""]`, `[id]`, `[e a="\\\]" ]`, "[e \xff=\"\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if out := AppendStructured(nil, s); !json.Valid(out) || !utf8.Valid(out) {
			t.Fatalf("%q gives %q", s, out)
		}
	})
}
