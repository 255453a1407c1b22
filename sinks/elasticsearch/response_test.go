package elasticsearch

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseBulk(t *testing.T) {
	tests := []struct {
		name, in string
		want     []item
	}{
		{"none", `{"errors":false,"items":[]}`, nil},
		{"some", ` { "took" : 3 , "items" : [ {"create":{"status":201}} , {"index":{"_id":"x","status":409,"error":{"type":"t","reason":"r"}}} ] , "errors":true } `,
			[]item{{status: 201}, {status: 409, kind: "t", reason: "r"}}},
		{"failure store", `{"items":[{"create":{"failure_store":"used","status":201}}]}`, []item{{status: 201, failureStore: "used"}}},
		{"a cause", `{"items":[{"create":{"status":400,"error":{"type":"t","reason":"r","caused_by":{"type":"u","reason":"because"}}}}]}`,
			[]item{{status: 400, kind: "t", reason: "r: because"}}},
		{"an error that is a text", `{"items":[{"create":{"status":500,"error":"boom"}}]}`, []item{{status: 500, reason: "boom"}}},
		{"an error that is null", `{"items":[{"create":{"status":500,"error":null}}]}`, []item{{status: 500}}},
		{"escapes", `{"items":[{"create":{"status":400,"error":{"type":"t","reason":"\"\\\u00e9\n"}}}]}`, []item{{status: 400, kind: "t", reason: "\"\\é\n"}}},
		{"no status", `{"items":[{"create":{}},{}]}`, []item{{}, {}}},
		{"nested members that nobody knows", `{"x":[[{"y":[1.5e-3,true,null]}]],"items":[{"create":{"_shards":{"a":[{}]},"status":201}}]}`, []item{{status: 201}}},
	}
	for _, tt := range tests {
		if got, err := parseBulk([]byte(tt.in), nil); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	for _, in := range []string{"", "{}", `{"items":`, `{"items":[{"create":{"status":201}}`, `{"items":[]}x`, `[]`, `<html>`, `{"items":{}}`, `{"items":[1]}`,
		`{"items":[{"create":{"status":"201"}}]}`, `{"items":[{"create":{"status":99999999999}}]}`, `{"items":[{"create":{"status":1 2}}]}`, `{"items":[],}`,
		`{"x":"\`, strings.Repeat(`{"a":`, 200)} {
		if items, err := parseBulk([]byte(in), nil); err == nil {
			t.Errorf("%q: %+v and no error", in, items)
		}
	}
}

func TestParseFailure(t *testing.T) {
	tests := []struct{ in, kind, reason string }{
		{`{"error":{"root_cause":[{"type":"a","reason":"b"}],"type":"security_exception","reason":"missing authentication credentials","header":{"WWW-Authenticate":["Basic"]}},"status":401}`,
			"security_exception", "missing authentication credentials"},
		{`{"error":"Incorrect HTTP method","status":405}`, "", "Incorrect HTTP method"},
		{`Unauthorized`, "", ""}, {`{"error":{"type":"x"`, "", ""}, {``, "", ""},
	}
	for _, tt := range tests {
		if kind, reason := parseFailure([]byte(tt.in)); kind != tt.kind || reason != tt.reason {
			t.Errorf("%s: %q, %q", tt.in, kind, reason)
		}
	}
}

// Answers of success cost nothing but the list of items.
func TestParseBulkAllocatesNothing(t *testing.T) {
	in := []byte(`{"errors":true,"items":[` + strings.Repeat(`{"create":{"status":201}},`, 999) + `{"create":{"status":201}}]}`)
	items := make([]item, 0, 1000)
	if n := testing.AllocsPerRun(10, func() { items, _ = parseBulk(in, items[:0]) }); n > 3 || len(items) != 1000 {
		t.Errorf("%v allocations for %d items", n, len(items))
	}
}

// The parser takes what encoding/json takes of valid answers, and finds the same statuses.
func FuzzParseBulk(f *testing.F) {
	f.Add([]byte(`{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"a","reason":"b\"","caused_by":{"reason":"c"}}}}]}`))
	f.Add([]byte(`{"took":1,"items":[{"index":{"failure_store":"used"}}]}`))
	f.Add([]byte(`{"items":[{"create":{"status":201},"create":{"status":409}}]}`))
	f.Add([]byte(`<html>`))
	f.Add([]byte(`{"a":"\ud83d`))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := parseBulk(data, nil)
		_, _ = parseFailure(data)
		if err != nil {
			return
		}
		var want struct {
			Items []map[string]struct{ Status *json.Number }
		}
		text := string(data)
		plain := !strings.Contains(text, `\`) && strings.Count(strings.ToLower(text), "items") == 1 && strings.ToLower(text) == text
		if !plain || !json.Valid(data) || json.Unmarshal(data, &want) != nil || strings.Count(text, "status") > len(items) {
			return // keys that stand twice, or that encoding/json does not tell apart by their case; or it is the stricter one
		}
		if len(items) != len(want.Items) {
			t.Errorf("%d items, and %d by encoding/json", len(items), len(want.Items))
		}
		for i, it := range items {
			if len(want.Items[i]) != 1 {
				continue
			}
			for _, v := range want.Items[i] {
				if v.Status != nil && v.Status.String() != strconv.Itoa(it.status) {
					t.Errorf("item %d has status %d, and %s by encoding/json", i, it.status, *v.Status)
				}
			}
		}
	})
}
