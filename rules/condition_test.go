package rules

import (
	"strings"
	"testing"

	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/internal/lists"
)

// testSchema is a schema with a field of every type, a vendor's prefix, and arrays of objects below it.
func testSchema(t testing.TB) *event.Schema {
	t.Helper()
	s, err := event.NewSchema(
		event.Field{Name: "event.action", Type: event.Keyword}, event.Field{Name: "event.outcome", Type: event.Keyword},
		event.Field{Name: "user.name", Type: event.Keyword}, event.Field{Name: "user.roles", Type: event.Keyword}, event.Field{Name: "user.target.name", Type: event.Keyword},
		event.Field{Name: "source.ip", Type: event.IP}, event.Field{Name: "destination.ip", Type: event.IP}, event.Field{Name: "client.address", Type: event.Keyword},
		event.Field{Name: "source.port", Type: event.Long}, event.Field{Name: "destination.port", Type: event.Long},
		event.Field{Name: "event.risk_score", Type: event.Double}, event.Field{Name: "process.interactive", Type: event.Boolean},
		event.Field{Name: "event.created", Type: event.Date}, event.Field{Name: "message", Type: event.Text}, event.Field{Name: "url.original", Type: event.Keyword},
		event.Field{Name: "http.response.status_code", Type: event.Long}, event.Field{Name: "source.geo.country_iso_code", Type: event.Keyword},
		event.Field{Name: "json", Type: event.Object}, event.Field{Name: "rule.name", Type: event.Keyword},
	)
	if err != nil {
		t.Fatal(err)
	}
	s, err = ExtendSchema(s, []string{"json.n", "json.s", "json.b", "json.t", "json.ip", "json.items", "json.items[]", "json.x-y", "json.any name", "json.deep.er", "bogus"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testLists(t testing.TB) *lists.Registry {
	t.Helper()
	r := &lists.Registry{}
	for name, entries := range map[string][]string{"embargoed": {"KP", "IR", "UA-43"}, "scanners": {"203.0.113.9", "198.51.100.0/24", "2001:db8::/32"}, "ports": {"22", "3389"}} {
		l, err := lists.New(name, entries...)
		if err != nil {
			t.Fatal(err)
		}
		r.Add(l)
	}
	return r
}

// testPlan maps every field that is not one of event's own from the path of the same name.
func testPlan(s *event.Schema) *event.Plan {
	var m []event.Mapping
	for id := event.BadFields + 1; int(id) < s.Len(); id++ {
		name := s.Name(id)
		m = append(m, event.Mapping{Path: strings.TrimSuffix(name, "[]"), To: id})
	}
	m = append(m, event.Mapping{Path: "@timestamp", To: event.Timestamp}, event.Mapping{Path: "tags", To: event.Tags}, event.Mapping{Path: "event.dataset", To: event.Dataset})
	return event.NewPlan(s, 0, m...)
}

// decode makes an event of a JSON document.
func decode(t testing.TB, s *event.Schema, doc string) *event.Event {
	t.Helper()
	e := event.New(s)
	if err := e.DecodeJSON(testPlan(s), []byte(doc)); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return e
}

// evalBoth evaluates natively and on expr's machine, which must agree.
func evalBoth(t testing.TB, c *Condition, e *event.Event) bool {
	t.Helper()
	got := c.Eval(e)
	prog, err := assemble(c.root)
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	if other := new(machine).run(prog, e, 1); other != got {
		t.Fatalf("%s: native %v, expr's machine %v", c, got, other)
	}
	return got
}

const login = `{"@timestamp":"2026-11-21T23:30:00Z","event":{"action":"ssh_login","outcome":"failure","risk_score":7.5,"created":"2026-11-21T23:30:01Z"},
	"user":{"name":"Root","roles":["admin","ops"],"target":{"name":""}},"source":{"ip":"10.1.2.3","port":22,"geo":{"country_iso_code":"KP"}},
	"destination":{"ip":["2001:db8::1","::ffff:10.1.2.3"],"port":9007199254740993},"client":{"address":"198.51.100.7"},
	"process":{"interactive":true},"message":"Failed password for Root","url":{"original":"https://User@Example.COM:8443/a?b"},"http":{"response":{"status_code":404}},
	"json":{"n":"5","s":5,"b":"true","t":"2026-01-02T03:04:05Z","ip":"198.51.100.7","x-y":"odd","any name":1.5,"deep":[{"er":1},{"er":2}],
	"items":[{"cidr":"0.0.0.0/0","port":22},{"cidr":"10.0.0.0/8","port":80,"tag":null}]},"tags":["a","b"]}`

func TestConditions(t *testing.T) {
	s := testSchema(t)
	e := decode(t, s, login)
	for _, c := range []struct {
		src  string
		want bool
	}{
		// Equality, with the case
		{`event.action == "ssh_login"`, true}, {`event.action == "SSH_login"`, false}, {`"ssh_login" == event.action`, true},
		{`event.action != "ssh_login"`, false}, {`event.action != "x"`, true}, {`event.action == 'ssh_login'`, true}, {"event.action == `ssh_login`", true},
		{`event.action == "ssh_login" and event.outcome == "failure"`, true}, {`event.action == "x" || event.outcome == "failure"`, true},
		{`not (event.action == "x")`, true}, {`!(event.action == "x") && has(user.name)`, true}, {`not has(user.name)`, false},
		{`event.action == "x" or event.outcome == "failure" and user.name == "x"`, false},
		{`(event.action == "x" or event.outcome == "failure") and user.name == "Root"`, true},
		// Absence
		{`rule.name == "x"`, false}, {`rule.name != "x"`, true}, {`rule.name in ["x"]`, false}, {`rule.name not in ["x"]`, true},
		{`not (rule.name == "x")`, true}, {`rule.name contains "x"`, false}, {`rule.name not contains "x"`, true}, {`has(rule.name)`, false},
		{`rule.name == nil`, true}, {`rule.name != nil`, false}, {`user.name != nil`, true}, {`user.target.name == ""`, true}, {`has(user.target.name)`, true},
		{`rule.name == rule.name`, false}, {`rule.name matches ".*"`, false}, {`not (rule.name matches ".*")`, true}, {`json.deep.er == 9`, false},
		// Case
		{`user.name iequals "rOOT"`, true}, {`iequals(user.name, "rOOT")`, true}, {`user.name icontains "OO"`, true}, {`user.name contains "OO"`, false},
		{`user.name istartsWith "rO"`, true}, {`user.name startsWith "ro"`, false}, {`user.name iendsWith "OT"`, true}, {`user.name endsWith "ot"`, true},
		{`user.name imatches "^ROOT$"`, true}, {`user.name matches "^ROOT$"`, false}, {`user.name matches "^R"`, true}, {`user.name not icontains "OO"`, false},
		{`not (user.name iequals "x") and user.name istartsWith user.name`, true}, {`not icontains(user.name, "x")`, true},
		// Lists
		{`user.roles == "ops"`, true}, {`user.roles == "admin"`, true}, {`user.roles != "ops"`, false}, {`user.roles != "x"`, true}, {`"ops" in user.roles`, true},
		{`"x" in user.roles`, false}, {`"x" not in user.roles`, true}, {`user.roles in ["x", "ops"]`, true}, {`user.roles not in ["x", "ops"]`, false},
		{`user.roles in ["1","2","3","4","5","6","7","ops"]`, true}, {`user.roles in ["1","2","3","4","5","6","7","8"]`, false}, {`user.roles startsWith "op"`, true},
		{`json.deep.er == 2`, true}, {`json.deep.er > 1`, true}, {`json.deep.er > 2`, false}, {`not (json.deep.er > 2)`, true},
		{`any(user.roles, # startsWith "o")`, true}, {`all(user.roles, # startsWith "o")`, false}, {`all(user.roles, len(#) <= 5)`, true}, {`all(rule.name, # == "x")`, false},
		{`any(user.roles, # == "admin" and # startsWith "o")`, false},
		// Numbers
		{`source.port == 22`, true}, {`source.port == 22.0`, true}, {`source.port < 22`, false}, {`source.port <= 22`, true}, {`source.port > -1`, true}, {`22 >= source.port`, true},
		{`21 > source.port`, false}, {`source.port in [21, 22]`, true}, {`source.port in 20..30`, true}, {`source.port not in 20..30`, false}, {`1 < source.port < 23`, true},
		{`event.risk_score > 7`, true}, {`event.risk_score == 7.5`, true}, {`destination.port == 9007199254740993`, true}, {`destination.port == 9007199254740992`, false},
		{`source.port < destination.port`, true}, {`source.port == destination.port`, false}, {`source.port in list("ports")`, true}, {`http.response.status_code >= 400 and http.response.status_code < 500`, true},
		// Truth values
		{`process.interactive`, true}, {`process.interactive == true`, true}, {`process.interactive != true`, false}, {`not process.interactive`, false}, {`process.interactive == false`, false},
		// Addresses
		{`source.ip == "10.1.2.3"`, true}, {`source.ip == "::ffff:10.1.2.3"`, true}, {`source.ip in cidr("10.0.0.0/8", "192.168.0.0/16")`, true}, {`source.ip not in cidr("10.0.0.0/8")`, false},
		{`source.ip in cidr("11.0.0.0/8")`, false}, {`destination.ip in cidr("2001:db8::/32")`, true}, {`source.ip == destination.ip`, true}, {`source.ip in ["10.1.2.3", "::1"]`, true},
		{`client.address in cidr("198.51.100.0/24")`, true}, {`user.name in cidr("0.0.0.0/0", "::/0")`, false}, {`client.address in list("scanners")`, true}, {`destination.ip in list("scanners")`, true},
		{`source.ip in list("scanners")`, false}, {`source.ip == client.address`, false}, {`source.geo.country_iso_code in list("embargoed")`, true}, {`source.geo.country_iso_code not in list("embargoed")`, false},
		// Times
		{`timestamp > "2026-11-21"`, true}, {`timestamp < "2026-11-21T23:30:00.001Z"`, true}, {`timestamp == "2026-11-22T00:30:00+01:00"`, true}, {`event.created > timestamp`, true},
		{`field("@timestamp") > 1700000000`, true}, {`hour(timestamp) >= 23`, true}, {`hour(timestamp, "Europe/Berlin") == 0`, true}, {`weekday(timestamp) in ["saturday", "sunday"]`, true},
		{`weekday(timestamp, "Europe/Berlin") == "sunday"`, true}, {`timestamp in ["2026-11-21T23:30:00Z", "2026-01-01"]`, true}, {`json.t > "2026-01-02"`, true}, {`json.t > "2026-01-03"`, false}, {`hour(json.t) == 3`, true},
		// Untyped fields follow the literal's type
		{`json.n == 5`, true}, {`json.n == "5"`, true}, {`json.s == "5"`, true}, {`json.s == 5`, true}, {`json.n > 4.5`, true}, {`json.b == true`, true}, {`json.b == "true"`, true}, {`json.s == true`, false},
		{`json.n in ["5"]`, true}, {`json.n in [5, "x", true]`, true}, {`json.s in ["x", 6, false]`, false}, {`json.n == json.s`, true}, {`json.ip in cidr("198.51.100.0/24")`, true},
		{`json.ip in list("scanners")`, true}, {`json.ip == client.address`, true}, {`json.n == source.port`, false}, {`json.s < source.port`, true}, {`json.t == 5`, false}, {`json.n in 4..6`, true},
		// Odd names
		{`json["x-y"] == "odd"`, true}, {`field("json.any name") == 1.5`, true}, {`json?.n == 5`, true}, {`json.deep["er"] == 2`, true},
		// One element at a time
		{`any(json.items, .cidr == "0.0.0.0/0" and .port == 22)`, true}, {`any(json.items, .cidr == "0.0.0.0/0" and .port == 80)`, false}, {`any(json.items, .port in [80, 81])`, true},
		{`all(json.items, .port >= 22)`, true}, {`all(json.items, .port > 22)`, false}, {`any(json.items, has(.tag))`, false}, {`any(json.items, .cidr endsWith "/0" and .port == source.port)`, true},
		{`any(json.items, not has(.cidr))`, false}, {`has(json.items)`, true}, {`any(json.items, #["port"] == 22)`, true},
		// Functions
		{`lower(user.name) == "root"`, true}, {`domain(url.original) == "example.com"`, true}, {`len(user.name) == 4`, true}, {`len(user.target.name) == 0`, true}, {`len(rule.name) == 0`, false},
		{`subnet(source.ip, 24) == "10.1.2.0/24"`, true}, {`subnet(source.ip, 24, 48) == subnet(destination.ip, 24, 48)`, true}, {`subnet(source.ip, 24) in ["10.1.3.0/24"]`, false},
		{`lower(user.name) in ["root", "toor"]`, true}, {`user.name contains user.name`, true}, {`json contains "odd"`, true},
		// Choice, which only expr's machine runs
		{`source.port == 22 ? user.name == "Root" : user.name == "x"`, true}, {`(source.port == 23 ? user.name == "Root" : user.name == "x") or false`, false},
		// Constants
		{`true`, true}, {`false or event.action == "ssh_login"`, true}, {`not true`, false},
	} {
		t.Run(c.src, func(t *testing.T) {
			cond, d := CompileCondition(c.src, s, ConditionOptions{Lists: testLists(t)})
			if cond == nil {
				t.Fatal(d)
			}
			got := cond.Eval(e)
			if cond.root.native() {
				got = evalBoth(t, cond, e)
			}
			if got != c.want {
				t.Errorf("%v", got)
			}
			again, d := CompileCondition(cond.String(), s, ConditionOptions{Lists: testLists(t)})
			if again == nil {
				t.Fatalf("its normal form %s: %v", cond, d)
			}
			if again.String() != cond.String() || again.Eval(e) != c.want {
				t.Errorf("normal form %s, of it %s: %v", cond, again, again.Eval(e))
			}
		})
	}
}
