package event

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestAppendStringIsJSON: whatever the text and wherever in a word its bytes lie, JSON reads it back.
func TestAppendStringIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOfN(rapid.OneOf(rapid.ByteRange(0, 255), rapid.ByteRange('a', 'z'), rapid.SampledFrom([]byte{'"', '\\', 0x1f, 0x20, 0x21, 0x7f, 0x80})), 0, 40).Draw(t, "s"))
		want := ""
		for _, r := range s {
			want = string(utf8.AppendRune([]byte(want), r))
		}
		var got string
		if err := json.Unmarshal(AppendString(nil, s), &got); err != nil || got != want {
			t.Fatalf("%q is %s: %q, %v", s, AppendString(nil, s), got, err)
		}
	})
}

// TestDocumentNestsNames: keys that JSON escapes, and keys that share parents with those before and after them.
func TestDocumentNestsNames(t *testing.T) {
	s, err := NewSchema(Field{`v.a"b.c`, Keyword}, Field{`v.a"b.d`, Keyword}, Field{"v.ä.x", Keyword}, Field{"v.w.deep.er", Keyword}, Field{"v.w.x", Keyword})
	if err != nil {
		t.Fatal(err)
	}
	e := New(s)
	for _, f := range s.Fields()[len(s.Fields())-5:] {
		e.Set(s.ID(f.Name), f.Name)
	}
	want := `{"v":{"a\"b":{"c":"v.a\"b.c","d":"v.a\"b.d"},"w":{"deep":{"er":"v.w.deep.er"},"x":"v.w.x"},"ä":{"x":"v.ä.x"}}}`
	if got := string(e.AppendDocument(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
