package rules

import (
	"strings"
	"testing"
)

func TestConditionsRefused(t *testing.T) {
	s := testSchema(t)
	for _, c := range []struct{ src, want string }{
		{``, "condition:1:1: is an empty condition"}, {" \n ", "is an empty condition"},
		{`not event.action == "x"`, `condition:1:1: not binds before the comparison: this reads (not a) == b (write a != b`},
		{`has(user.name) and not event.action == "x"`, `condition:1:20: not binds before`}, {`!event.action == "x"`, "not binds before"}, {`not event.action in ["x"]`, "not binds before"},
		{`now() > timestamp`, "reads or reckons with the clock"}, {`timestamp > now()`, "condition:1:13: now reads or reckons with the clock"}, {`date("2026-01-01") > timestamp`, "the clock"},
		{`usr.name == "x"`, "condition:1:1: unknown field usr.name (did you mean user.name?)"}, {`json.nope == 1`, "unknown field json.nope"}, {`user == "x"`, "user is a group of fields, not a field (it has user."},
		{"event.action == \"x\"\n  and usr.name == \"x\"", "condition:2:7: unknown field usr.name"}, {"event.action == \"ü\" and usr.name == \"x\"", "condition:1:26: unknown field"},
		{`source.port == "22"`, `condition:1:16: source.port is of type long, and "22" is not a number (write 22)`}, {`source.port == "x"`, `and "x" is not a number`},
		{`source.ip == "abc"`, `source.ip is of type ip, and "abc" is not an address`}, {`source.ip == "10.0.0.0/8"`, `write: source.ip in cidr("10.0.0.0/8")`}, {`source.ip in ["10.0.0.0/8"]`, "is not an address"},
		{`user.name < 5`, "user.name is of type keyword, and only numbers and times have an order"}, {`user.name == 5`, `and 5 is not text (write "5")`}, {`source.ip < "10.0.0.0"`, `source.ip is of type ip, and only numbers and times have an order`},
		{`source.ip startsWith "10."`, "startsWith tests text"}, {`source.port contains "2"`, "contains tests text"}, {`timestamp == "yesterday"`, "is not a time"}, {`process.interactive == "true"`, "is not true or false"},
		{`process.interactive > true`, "only numbers and times have an order"}, {`json.b > true`, "true and false have no order"}, {`source.port == source.ip`, "they are never equal"}, {`json.n < "abc"`, "is not a time"},
		{`@timestamp > "2026-01-01"`, "condition:1:1: a name cannot begin with @ here (write timestamp for @timestamp)"}, {`json.items[].port == 22`, "[] is not part of a name (leave [] out: a path runs through arrays"},
		{`foo(user.name)`, "there is no function foo"}, {`lowr(user.name) == "x"`, "there is no function lowr (did you mean lower?)"}, {`exists(user.name)`, "write has(field)"}, {`len(user.name)`, "len(…) is a value, not a condition"},
		{`user.name`, "user.name is of type keyword, not a condition (write has(user.name)"}, {`"x"`, "is text, not a condition"}, {`5`, "is a number, not a condition"}, {`event.action == "a" or "b"`, "condition:1:24: is text, not a condition"},
		{`json.b`, "json.b is an untyped field, not a condition"}, {`[1]`, "is a list, not a condition"}, {`nil`, "nil is not a condition"}, {`"a" == "b"`, "compares two constants"},
		{`user.name = "x"`, "= is no comparison (write ==)"}, {`user.name == "x" AND has(user.name)`, "AND is no operator (write and in small letters)"}, {`user.name == "x" & true`, "& is no operator"}, {`user.name like "x"`, "like is no operator (write matches)"},
		{`user.name not iequals "x"`, "condition:1:15: not cannot stand before iequals (write not (a iequals b))"}, {`user.name not == "x"`, "not cannot stand before == (write !=, or not (a == b))"}, {`user.name ==`, "ends too early"}, {`(user.name == "x"`, "ends too early"}, {`user.name == "x`, "a text in quotes does not end"}, {`user.name == "x")`, "is not expected here"}, {`user.name matches "\d"`, "a backslash begins no escape sequence"},
		{`user.name matches "("`, "not a regular expression"}, {`user.name matches "(?=x)"`, "RE2 has no look-around"}, {`user.name matches "(a{1000}){1000}"`, "not a regular expression"},
		{`user.name matches "(abcdefghijklmnop){900}"`, "the regular expression is too big"}, {`user.name matches user.name`, "known at load"},
		{`user.name in []`, "the list is empty"}, {`user.name in list("nope")`, `there is no list "nope"`}, {`user.name in list("embargod")`, "did you mean embargoed?"}, {`source.ip in cidr("10.0.0.1/8")`, "did you mean 10.0.0.0/8?"}, {`source.ip in cidr("x")`, "is not a network"},
		{`source.port in cidr("10.0.0.0/8")`, "cidr is about addresses"}, {`cidr("10.0.0.0/8")`, "is not a condition by itself"}, {`user.name in user("x")`, "in user(…) is not known"}, {`user.name in [user.name]`, "a list holds texts"}, {`source.port in 9..1`, "a range goes from"},
		{`source.port + 1 == 5`, "there is no arithmetic"}, {`source.port * 2 > 5`, "there is no arithmetic"}, {`let x = 1; true`, "let is not part of a condition"}, {`user.name ?? "x" == "x"`, "?? is no operator"}, {`user.name | lower() == "x"`, "| is no operator"},
		{`user.roles[0] == "x"`, "cannot be named by its number"}, {`user.name.contains("x")`, "fields have no methods"}, {`filter(user.roles, # == "x")`, "there is no function filter"}, {`none(user.roles, # == "x")`, "write not any(path"},
		{`any(user.roles, .x == 1)`, "user.roles is not known as an array of objects (its values are plain"}, {`any(json.itms, .x == 1)`, "json.itms is not known as an array of objects"}, {`.x == 1`, "is not expected here"}, {`any(json.items, any(json.items, .port == 1))`, "cannot be nested"},
		{`any(json.items, .port)`, "is an untyped field, not a condition"}, {`any(json.items, # == 1 and .port == 1)`, "# stands for plain values"}, {`null == user.name`, "write not has(field)"}, {`count > 5`, "count is known in severities only"},
		{`weekday(timestamp) == "Saturday"`, "is no day of the week"}, {`lower(user.name) == "Root"`, `write "root"`}, {`hour(timestamp, "Mars") == 1`, "is no time zone"}, {`hour(user.name) == 1`, "hour takes a time"}, {`subnet(source.ip) == "x"`, "subnet takes a prefix length"},
		{`subnet(source.ip, 24) == "10.1.2.3/24"`, "is not a network"}, {`json == "x"`, "is a whole object"}, {`user.name contains ""`, "every text holds the empty one"}, {`has()`, "has takes one field"}, {`has("x")`, "has takes a field"}, {`field(user)`, "field takes one name"},
		{strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "is nested deeper than 128 levels"}, {strings.Repeat("not ", 200) + "true", "is nested deeper"}, {strings.Repeat("true and ", 28000) + "true", "has more than 20000 parts"}, {strings.Repeat("x", maxSourceBytes+1), "at most 262144 are read"},
		{"\xff", "is not UTF-8 text"}, {`if true { true } else { false }`, "if is not part of a condition"},
	} {
		name := c.src
		if len(name) > 60 {
			name = name[:60]
		}
		t.Run(name, func(t *testing.T) {
			cond, d := CompileCondition(c.src, s, ConditionOptions{Lists: testLists(t)})
			if cond != nil || !strings.Contains(d.String(), c.want) {
				t.Errorf("got %v %q, want %q", cond, d, c.want)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, d := CompileCondition(`usr.name == "x" and source.port == "y" and foo(1) and user.name in list("z")`, testSchema(t), ConditionOptions{Name: "q"})
	if len(d) != 4 {
		t.Errorf("%d mistakes: %v", len(d), d)
	}
}

func TestUnguardedNegation(t *testing.T) {
	s := testSchema(t)
	for src, want := range map[string]string{
		`user.name != "x"`:                                                                    "user.name != \"x\" also holds where user.name is absent (write: has(user.name) and user.name != \"x\")",
		`has(user.name) and user.name != "x"`:                                                 "",
		`user.name startsWith "a" and user.name != "ab"`:                                      "",
		`event.action == "x" and user.name not in ["a", "b"]`:                                 "user.name is absent",
		`has(user.name) and (event.action == "x" or user.name != "x")`:                        "",
		`(has(user.name) or event.action == "x") and user.name != "x"`:                        "user.name is absent",
		`not (has(user.name) and user.name == "x")`:                                           "",
		`not has(user.name)`:                                                                  "",
		`not has(user.name) or user.name != "x"`:                                              "",
		`timestamp != "2026-01-01"`:                                                           "",
		`event.action == "x" ? has(user.name) and user.name != "x" : false`:                   "",
		`has(user.name) ? user.name != "x" : false`:                                           "",
		`any(json.items, .port != 22)`:                                                        ".port is absent",
		`any(json.items, has(.port) and .port != 22)`:                                         "",
		`not any(json.items, .port == 22)`:                                                    "json.items is absent",
		`has(json.items) and not any(json.items, .port == 22)`:                                "",
		`user.name == user.target.name and not (user.name == "x" or user.target.name == "y")`: "",
		`not (lower(user.name) == "x")`:                                                       "user.name is absent",
		`not (user.name == user.target.name) and has(user.name)`:                              "user.target.name is absent",
	} {
		plain, d := CompileCondition(src, s, ConditionOptions{})
		if plain == nil || len(plain.Unguarded()) > 0 != (want != "") {
			t.Errorf("%s: got %v", src, d)
		}
		cond, d := CompileCondition(src, s, ConditionOptions{Guarded: true})
		if (cond == nil) != (want != "") || !strings.Contains(d.String(), want) {
			t.Errorf("%s: got %q, want %q", src, d, want)
		}
	}
}

func TestConditionFields(t *testing.T) {
	for src, want := range map[string]string{
		`event.action == "x" and (has(user.name) or event.action == "y")`:      "event.action user.name",
		`any(aws.items, .port == 22 and .cidr == source.ip) and timestamp > 5`: "@timestamp aws.items[] source.ip",
		`any(tags, # == "x")`:             "tags",
		`field("odd name") == a["x-y"].b`: "a.x-y.b odd name",
		`user.name icontains "x" and not (lower(b.c) in [d.e, "x"]) ? count > 1 : f?.g`: "b.c d.e f.g user.name",
	} {
		got, d := ConditionFields(src)
		if strings.Join(got, " ") != want || len(d) > 0 {
			t.Errorf("%s: got %q %v, want %q", src, got, d, want)
		}
	}
	if _, d := ConditionFields(`a ==`); !d.HasErrors() {
		t.Error("a mistake of syntax was not reported")
	}
	cond, _ := CompileCondition(`any(json.items, .port == 22) and has(json.n) and source.ip == destination.ip`, testSchema(t), ConditionOptions{})
	if got := strings.Join(cond.Fields(), " "); got != "destination.ip json.items[] json.n source.ip" || len(cond.FieldIDs()) != 4 {
		t.Errorf("got %q", got)
	}
}
