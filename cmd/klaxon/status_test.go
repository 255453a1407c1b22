package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// askStatus runs the command.
func askStatus(args ...string) (code int, out string) {
	var b bytes.Buffer
	code = run(append([]string{"status"}, args...), streams{out: &b, err: &b})
	return code, b.String()
}

func TestStatusOfARunningProcess(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Detect.Idle = 0 })
	s.start()
	s.produce()
	s.eventually("the record is archived and the alert delivered", func() bool {
		st := s.app.status()
		return len(st.Loops) == 3 && st.Loops[0].Records == 1 && len(st.Destinations) == 1 && st.Destinations[0].Delivered > 0 && st.Store.OpenIncidents == 1 &&
			st.Loops[1].OldestUncommitted.IsZero() && st.Loops[2].OldestUncommitted.IsZero()
	})
	var code int
	var out, missing string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("it ended with %d; %s is not in\n%s", code, missing, out)
		}
	})
	wanted := []string{`ready`, `archive.local +2 partitions +0 +- +ready`, `match +2 partitions +0 +- +ready`, `detect +32 shards +\d+ +\S+ +ready`, `deliver +ready`,
		`alerts-topic +0 +- +0 +[1-9]\d* +[0-9.]+s +0`, `roles +archive, match, detect, deliver`, `generation +[0-9a-f]{12}, loaded \S+ ago: 1 rules, \d+ datasets, [1-9]\d* lists`,
		`store +.*klaxon.db: 1 open incidents`, `memory +\S+ MiB`, `disk +.*archive: .* free of`}
	s.eventually("the command says all of it", func() bool { // the outbox is counted once a second
		code, out = askStatus("--url", s.app.admin.addr, "--max-age", "1h")
		at := slices.IndexFunc(wanted, func(want string) bool { return !regexp.MustCompile(want).MatchString(out) })
		if missing = ""; at >= 0 {
			missing = wanted[at]
		}
		return code == 0 && missing == ""
	})
	code, out = askStatus("--json", "--url", "http://"+s.app.admin.addr+"/", "--url", s.app.admin.addr)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var one answered
	if code != 0 || len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &one) != nil || one.Status == nil || !one.Status.Ready || one.Status.Loops[0].Name != "archive.local" || one.Status.Store.Errors == nil {
		t.Errorf("%d: %s", code, out)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if code, out := askStatus("--url", s.app.admin.addr); code != exitError || !strings.Contains(out, "is it running, and is this its admin.listen?") {
		t.Errorf("of a process that has ended: %d, %s", code, out)
	}
}

// answering is a process that says so.
func answering(t *testing.T, r statusReport) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, r) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestStatusSaysWhatLagsBadly(t *testing.T) {
	now := time.Now()
	fine := statusReport{Ready: true, Time: now, Started: now.Add(-50 * time.Hour), Loops: []loopStatus{{Name: "match", OldestUncommitted: now.Add(-time.Minute)}}}
	slow := fine
	slow.Loops = []loopStatus{{Name: "match", OldestUncommitted: now.Add(-6 * time.Minute)}}
	slow.Destinations = []destinationStatus{{Name: "webhook.x", Waiting: 3, Oldest: now.Add(-time.Hour)}}
	ill := fine
	ill.Ready, ill.Parts = false, map[string]string{"kafka": "no answer\x1b[31m"}
	ill.Errors = []lastError{{Level: "error", Message: "cannot start yet", Error: "no answer", Part: "kafka", Count: 17, Last: now.Add(-2 * time.Minute)}}
	ill.Generation = Generation{Hash: "abc", Failed: "r.yaml:1:1: no", FailedAt: now.Add(-time.Hour), Loaded: now.Add(-24 * time.Hour)}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"fine", []string{"--url", answering(t, fine)}, 0, []string{"up 2d2h, ready", "match  0 partitions  0    1m0s"}},
		{"strict", []string{"--url", answering(t, fine), "--max-age", "30s"}, 1, []string{"BEHIND: match"}},
		{"slow", []string{"--url", answering(t, slow)}, 1, []string{"ready, BEHIND: match, webhook.x", "webhook.x    3        1h0m"}},
		{"ill", []string{"--url", answering(t, ill)}, 1, []string{"NOT READY", "no answer·[31m", "2m0s ago     17     kafka  cannot start yet: no answer", "a reload failed 1h0m ago: r.yaml:1:1: no"}},
		{"one of two", []string{"--url", answering(t, fine), "--url", answering(t, ill)}, 1, []string{"NOT READY"}},
		{"one is away", []string{"--url", answering(t, ill), "--url", "127.0.0.1:1"}, 2, []string{"http://127.0.0.1:1  cannot reach it"}},
	} {
		code, out := askStatus(c.args...)
		if code != c.code {
			t.Errorf("%s: it ends with %d, want %d", c.name, code, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in\n%s", c.name, want, out)
			}
		}
	}
}

func TestStatusRefuses(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer html.Close()
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer empty.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--url", other.URL}, "answers 404 Not Found, and not as klaxon does"},
		{[]string{"--url", html.URL}, "not as klaxon does"},
		{[]string{"--url", empty.URL}, "not as klaxon does"},
		{[]string{"--url", "ftp://x"}, "write it as http://127.0.0.1:9464"},
		{[]string{"--url", "http://"}, "is no address"},
		{[]string{"-c", "nowhere.yaml"}, "nowhere.yaml"},
	} {
		if code, out := askStatus(c.args...); code != exitError || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d, %s", c.args, code, out)
		}
	}
}

func TestStatusAddresses(t *testing.T) {
	for listen, want := range map[string]string{"0.0.0.0:9999": "http://127.0.0.1:9999", "[::]:1": "http://127.0.0.1:1", ":80": "http://127.0.0.1:80", "10.0.0.1:9464": "http://10.0.0.1:9464", "[::1]:9464": "http://[::1]:9464"} {
		file := filepath.Join(t.TempDir(), "klaxon.yaml")
		// whoever asks may not be allowed to read the secrets
		text := smallConfig + fmt.Sprintf("admin: {listen: %q}\ndeliver: {webhooks: [{name: x, url: 'http://x', secret_file: /nowhere}]}\n", listen)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := (&statusCmd{Config: file, URL: []string{"other:1"}}).addresses()
		if err != nil || len(got) != 2 || got[0] != want || got[1] != "http://other:1" {
			t.Errorf("%s: %v, %v", listen, got, err)
		}
	}
	if got, err := (&statusCmd{}).addresses(); err != nil || len(got) != 1 || got[0] != "http://127.0.0.1:9464" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := (&statusCmd{URL: []string{"http://"}}).addresses(); err == nil {
		t.Error("an address without a host is taken")
	}
}

// TestStatusIsDocumented: what /status answers with is named in the documents.
func TestStatusIsDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Status\n")
	section, _, _ = strings.Cut(section, "\n## ")
	seen := 0
	var check func(reflect.Type)
	check = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(section, "`"+name+"`") && !strings.Contains(section, "`"+name+"[]`") {
				t.Errorf("docs/operations.md does not say what %s of %s is", name, typ)
			}
			seen++
			check(typ.Field(i).Type)
		}
	}
	check(reflect.TypeFor[statusReport]())
	if seen < 40 {
		t.Errorf("only %d names were found", seen)
	}
}
