package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func testSchema(t testing.TB) *Schema {
	t.Helper()
	s, err := NewSchema(Field{"source.ip", IP}, Field{"source.port", Long}, Field{"user.name", Keyword}, Field{"user.risk.score", Double},
		Field{"event.action", Keyword}, Field{"mfa", Boolean}, Field{"vendor", Object}, Field{"vendor.a.b", Untyped}, Field{"items", Untyped},
		Field{"items[]", Elements}, Field{"$scratch", Keyword}, Field{"event.created", Date}, Field{"rest", Object})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testPlan(s *Schema) *Plan {
	return NewPlan(s, s.ID("rest"),
		Mapping{"src", s.ID("source.ip")}, Mapping{"source.ip", s.ID("source.ip")}, Mapping{"source.port", s.ID("source.port")},
		Mapping{"user.name", s.ID("user.name")}, Mapping{"score", s.ID("user.risk.score")}, Mapping{"mfa", s.ID("mfa")}, Mapping{"tags", Tags},
		Mapping{"a.b", s.ID("vendor.a.b")}, Mapping{"list.items", s.ID("items[]")}, Mapping{"list.items.x", s.ID("items")}, Mapping{"at", s.ID("event.created")})
}

func TestDecodeAndDocument(t *testing.T) {
	s := testSchema(t)
	for name, c := range map[string]struct{ in, want string }{
		"plain":           {`{"src":"203.0.113.9","source":{"port":22}}`, `{"source":{"ip":"203.0.113.9","port":22}}`},
		"dotted key":      {`{"source.ip":"::ffff:203.0.113.9"}`, `{"source":{"ip":"203.0.113.9"}}`},
		"array":           {`{"user":[{"name":"a"},{"name":"b"}]}`, `{"user":{"name":["a","b"]}}`},
		"null is absent":  {`{"user":{"name":null},"mfa":[]}`, `{}`},
		"empty is value":  {`{"user":{"name":""}}`, `{"user":{"name":""}}`},
		"bad type":        {`{"src":"nowhere","source":{"port":"x"}}`, `{"klaxon":{"bad_fields":["source.ip","source.port"]}}`},
		"numbers as text": {`{"source":{"port":"0443"},"user":{"name":5}}`, `{"source":{"port":443},"user":{"name":"5"}}`},
		"escapes":         {`{"user":{"name":"\u00e9\ud83d\ude00\n\"\ud800x"}}`, `{"user":{"name":"é😀\n\"�x"}}`},
		"rest":            {`{"x":{"y":[1, 2]},"mfa":true,"z":"\u0041"}`, `{"mfa":true,"rest":{"x":{"y":[1, 2]},"z":"\u0041"}}`},
		"untyped":         {`{"a":{"b":[1,2.5,"x",true]}}`, `{"vendor":{"a":{"b":[1,2.5,"x",true]}}}`},
		"elements":        {`{"list":{"items":[{"x":1},{"x":"2"}]}}`, `{"items":[1,"2"]}`},
		"array of one":    {`{"tags":"x"}`, `{"tags":["x"]}`},
		"time":            {`{"at":1700000000}`, `{"event":{"created":"2023-11-14T22:13:20.000Z"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(s)
			if err := e.DecodeJSON(testPlan(s), []byte(c.in)); err != nil {
				t.Fatal(err)
			}
			if got := string(e.AppendDocument(nil)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestElementsKeepTheirJSON(t *testing.T) {
	s := testSchema(t)
	e := New(s)
	if err := e.DecodeJSON(testPlan(s), []byte(`{"list":{"items":[{"x":1},{"x":2}]}}`)); err != nil {
		t.Fatal(err)
	}
	if got := e.Text(s.ID("items[]")); got != `[{"x":1},{"x":2}]` {
		t.Errorf("got %s", got)
	}
}

func TestObjectCoversItsFields(t *testing.T) {
	s := testSchema(t)
	e := New(s)
	e.Add(s.ID("vendor.a.b"), "1")
	e.AddRaw(s.ID("vendor"), []byte("{\"a\":\n{\"b\":1}}"))
	e.Add(s.ID("$scratch"), "gone")
	if got, want := string(e.AppendDocument(nil)), `{"vendor":{"a":{"b":1}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecodeRefusesWhatIsNotJSON(t *testing.T) {
	s := testSchema(t)
	p := testPlan(s)
	for in, offset := range map[string]int{
		``: 0, `[]`: 0, `{`: 1, `{"a":1`: 6, `{"a":01}`: 5, `{"a":1,}`: 7, `{"a" 1}`: 5, "{\"a\":\"\x00\"}": 6, `{"a":"\x"}`: 6,
		`{"a":1} x`: 8, `{"a":tru}`: 5, `{"a":1.}`: 7, `{"a":-}`: 6, `{"a":1e}`: 7, strings.Repeat(`{"a":`, 10000): 5*maxJSONDepth + 1,
	} {
		e := New(s)
		err := e.DecodeJSON(p, []byte(in))
		var je *JSONError
		if !errors.As(err, &je) || je.Offset != offset {
			t.Errorf("%.40q: %v, want offset %d", in, err, offset)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	s := testSchema(t)
	p := testPlan(s)
	in := []byte(`{"src":"2001:db8::1","source":{"port":22},"user":{"name":"A\u0042c"},"score":1.5,"x":[1,{"y":2}],"at":"2026-11-24T10:00:00.123+01:00"}`)
	e := New(s)
	var doc []byte
	run := func() {
		e.Reset(s)
		if err := e.DecodeJSON(p, in); err != nil {
			t.Fatal(err)
		}
		e.SetTime(1700000000000)
		e.Lower(e.First(s.ID("user.name")))
		doc = e.AppendDocument(doc[:0])
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func TestExtendKeepsIds(t *testing.T) {
	s := testSchema(t)
	n, err := s.Extend(Field{"a.new", Keyword}, Field{"source.ip", IP})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Fields() {
		if s.ID(f.Name) != n.ID(f.Name) {
			t.Errorf("%s moved", f.Name)
		}
	}
	if s.ID("a.new") != 0 || n.ID("a.new") == 0 {
		t.Error("the old schema changed, or the new one did not")
	}
	if _, err := s.Extend(Field{"source.ip", Keyword}); err == nil {
		t.Error("a second type was taken")
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]int64{
		"2026-11-24T10:00:00Z": 1795514400000, "2026-11-24 10:00:00,5": 1795514400500, "2026-11-24T11:00:00.123456+01:00": 1795514400123,
		"2026-11-24T10:00:00-0030": 1795516200000, "1795514400": 1795514400000, "1795514400.25": 1795514400250, "1795514400123": 1795514400123,
		"1795514400123456": 1795514400123, "1795514400123456789": 1795514400123,
	} {
		if got, ok := ParseTime(in); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "x", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-24", "-5", "NaN", "2026-11-24T10:00:00+99"} {
		if ms, ok := ParseTime(in); ok {
			t.Errorf("%q was read as %d", in, ms)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{"src":"203.0.113.9","source":{"port":22}}`, `{"a":{"b":[1,2.5,"x",true,null]}}`, `{"user":{"name":"\u00e9\ud83d\ude00"}}`,
		`{"list":{"items":[{"x":1},{"x":"2"}]},"z":-0.5e-7}`, `{"z":1,"z":2e999,"y":{"a":1,"\u0061":2,"\u0000":[]}}`, "{\"z\":\"\xff\"}", "{\"\xff\":1,\"\xfe\":{\"\xff\":1,\"\ufffd\":1}}"} {
		f.Add([]byte(s))
	}
	s := testSchema(f)
	p := testPlan(s)
	e := New(s)
	f.Fuzz(func(t *testing.T, in []byte) {
		e.Reset(s)
		err := e.DecodeJSON(p, in)
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(in))
		d.UseNumber()
		std := d.Decode(&m)
		if std == nil && !json.Valid(in) {
			std = errors.New("something follows")
		}
		if utf8.Valid(in) && (err == nil) != (std == nil && m != nil) && !strings.Contains(errText(err), "deeper") {
			t.Fatalf("we say %v, encoding/json says %v: %q", err, std, in)
		}
		if err != nil {
			return
		}
		doc := e.AppendDocument(nil)
		var back map[string]any
		if err := json.Unmarshal(doc, &back); err != nil || !utf8.Valid(doc) {
			t.Fatalf("the document is not JSON: %v\n%q\nfrom %q", err, doc, in)
		}
		if err := strictKeys(json.NewDecoder(bytes.NewReader(doc))); err != nil {
			t.Fatalf("archives reject %v\n%q\nfrom %q", err, doc, in)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDocumentFieldOrderIsStable(t *testing.T) {
	s := testSchema(t)
	a, b := New(s), New(s)
	for _, f := range []string{"user.name", "event.action", "user.risk.score"} {
		a.Add(s.ID(f), "1")
	}
	for _, f := range []string{"user.risk.score", "event.action", "user.name"} {
		b.Add(s.ID(f), "1")
	}
	if x, y := a.AppendDocument(nil), b.AppendDocument(nil); !reflect.DeepEqual(x, y) {
		t.Errorf("%s\n%s", x, y)
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	s := testSchema(b)
	p := testPlan(s)
	in := []byte(`{"eventVersion":"1.08","src":"2001:db8::1","source":{"port":22},"user":{"name":"A\u0042c"},"score":1.5,"x":[1,{"y":2}],"at":"2026-11-24T10:00:00.123+01:00","` +
		strings.Repeat("k", 30) + `":"` + strings.Repeat("v", 300) + `"}`)
	e := New(s)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		e.Reset(s)
		if err := e.DecodeJSON(p, in); err != nil {
			b.Fatal(err)
		}
	}
}
