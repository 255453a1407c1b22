package webhook_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/internal/realtest"
	"github.com/klaxonhq/klaxon/sinks/webhook"
)

// block is the first fenced block of docs/webhook.md in a language.
func block(t *testing.T, language string) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "```"+language+"\n")
	code, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("docs/webhook.md has no example in %s", language)
	}
	return code
}

func TestGoInDocs(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	indented := "\t" + strings.ReplaceAll(strings.TrimRight(block(t, "go"), "\n"), "\n", "\n\t")
	if !strings.Contains(string(source), indented) {
		t.Error("the example of docs/webhook.md is not the one that ExampleVerify runs")
	}
}

// request is one that a receiver is to judge.
type request struct {
	Header, Body, Secret string
	Now                  int64
}

// judge runs the program of docs/webhook.md in a language over requests, and returns what it says of each.
func judge(t *testing.T, language, interpreter, extension, harness string, requests []request) []bool {
	t.Helper()
	program, err := exec.LookPath(interpreter)
	if err != nil {
		if realtest.Required(interpreter) {
			t.Fatalf("KLAXON_TEST_REQUIRE names %s, but there is none: %v", interpreter, err)
		}
		t.Skipf("the example in %s of docs/webhook.md is not run: %v", language, err)
	}
	file := filepath.Join(t.TempDir(), "verify"+extension)
	if err := os.WriteFile(file, []byte(block(t, language)+harness), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, file)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var answers []bool
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(requests) {
		t.Fatalf("%v\n%s", err, out)
	}
	return answers
}

// TestExamplesInDocs: receivers that are written as the documentation shows say of every request what Verify says.
func TestExamplesInDocs(t *testing.T) {
	at := time.Unix(1795485638, 0)
	body := `{"specversion":"1.0","subject":"ä"}`
	good := webhook.Sign([]byte(body), at, "new", "old")
	var requests []request
	for _, header := range []string{good, strings.ReplaceAll(good, ",", ", "), "v2=x," + good, "", "t=1795485638", "t=,v1=00", "t=x,v1=zz", good[:len(good)-1], strings.Replace(good, "t=1", "t=2", 1), "v1=ä,t=1795485638"} {
		for _, secret := range []string{"new", "old", "other"} {
			for _, late := range []time.Duration{0, webhook.Tolerance, -webhook.Tolerance, webhook.Tolerance + time.Second, -webhook.Tolerance - time.Second} {
				requests = append(requests, request{header, body, secret, at.Add(late).Unix()})
			}
		}
	}
	requests = append(requests, request{good, body + " ", "new", at.Unix()})
	for _, l := range []struct{ language, interpreter, extension, harness string }{
		{"python", "python3", ".py", `
import json, sys
print(json.dumps([verify(r["Header"], r["Body"].encode(), r["Secret"], r["Now"]) for r in json.load(sys.stdin)]))
`},
		{"js", "node", ".js", `
const requests = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(requests.map((r) => verify(r.Header, Buffer.from(r.Body), r.Secret, r.Now))));
`},
	} {
		t.Run(l.language, func(t *testing.T) {
			passed := 0
			for i, got := range judge(t, l.language, l.interpreter, l.extension, l.harness, requests) {
				r := requests[i]
				want := webhook.Verify(r.Header, []byte(r.Body), r.Secret, time.Unix(r.Now, 0)) == nil
				if got != want {
					t.Errorf("%+v: %v, want %v", r, got, want)
				}
				if want {
					passed++
				}
			}
			if passed == 0 || passed == len(requests) {
				t.Errorf("%d of %d requests pass", passed, len(requests))
			}
		})
	}
}
