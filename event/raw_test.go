package event

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What takes a whole array does not take its elements away from the fields that take single values.
func TestRawAndPlainTargets(t *testing.T) {
	s, err := NewSchema(Field{"user.roles", Keyword}, Field{"r.list", Untyped}, Field{"r.list[]", Elements}, Field{"r.list.x", Untyped}, Field{"labels", Object}, Field{"n", Long})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlan(s, 0, Mapping{"list", s.ID("user.roles")}, Mapping{"list", s.ID("r.list")}, Mapping{"list", s.ID("r.list[]")}, Mapping{"list.x", s.ID("r.list.x")},
		Mapping{"list", s.ID("n")})
	for in, want := range map[string][4]string{
		`"x"`:                     {"x", "x", "", ""},
		`["x","y"]`:               {"x y", "x y", `["x","y"]`, ""},
		`[["x"],[["y",null]],7]`:  {"x y 7", "x y 7", `[["x"],[["y",null]],7]`, ""},
		`[{"x":1},"y",{"x":"z"}]`: {"y", "y", `[{"x":1},"y",{"x":"z"}]`, "1 z"},
		`[true,1.5]`:              {"true 1.5", "true 1.5", `[true,1.5]`, ""},
		`{"x":3}`:                 {"", "", `{"x":3}`, "3"},
		`[{"x":1,"x":2}]`:         {"", "", `[{"x":1,"x":2}]`, "1 2"}, // conditions see both
		`null`:                    {"", "", "", ""},
	} {
		e := New(s)
		if err := e.DecodeJSON(p, []byte(`{"list":`+in+`}`)); err != nil {
			t.Fatal(err)
		}
		for i, f := range []string{"user.roles", "r.list", "r.list[]", "r.list.x"} {
			if got := texts(e, s.ID(f)); got != want[i] {
				t.Errorf("%s: %s is %q, want %q", in, f, got, want[i])
			}
		}
	}
}

func texts(e *Event, f FieldID) string {
	var out []string
	for v := e.First(f); v != nil; v = e.Next(v) {
		out = append(out, v.Text())
	}
	return strings.Join(out, " ")
}

func keepSchema(t testing.TB) (*Schema, *Plan, *Plan) {
	s, err := NewSchema(Field{"vendor", Object}, Field{"vendor.a", Untyped}, Field{"rest", Object}, Field{"labels", Object}, Field{"geo.location", Object}, Field{"items[]", Elements})
	if err != nil {
		t.Fatal(err)
	}
	return s, NewPlan(s, 0, Mapping{"", s.ID("vendor")}, Mapping{"a", s.ID("vendor.a")}), NewPlan(s, s.ID("rest"), Mapping{"labels", s.ID("labels")}, Mapping{"geo.location", s.ID("geo.location")})
}

// What an archive would reject is not in the document.
func TestWhatArchivesReject(t *testing.T) {
	s, whole, rest := keepSchema(t)
	long, deep := strings.Repeat("k", 40000), strings.Repeat(`{"`+strings.Repeat("d", 900)+`":`, 40)
	for name, c := range map[string]struct{ in, whole, rest string }{
		"nothing":           {`{"a":1, "b":[1e5]}`, `{"a":1, "b":[1e5]}`, `{"a":1,"b":[1e5]}`},
		"root":              {`{"a":1,"b":2, "a":3}`, `{"b":2, "a":3}`, `{"b":2,"a":3}`},
		"thrice":            {`{"a":1,"a":2,"a":3}`, `{"a":3}`, `{"a":3}`},
		"escaped":           {`{"a":1,"\u0061":2}`, `{"\u0061":2}`, `{"\u0061":2}`},
		"nested":            {`{"x":{"y":[{"z":1,"z":2},{"z":3}]},"z":0}`, `{"x":{"y":[{"z":2},{"z":3}]},"z":0}`, `{"x":{"y":[{"z":2},{"z":3}]},"z":0}`},
		"in what goes":      {`{"x":{"y":1,"y":2},"x":{"y":3}}`, `{"x":{"y":3}}`, `{"x":{"y":3}}`},
		"labels":            {`{"labels":{"y":1,"y":2},"q":0}`, `{"labels":{"y":2},"q":0}`, `{"q":0}`},
		"a range":           {`{"x":1e999999,"y":[-1E+400,1e-999999,1e300]}`, `{"x":"1e999999","y":["-1E+400",1e-999999,1e300]}`, `{"x":"1e999999","y":["-1E+400",1e-999999,1e300]}`},
		"digits":            {`{"x":` + strings.Repeat("7", 2000) + `}`, `{"x":"` + strings.Repeat("7", 2000) + `"}`, `{"x":"` + strings.Repeat("7", 2000) + `"}`},
		"nul":               {`{"a\u0000":1,"a\ufffd":2}`, `{"a\ufffd":2}`, `{"a\ufffd":2}`},
		"not UTF-8":         {"{\"\xff\":1,\"\xfe\":2,\"y\":\"\xff\"}", "{\"\ufffd\":2,\"y\":\"\xff\"}", "{\"\ufffd\":2,\"y\":\"\xff\"}"},
		"nul, once":         {`{"\u0000":{"\u0000":"\u0000"}}`, "{\"\ufffd\":{\"\ufffd\":\"\\u0000\"}}", "{\"\ufffd\":{\"\ufffd\":\"\\u0000\"}}"},
		"a long key":        {`{"` + long + `":1}`, `{"` + long[:32] + `…":1}`, `{"` + long[:32] + `…":1}`},
		"a dot is a level":  {`{"a.b":1,"a":{"b":2}}`, `{"a.b":1,"a":{"b":2}}`, `{"a.b":1,"a":{"b":2}}`},
		"keys of the value": {`{"x":"\"x\":1","y":"{","x":"}"}`, `{"y":"{","x":"}"}`, `{"y":"{","x":"}"}`},
	} {
		for i, p := range []*Plan{whole, rest} {
			e := New(s)
			if err := e.DecodeJSON(p, []byte(c.in)); err != nil {
				t.Fatal(err)
			}
			f, want := [...]string{"vendor", "rest"}[i], [...]string{c.whole, c.rest}[i]
			if got := e.Text(s.ID(f)); got != want {
				t.Errorf("%s: %s is %.200s, want %.200s", name, f, got, want)
			}
		}
	}
	e := New(s)
	if err := e.DecodeJSON(whole, []byte(deep+"1"+strings.Repeat("}", 40))); err != nil {
		t.Fatal(err)
	}
	if n := len(e.Text(s.ID("vendor"))); n > longestPath+40*(shortenedKey+10) {
		t.Errorf("keys of %d bytes", n)
	}
}

func TestDuplicatesInLabels(t *testing.T) {
	s, _, rest := keepSchema(t)
	e := New(s)
	if err := e.DecodeJSON(rest, []byte(`{"labels":{"y":1,"y":2},"x":1,"labels":[{"z":3}]}`)); err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.AppendDocument(nil)), `{"labels":[{"y":2},[{"z":3}]],"rest":{"x":1}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A field that is an object to the archive takes nothing else.
func TestObjectsTakeObjects(t *testing.T) {
	s, _, rest := keepSchema(t)
	for in, want := range map[string]string{
		`{"labels":"x"}`:                           `{"klaxon":{"bad_fields":["labels"]}}`,
		`{"labels":[{"a":"]}"},1]}`:                `{"klaxon":{"bad_fields":["labels"]}}`,
		`{"labels":[{"a":"]\"}"},[null,{"b":1}]]}`: `{"labels":[{"a":"]\"}"},[null,{"b":1}]]}`,
		`{"labels":null}`:                          `{}`,
		`{"geo":{"location":[1.5,2]}}`:             `{"geo":{"location":[1.5,2]}}`,
		`{"geo":{"location":"1.5,2"}}`:             `{"geo":{"location":"1.5,2"}}`,
	} {
		e := New(s)
		if err := e.DecodeJSON(rest, []byte(in)); err != nil {
			t.Fatal(err)
		}
		if got := string(e.AppendDocument(nil)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestTextIsJSONWhereJSONIsWanted(t *testing.T) {
	s, _, _ := keepSchema(t)
	for _, c := range []struct{ field, text, want string }{
		{"labels", `{"a":1}`, `{"a":1}`}, {"labels", " [{}]\n", `[{}]`}, {"labels", `{"a":1,"a":2e999}`, `{"a":"2e999"}`}, {"items[]", `[1,2]`, `[1,2]`},
		{"geo.location", `[1,2]`, `[1,2]`},
		{"labels", ``, ""}, {"labels", `x`, ""}, {"labels", `{"a":1`, ""}, {"labels", `{"a":1} x`, ""}, {"labels", `5`, ""}, {"labels", `null`, ""}, {"labels", `[1]`, ""},
		{"items[]", `1`, ""}, {"items[]", `[`, ""}, {"labels", `{"a":01}`, ""}, {"labels", "  ", ""},
	} {
		for how, add := range map[string]func(*Event, FieldID, string) bool{"add": (*Event).Add, "set": (*Event).Set} {
			e := New(s)
			f := s.ID(c.field)
			ok := add(e, f, c.text)
			if got := e.Text(f); got != c.want || ok != (c.want != "") || e.Has(BadFields) == ok {
				t.Errorf("%s %s %q: %v, %q; bad: %q", how, c.field, c.text, ok, got, e.Text(BadFields))
			}
			if doc := e.AppendDocument(nil); !json.Valid(doc) {
				t.Errorf("%s", doc)
			}
		}
	}
}

func TestNumbersAreDecimal(t *testing.T) {
	s := testSchema(t)
	for text, want := range map[string]string{
		"10": "10", "-7": "-7", "+5": "5", "0443": "443", "1e3": "1000", "2.0": "2",
		"1_0": "", "0x10": "", "0x1p4": "", "0b1": "", "0o7": "", "Inf": "", "-inf": "", "infinity": "", "NaN": "", "1e999": "", "": "", " 1": "", "1 ": "", "e": "", ".": "", "1e": "", "--1": "", "٣": "",
	} {
		for _, f := range []string{"source.port", "user.risk.score"} {
			e := New(s)
			ok := e.Add(s.ID(f), text)
			if ok != (want != "") {
				t.Errorf("%s = %q: %v", f, text, ok)
				continue
			}
			if !ok {
				continue
			}
			if x, _ := e.First(s.ID(f)).Number(); x != mustFloat(t, want) {
				t.Errorf("%s = %q is %v", f, text, x)
			}
		}
	}
	for _, text := range []string{"0x1p40", "1_0.5", "1e999", "0x10"} {
		if ms, ok := ParseTime(text); ok {
			t.Errorf("%q is the time %d", text, ms)
		}
	}
}

func mustFloat(t *testing.T, s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(x, 0) {
		t.Fatal(s)
	}
	return x
}

func TestPaddingCrowdsNothingOut(t *testing.T) {
	s := testSchema(t)
	p := testPlan(s)
	many := strings.Repeat(`"x",`, 20000) + `"x"`
	e := New(s)
	for range 2 {
		e.Reset(s)
		in := `{"tags":[` + many + `],"a":{"b":[` + many + `]},"list":{"items":[` + strings.Repeat(`{"x":1},`, 20000) + `0]},"user":{"name":"mallory"},"src":"203.0.113.9"}`
		if err := e.DecodeJSON(p, []byte(in)); err != nil {
			t.Fatal(err)
		}
		e.Tag("own")
		for f, want := range map[string]int{"tags": maxFieldValues + 1, "vendor.a.b": maxFieldValues, "items": maxFieldValues, "user.name": 1, "source.ip": 1} {
			n := 0
			for v := e.First(s.ID(f)); v != nil; v = e.Next(v) {
				n++
			}
			if n != want {
				t.Errorf("%s has %d values, want %d", f, n, want)
			}
		}
		if want := 3*20000 + 2 - 3*maxFieldValues; e.Overflow() != want {
			t.Errorf("overflow %d, want %d", e.Overflow(), want)
		}
		if !strings.HasSuffix(texts(e, Tags), " own") {
			t.Error("the own tag is missing")
		}
	}
}

// However many arrays are padded, the first value of a field has a place.
func TestPaddingManyFields(t *testing.T) {
	var fields []Field
	var mappings []Mapping
	for i := range 20 {
		fields = append(fields, Field{fmt.Sprintf("p%02d", i), Untyped})
	}
	s, err := NewSchema(append(fields, Field{"user.name", Keyword})...)
	if err != nil {
		t.Fatal(err)
	}
	var in strings.Builder
	in.WriteString("{")
	for _, f := range fields {
		mappings = append(mappings, Mapping{f.Name, s.ID(f.Name)})
		fmt.Fprintf(&in, `"%s":[%s0],`, f.Name, strings.Repeat("1,", 2000))
	}
	in.WriteString(`"user":"mallory"}`)
	e := New(s)
	if err := e.DecodeJSON(NewPlan(s, 0, append(mappings, Mapping{"user", s.ID("user.name")})...), []byte(in.String())); err != nil {
		t.Fatal(err)
	}
	if e.Text(s.ID("user.name")) != "mallory" || e.Text(s.ID("p19")) != "1" || e.Overflow() == 0 {
		t.Errorf("%q %q %d", e.Text(s.ID("user.name")), e.Text(s.ID("p19")), e.Overflow())
	}
	for i := range maxFieldValues + ownValues + 5 {
		e.Add(s.ID("user.name"), strconv.Itoa(i))
	}
	if len(e.vals) > maxValues+ownShare*ownValues {
		t.Errorf("%d values", len(e.vals))
	}
}

// strictKeys fails where an object has a key twice.
func strictKeys(d *json.Decoder) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	switch tok {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return err
			}
			key := k.(string)
			if seen[key] || strings.Contains(key, "\x00") {
				return fmt.Errorf("the key %q", key)
			}
			seen[key] = true
			if err := strictKeys(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	case json.Delim('['):
		for d.More() {
			if err := strictKeys(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

// Whatever the keys are, none is kept twice, and the last of each is kept as encoding/json reads it.
func TestKeptObjectsHaveUniqueKeys(t *testing.T) {
	s, whole, rest := keepSchema(t)
	e := New(s)
	var value func(t *rapid.T, depth int) string
	value = func(t *rapid.T, depth int) string {
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case depth > 4 || kind < 2:
			return rapid.SampledFrom([]string{"1", `"{\"a\":"`, "null", "true", "1e999", "[]", "{}", "-0.5"}).Draw(t, "scalar")
		case kind == 2:
			var parts []string
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				parts = append(parts, value(t, depth+1))
			}
			return "[" + strings.Join(parts, " , ") + "]"
		default:
			var parts []string
			for range rapid.IntRange(0, 6).Draw(t, "n") {
				key := rapid.SampledFrom([]string{"a", "b", "\\u0061", "c\\n", "", "\\u0000", "labels", "a.b"}).Draw(t, "key")
				parts = append(parts, `"`+key+`" : `+value(t, depth+1))
			}
			return "{" + strings.Join(parts, ",\n") + "}"
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := `{"a":` + value(t, 0) + `,"b":` + value(t, 0) + `,"a":` + value(t, 0) + `}`
		for _, p := range []*Plan{whole, rest} {
			e.Reset(s)
			if err := e.DecodeJSON(p, []byte(in)); err != nil {
				t.Fatal(err)
			}
			doc := string(e.AppendDocument(nil))
			if err := strictKeys(json.NewDecoder(strings.NewReader(doc))); err != nil {
				t.Fatalf("%v in %s of %s", err, doc, in)
			}
			var back any
			if err := json.Unmarshal([]byte(doc), &back); err != nil {
				t.Fatalf("%v in %s of %s", err, doc, in)
			}
		}
	})
}

// The review of hostile documents takes linear time: keys that collide, that are many, or that all come twice.
func TestReviewIsLinear(t *testing.T) {
	s, whole, rest := keepSchema(t)
	var many, twice strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
		fmt.Fprintf(&twice, `"k%d":1e999,`, i%30000)
	}
	for name, in := range map[string]string{
		"many": "{" + many.String() + `"z":1}`, "twice": "{" + twice.String() + `"z":1}`,
		"one":    "{" + strings.Repeat(`"a":1,`, 150000) + `"z":1}`,
		"nested": strings.Repeat(`{"a":1,"a":`, 127) + "{" + many.String() + `"z":1}` + strings.Repeat("}", 127),
		"labels": `{"labels":[` + strings.Repeat(`{"a":1,"a":1},`, 70000) + `{}]}`,
	} {
		e := New(s)
		for _, p := range []*Plan{whole, rest} {
			begin := time.Now()
			if err := e.DecodeJSON(p, []byte(in)); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(begin); d > 2*time.Second {
				t.Errorf("%s takes %v", name, d)
			}
		}
	}
}

// A key may come up a second time in another object, and as long as none does in one, nothing is reviewed.
func TestPlainDocumentsAreNotReviewed(t *testing.T) {
	s, whole, _ := keepSchema(t)
	e := New(s)
	for i := range 1000 {
		e.Reset(s)
		in := fmt.Sprintf(`{"a":{"id":%d,"name":"x","b":{"id":1,"name":2}},"id":"y","list":[{"id":1},{"id":2},{"name":3}],"k%d":1e-5}`, i, i)
		if err := e.DecodeJSON(whole, []byte(in)); err != nil {
			t.Fatal(err)
		}
		if e.json.suspects != 0 {
			t.Fatalf("%s is suspect", in)
		}
	}
}
