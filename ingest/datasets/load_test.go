package datasets

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/diag"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// stub compiles `field == "value"` and `has(field)`; `boom` is a mistake at its third byte.
func stub(src string, s *event.Schema) (Condition, diag.List) {
	if src == "boom" {
		return nil, diag.List{{Line: 1, Column: 3, Message: "does not parse", Hint: "write another"}}
	}
	if name, ok := strings.CutPrefix(src, "has("); ok {
		return condition{s.ID(strings.TrimSuffix(name, ")")), ""}, nil
	}
	name, want, _ := strings.Cut(src, " == ")
	return condition{s.ID(name), strings.Trim(want, `"`)}, nil
}

type condition struct {
	field event.FieldID
	want  string
}

func (c condition) Eval(e *event.Event) bool {
	return e.Has(c.field) && (c.want == "" || e.Text(c.field) == c.want)
}

func load(t testing.TB, files ...map[string]string) (*Set, diag.List) {
	t.Helper()
	var systems []fs.FS
	for _, f := range files {
		m := fstest.MapFS{}
		for name, text := range f {
			m[name] = &fstest.MapFile{Data: []byte(text)}
		}
		systems = append(systems, m)
	}
	var list diag.List
	units := LoadFiles(systems, &list)
	s, err := event.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	s, problems := Extend(s, units)
	list = append(list, problems...)
	registry := &lists.Registry{}
	roles, err := lists.New("roles", "admin", "10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	registry.Add(roles)
	registry.LoadInto(fstest.MapFS{"assets.csv": {Data: []byte("address,owner,port,kind\n10.0.0.0/8,platform,22,web\n10.1.0.0/16,data,,network\n10.1.2.3,db,5432,database\nalice,people,0x16,wob\n")}}, &list)
	set, problems := Compile(units, Options{Schema: s, Compile: stub, Lists: registry})
	return set, append(list, problems...)
}

const tests = "\ntests: [{line: x, expect: {message: x}}]\n"

func TestMistakesHavePlaces(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"unknown key":          {"dataset: a\nparse: json\nclam: {}", "u.yaml:3:1: clam: unknown key \"clam\" (did you mean claim?)"},
		"no name":              {"parse: json", "the key dataset is missing"},
		"bad name":             {"dataset: A b\nparse: json", `u.yaml:1:10: dataset: "A b" is no name of a dataset`},
		"no parse":             {"dataset: a", "the key parse is missing"},
		"field":                {"dataset: a\nparse: [{pattern: '<source.ipp> x'}]", "u.yaml:2:21: parse[0].pattern: there is no field source.ipp (did you mean source.ip?)"},
		"pattern":              {"dataset: a\nparse: [{pattern: '<source.ip:ipp> x'}]", `u.yaml:2:31: parse[0].pattern: "ipp" is no type of capture`},
		"time":                 {"dataset: a\nparse: [{pattern: '<@timestamp:word> x'}]", "@timestamp is of type date, and a capture of type word cannot fill it"},
		"scratch":              {"dataset: a\nparse: [{pattern: '<$req:rest>'}, {from: $rec, pattern: x}]", "u.yaml:2:42: parse[1].from: nothing fills the scratch field $rec (did you mean $req?)"},
		"share of nothing":     {"dataset: a\nparse: [{pattern: '<message:rest>'}]\nclaim: {topic: x, share: programs}", "u.yaml:3:26: claim.share: needs unwrap: [syslog]"},
		"share what":           {"dataset: a\nparse: json\nunwrap: [syslog]\nclaim: {topic: x, share: all}", "must be one of programs"},
		"category":             {"dataset: a\nparse: json\nset: {event.category: [webb]}", `u.yaml:3:24: set.event.category[0]: "webb" is not allowed in event.category by ECS (did you mean web?)`},
		"category in a case":   {"dataset: a\nparse: json\nset: {event.outcome: {case: [{when: has(message), is: win}]}}", `"win" is not allowed in event.outcome by ECS`},
		"category in a lookup": {"dataset: a\nparse: json\nset: {event.type: {lookup: {key: message, table: {x: strt}}}}", `"strt" is not allowed in event.type by ECS`},
		"constant":             {"dataset: a\nparse: json\nset: {source.port: many}", `"many" is no long, which source.port is`},
		"condition":            {"dataset: a\nparse: json\nset: {event.outcome: {case: [{when: 'boom', is: success}]}}", "u.yaml:3:40: set.event.outcome.case[0].when: does not parse (write another)"},
		"case without when":    {"dataset: a\nparse: json\nset: {event.outcome: {case: [{is: success}, {is: failure}]}}", "has no when"},
		"own field":            {"dataset: a\nparse: json\nset: {klaxon.id: x}", "klaxon.id is set by klaxon itself"},
		"list":                 {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name, list: rolls, is: x}}}", `there is no list "rolls" (did you mean roles?)`},
		"lookup of nothing":    {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name}}}", "needs a table, or a list with `is` or with `column`"},
		"a list without is":    {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name, list: roles}}}", "needs a table, or a list with `is` or with `column`"},
		"is and a column":      {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name, list: assets, is: x, column: owner}}}", "needs a table, or a list with `is` or with `column`"},
		"a table and a column": {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name, table: {a: b}, column: owner}}}", "needs a table, or a list with `is` or with `column`"},
		"no such column":       {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name, list: assets, column: ownr}}}", `u.yaml:3:67: set.user.roles.lookup.column: the list assets has no column "ownr" (did you mean owner?)`},
		"a set has no columns": {"dataset: a\nparse: json\nset: {user.roles: {lookup: {key: user.name, list: roles, column: owner}}}", `the list roles has no column "owner" (a list with columns is a file lists/roles.csv)`},
		"a column's type":      {"dataset: a\nparse: json\nset: {source.port: {lookup: {key: source.ip, list: assets, column: port}}}", `"0x16", which the list assets has for alice, is no long, which source.port is`},
		"a column and ECS":     {"dataset: a\nparse: json\nset: {event.category: {lookup: {key: source.ip, list: assets, column: kind}}}", `"wob", which the list assets has for alice, is not allowed in event.category by ECS`},
		"rest and vendor":      {"dataset: a\nparse: json\nvendor: v\nrest: r", "cannot stand beside vendor"},
		"map without json":     {"dataset: a\nparse: [{pattern: '<message:rest>'}]\nmap: {message: m}", "is for JSON only"},
		"step":                 {"dataset: a\nparse: [{from: message}]", "must have a pattern, patterns, or by with cases"},
		"by":                   {"dataset: a\nparse: [{by: event.code, cases: {x: ['a'], 'x | y': ['b']}}]", `the case "x" is there twice`},
		"every topic":          {"dataset: a\nparse: json\nclaim: {topic: '*'}", "would claim every topic"},
		"declared type":        {"dataset: a\nparse: json\nfields: {x.y: strange}", "must be one of keyword"},
		"ECS again":            {"dataset: a\nparse: json\nfields: {source.ip: keyword}", "the field source.ip is of type keyword here, and of type ip in ECS"},
		"a test's field":       {"dataset: a\nparse: json\ntests: [{line: x, expect: {sorce.ip: 1}}]", "there is no field sorce.ip (did you mean source.ip?)"},
		"a test's time":        {"dataset: a\nparse: json\ntests: [{line: x, at: soon, expect: {message: x}}]", "must be a time"},
		"drop without why":     {"dataset: a\nparse: json\ndrop: [{when: has(message)}]", "the key why is missing"},
		"sets nothing":         {"dataset: a\nparse: json\nset: {user.roles: []}", "sets nothing"},
		"redact":               {"dataset: a\nparse: json\nredact: [user.nme]", "there is no field user.nme"},
		"each without json":    {"dataset: a\nparse: [{pattern: '<message:rest>'}]\nunwrap: {each: R}", "is for JSON only"},
		"envelope":             {"dataset: a\nparse: json\nunwrap: [syslogg]", "did you mean syslog?"},
		"replace nothing":      {"dataset: a\nreplace: true\nparse: json", "replaces the dataset a, which is not there"},
		"not yaml":             {"dataset: [", "is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			_, list := load(t, map[string]string{"u.yaml": c.in + "\n"})
			if !strings.Contains(list.String(), c.want) || !list.HasErrors() {
				t.Errorf("got %s\nwant %s", list, c.want)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, list := load(t, map[string]string{
		"a.yaml": "dataset: a\nparse: [{pattern: '<x.y> <source.ip:ipp>'}]\nset: {event.kind: evnt}\nbad: 1\n",
		"b.yaml": "dataset: b\nparse: [{pattern: '<nope> x'}]\nset: {event.kind: evnt}\n",
	})
	for _, want := range []string{"a.yaml:2", "a.yaml:4:1", "b.yaml:2", "b.yaml:3"} {
		if !strings.Contains(list.String(), want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
}

func TestTiesAreErrors(t *testing.T) {
	unit := func(name, claim string) string {
		return "dataset: " + name + "\nparse: json\nclaim: " + claim + tests
	}
	for name, c := range map[string]struct {
		a, b string
		tie  bool
	}{
		"the same header":              {"{header: {k: v}}", "{header: {k: v}}", true},
		"another value":                {"{header: {k: v}}", "{header: {k: w}}", false},
		"the same topic":               {"{topic: logs.x}", "{topic: logs.x}", true},
		"globs that meet":              {"{topic: 'ab*c'}", "{topic: 'a*bc'}", true},
		"globs that cannot meet":       {"{topic: 'logs.a*'}", "{topic: 'logs.b*'}", false},
		"a longer glob":                {"{topic: 'logs.*'}", "{topic: 'logs.a*'}", false},
		"a topic in a glob":            {"{topic: 'logs.*'}", "{topic: logs.a}", false},
		"the same program":             {"{shape: {program: p}}", "{shape: {program: [q, p]}}", true},
		"the same members":             {"{shape: {json: [a, b]}}", "{shape: {json: [b, a]}}", true},
		"more members":                 {"{shape: {json: [a, b]}}", "{shape: {json: [b, a, c]}}", false},
		"everything":                   {"{shape: json}", "{shape: json}", true},
		"the same pattern":             {"{shape: {pattern: 'x<:rest>'}}", "{shape: {pattern: 'x<:rest>'}}", true},
		"a header and a topic is none": {"{header: {k: v}}", "{topic: logs.a}", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, list := load(t, map[string]string{"a.yaml": unit("a", c.a), "b.yaml": unit("b", c.b)})
			if list.HasErrors() != c.tie {
				t.Errorf("%v", list)
			}
			if c.tie && !strings.Contains(list.String(), "b.yaml:3:") {
				t.Errorf("no place: %v", list)
			}
		})
	}
}

func TestHeaderBeatsTopicBeatsShape(t *testing.T) {
	set, list := load(t, map[string]string{"u.yaml": "dataset: h\nparse: json\nclaim: {header: {k: v}}" + tests +
		"---\ndataset: t\nparse: json\nclaim: {topic: ['logs.*', logs.a]}" + tests +
		"---\ndataset: u\nparse: json\nclaim: {topic: 'logs.a*', shape: {json: [a, b], program: p}}" + tests +
		"---\ndataset: w\nparse: json\nclaim: {shape: {json: [a, b, c]}}" + tests +
		"---\ndataset: all\nparse: json\nclaim: {shape: json}" + tests})
	if list.HasErrors() {
		t.Fatal(list)
	}
	name := func(d *Dataset) string {
		if d == nil {
			return ""
		}
		return d.Name
	}
	rec := &event.Record{Headers: []event.Header{{Key: "k", Value: []byte("v")}}}
	if got := name(set.ByRecord(rec)); got != "h" {
		t.Error(got)
	}
	for topic, want := range map[string]string{"logs.a": "t", "logs.ab": "u", "logs.b": "t", "other": ""} {
		if got := name(set.ByTopic(topic)); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	for doc, want := range map[string]string{`{"b":1,"x":{},"a":2}`: "u", `{"b":1,"a":2,"c":"}"}`: "w", `{"a":1}`: "all", `{}`: "all"} {
		if got := name(set.ByDocument([]byte(doc))); got != want {
			t.Errorf("%s: %s, want %s", doc, got, want)
		}
	}
	if got := name(set.ByProgram("p")); got != "u" || set.ByProgram("") != nil {
		t.Error(got)
	}
}

func TestReplace(t *testing.T) {
	one := "dataset: a\ntitle: one\nparse: json" + tests
	set, list := load(t, map[string]string{"a.yaml": one}, map[string]string{"mine.yaml": "replace: true\n" + strings.Replace(one, "one", "two", 1)})
	if list.HasErrors() || set.List()[0].Title != "two" || set.List()[0].File != "mine.yaml" {
		t.Errorf("%v", list)
	}
	if _, list := load(t, map[string]string{"a.yaml": one}, map[string]string{"mine.yaml": one}); !strings.Contains(list.String(), "is already there, in a.yaml") {
		t.Errorf("%v", list)
	}
}

func TestFieldsOfOneNameHaveOneType(t *testing.T) {
	_, list := load(t, map[string]string{"a.yaml": "dataset: a\nparse: json\nfields: {my.field: long}" + tests, "b.yaml": "dataset: b\nparse: json\nfields: {my.field: keyword}" + tests})
	if !strings.Contains(list.String(), "b.yaml:3:10: fields.my.field: the field my.field is of type keyword here, and of type long in the dataset a") &&
		!strings.Contains(list.String(), "b.yaml:3:10") {
		t.Errorf("%v", list)
	}
	set, list := load(t, map[string]string{"a.yaml": "dataset: a\nparse: json\nvendor: my\nset: {my.field: 5}" + tests, "b.yaml": "dataset: b\nparse: json\nfields: {my.field: long}" + tests})
	if list.HasErrors() || set.Schema().Type(set.Schema().ID("my.field")) != event.Long {
		t.Errorf("the declared type counts: %v", list)
	}
}

func TestInfo(t *testing.T) {
	set, list := load(t, map[string]string{"a.yaml": "dataset: a\ntitle: A\ndescription: D\nclaim: {topic: t, header: {k: v}, shape: {program: p}}\nparse: [{pattern: '<source.ip:ip> <$x:rest>'}]\nset: {event.kind: event}" + tests})
	if list.HasErrors() {
		t.Fatal(list)
	}
	i := set.List()[0]
	if i.Name != "a" || i.Tests != 1 || strings.Join(i.Fields, " ") != "event.kind source.ip" || i.Topics[0] != "t" || i.Headers[0] != "k: v" || i.Programs[0] != "p" {
		t.Errorf("%+v", i)
	}
}

func TestRulesFieldsGetSlots(t *testing.T) {
	var list diag.List
	units := LoadFiles([]fs.FS{fstest.MapFS{"a.yaml": {Data: []byte("dataset: a\nvendor: v\nparse: json\n" + tests)}}}, &list)
	s, _ := event.NewSchema(event.Field{Name: "v.deep.er", Type: event.Untyped}, event.Field{Name: "v.list.items[]", Type: event.Elements})
	s, problems := Extend(s, units)
	set, more := Compile(units, Options{Schema: s})
	if list = append(append(list, problems...), more...); list.HasErrors() {
		t.Fatal(list)
	}
	e := event.New(s)
	if err := set.Get("a").ParseJSON(e, []byte(`{"deep":{"er":[1,"x"]},"list":{"items":[{"a":1}]}}`)); err != nil {
		t.Fatal(err)
	}
	if e.Text(s.ID("v.deep.er")) != "1" || e.Text(s.ID("v.list.items[]")) != `[{"a":1}]` || e.Text(s.ID("v")) == "" {
		t.Errorf("%s", e.AppendDocument(nil))
	}
}

func TestLookup(t *testing.T) {
	set, list := load(t, map[string]string{"a.yaml": `
dataset: a
parse: [{pattern: '<source.ip:ip> <user.name:rest>'}]
set:
  user.roles: {lookup: {key: user.name, list: roles, is: staff, else: guest}}
  network.name: {lookup: {key: source.ip, list: roles, is: office}}
  event.category: {lookup: {key: user.name, table: {admin: iam}}}
` + tests})
	if list.HasErrors() {
		t.Fatal(list)
	}
	var r Reader
	e := event.New(set.Schema())
	for line, want := range map[string]string{
		"10.1.2.3 admin":  "staff office iam",
		"203.0.113.9 bob": "guest  ",
		"10.1.2.3 -":      " office ",
	} {
		e.Reset(set.Schema())
		if !set.Get("a").Parse(&r, e, line) {
			t.Fatal(line)
		}
		f := func(name string) string { return e.Text(set.Schema().ID(name)) }
		if got := f("user.roles") + " " + f("network.name") + " " + f("event.category"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestLast(t *testing.T) {
	set, list := load(t, map[string]string{"a.yaml": `
dataset: a
vendor: v
parse: json
set:
  source.ip: {last: v.ips}
  user.name: {last: v.names}
  user.roles: {last: user.roles}
  source.port: {last: v.names}
map: {user.roles: roles, user.id: ids}
` + tests})
	if list.HasErrors() {
		t.Fatal(list)
	}
	e := event.New(set.Schema())
	d := set.Get("a")
	for line, want := range map[string]string{
		`{"ips":["10.0.0.1","203.0.113.9"],"names":["a","b"],"roles":["x","y"]}`: "203.0.113.9 b y ",
		`{"ips":"::1","names":"22"}`:                "::1 22  22",
		`{"ips":["10.0.0.1","nowhere"],"names":[]}`: "   ",
		`{}`: "   ",
	} {
		e.Reset(set.Schema())
		if err := d.ParseJSON(e, []byte(line)); err != nil || !d.Parse(&Reader{}, e, line) {
			t.Fatal(line, err)
		}
		f := func(name string) string { return e.Text(set.Schema().ID(name)) }
		if got := f("source.ip") + " " + f("user.name") + " " + f("user.roles") + " " + f("source.port"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// TestLookupInColumns: the row of the narrowest network, of an address in a field of texts too; an empty cell is nothing.
func TestLookupInColumns(t *testing.T) {
	set, list := load(t, map[string]string{"a.yaml": `
dataset: a
parse: [{pattern: '<source.ip:ip> <source.address:word> <user.name:rest>'}]
set:
  organization.name: {lookup: {key: source.ip, list: assets, column: owner, else: nobody}}
  service.name: {lookup: {key: source.ip, list: assets, column: port}}
  host.name: {lookup: {key: source.address, list: assets, column: owner}}
  user.roles: {lookup: {key: user.name, list: assets, column: owner}}
` + tests})
	if list.HasErrors() {
		t.Fatal(list)
	}
	var r Reader
	e := event.New(set.Schema())
	for line, want := range map[string]string{
		"10.9.9.9 10.1.9.9 alice": "platform|22|data|people", "10.1.9.9 here bob": "data|||", "10.1.2.3 ::ffff:10.1.2.3 -": "db|5432|db|", "192.0.2.1 192.0.2.1 x": "nobody|||",
	} {
		e.Reset(set.Schema())
		if !set.Get("a").Parse(&r, e, line) {
			t.Fatal(line)
		}
		f := func(name string) string { return e.Text(set.Schema().ID(name)) }
		if got := f("organization.name") + "|" + f("service.name") + "|" + f("host.name") + "|" + f("user.roles"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	line := "10.1.2.3 10.1.2.3 alice"
	if n := testing.AllocsPerRun(100, func() { e.Reset(set.Schema()); set.Get("a").Parse(&r, e, line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("dataset: text\nclaim: {shape: text}\nunwrap: [syslog, docker]\nparse:\n  - pattern: '<message:rest>'\ntests:\n  - {line: x, claim: true, expect: {message: x}}\n"))
	f.Add([]byte("dataset: a\nvendor: v\nunwrap: {each: R}\nparse: json\nmap: {user.name: [u, v.u], '@timestamp': t}\nset: {event.outcome: {case: [{when: has(v.x), is: failure}, {is: success}]}, user.id: {copy: [v.id, user.name]}}\n"))
	f.Add([]byte("dataset: a\nfields: {a.b: long}\nforwarded: $f\nparse: [{pattern: '<a.b:int> <$f:rest>', set: {tags: x}}]\ndefault: {event.type: {lookup: {key: user.name, table: {a: info}, else: access}}}\n"))
	f.Add([]byte("dataset: a\nparse:\n  - by: event.code\n    cases: {x: ['<message:rest>']}\n    else: {tags: [y]}\nkeep: {archive: has(message)}\ndrop: [{when: has(message), why: z}]\nredact: user.name\n"))
	base, err := event.NewSchema()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var list diag.List
		units := LoadFiles([]fs.FS{fstest.MapFS{"u.yaml": {Data: data}}}, &list)
		if len(units) == 0 {
			return
		}
		s, problems := Extend(base, units)
		set, more := Compile(units, Options{Schema: s, Compile: stub})
		list = append(append(list, problems...), more...)
		if set == nil && !list.HasErrors() {
			t.Fatal("neither a set nor a mistake")
		}
		for _, d := range list {
			if d.Message == "" || d.Line < 0 || d.Column < 0 {
				t.Fatalf("%+v", d)
			}
		}
		if set == nil {
			return
		}
		var r Reader
		e := event.New(s)
		for _, d := range set.All() {
			e.Reset(s)
			d.Parse(&r, e, "203.0.113.9 - x [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 5")
			e.AppendDocument(nil)
		}
	})
}

func TestTopicsThatAreToldBeatClaimsOfTopics(t *testing.T) {
	var list diag.List
	units := LoadFiles([]fs.FS{fstest.MapFS{"u.yaml": &fstest.MapFile{Data: []byte("dataset: a\nparse: json\nclaim: {topic: ['logs.*', logs.a]}" + tests + "---\ndataset: b\nparse: json" + tests + "---\ndataset: c\nparse: json" + tests)}}}, &list)
	s, err := event.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	s, problems := Extend(s, units)
	list = append(list, problems...)
	set, problems := Compile(units, Options{Schema: s, Compile: stub, Topics: map[string]string{"logs.a": "b", "web*": "b", "web.x*": "c", "web.y": "c", "nobody": "missing"}})
	if list = append(list, problems...); list.HasErrors() {
		t.Fatal(list)
	}
	for topic, want := range map[string]string{"logs.a": "b", "logs.b": "a", "web": "b", "web.xy": "c", "web.y": "c", "web.yy": "b", "nobody": "", "other": ""} {
		got := ""
		if d := set.ByTopic(topic); d != nil {
			got = d.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", topic, got, want)
		}
	}
}
