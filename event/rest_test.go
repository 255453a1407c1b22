package event

import "testing"

func TestRest(t *testing.T) {
	s, err := NewSchema(Field{"source.ip", IP}, Field{"json", Object}, Field{"json.plan", Untyped}, Field{"json.deep.er", Untyped})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlan(s, s.ID("json"), Mapping{"source.ip", s.ID("source.ip")}, Mapping{"plan", s.ID("json.plan")}, Mapping{"deep.er", s.ID("json.deep.er")})
	for name, c := range map[string]struct{ in, plan, want string }{
		"unknown":                         {`{"x":1,"source":{"ip":"203.0.113.9"}}`, "", `{"json":{"x":1},"source":{"ip":"203.0.113.9"}}`},
		"a field below the rest":          {`{"x":1,"plan":"gold"}`, "gold", `{"json":{"x":1,"plan":"gold"}}`},
		"only fields below":               {`{"plan":"gold","deep":{"er":1,"b":2}}`, "gold", `{"json":{"plan":"gold","deep":{"er":1,"b":2}}}`},
		"a value where an object belongs": {`{"source":"app"}`, "", `{"json":{"source":"app"}}`},
		"null":                            {`{"source":null}`, "", `{}`},
		"dots":                            {`{"source.ip":"203.0.113.9","source.x":1}`, "", `{"json":{"source.x":1},"source":{"ip":"203.0.113.9"}}`},
	} {
		e := New(s)
		if err := e.DecodeJSON(p, []byte(c.in)); err != nil {
			t.Fatal(err)
		}
		if got := string(e.AppendDocument(nil)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		if got := e.Text(s.ID("json.plan")); got != c.plan {
			t.Errorf("%s: json.plan is %q", name, got)
		}
	}
}
