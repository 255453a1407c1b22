package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klaxonhq/klaxon/ingest/kafka"
	"github.com/klaxonhq/klaxon/internal/broker"
	"go.uber.org/zap"
)

// keepsSecrets wants none of the secrets in a text, in any form in which they travel.
func keepsSecrets(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		forms := []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte("klaxon:" + s))}
		for _, form := range forms {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s shows %s as %s in: …%s…", where, s, form, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
}

// pages is what the admin port shows.
func pages(t *testing.T, admin string) string {
	t.Helper()
	var all strings.Builder
	for _, page := range []string{"/metrics", "/readyz", "/status", "/healthz", "/debug/pprof/"} {
		resp, err := http.Get("http://" + admin + page)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(&all, resp.Body)
		resp.Body.Close()
	}
	return all.String()
}

// TestSecretsOfEverySettingStayOut runs with every setting of the example on, which is where a new secret appears first.
func TestSecretsOfEverySettingStayOut(t *testing.T) {
	file, secrets := wholeExample(t)
	if len(secrets) < 3 {
		t.Fatalf("only %v: that proves little", secrets)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("listen: 127.0.0.1:9464", "listen: 127.0.0.1:0", "level: info", "level: debug").Replace(string(data))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startFile(t, file, "KLAXON_KAFKA=127.0.0.1:1")
	admin := c.admin()
	c.says("cannot start yet")
	shown := pages(t, admin)
	c.signal(syscall.SIGTERM)
	_ = c.wait()
	keepsSecrets(t, "the log", c.log.String(), secrets)
	keepsSecrets(t, "the admin port", shown, secrets)
}

// TestSecretsStayOutOfErrors: also where a server answers with what it was sent.
func TestSecretsStayOutOfErrors(t *testing.T) {
	secrets := []string{"p4ssword-of-elastic", "s1gning-key", "t0ken-in-path", "t0ken-in-query"}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"type":"security_exception","reason":%q},"status":401}`, fmt.Sprint(r.URL.Path, r.Header))
	}))
	defer echo.Close()
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	b, err := broker.Start("", broker.Topic{Name: "logs", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{"teapot.yaml": teapot, "elastic": secrets[0], "webhook": secrets[1]} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := startChild(t, fmt.Sprintf(`version: 1
kafka: {brokers: [%q], topics: [logs], session: 6s}
archive:
  local: {dir: archive, flush: 100ms}
  elasticsearch: {urls: [%q], username: klaxon, password_file: %q}
rules: {shipped: false, dirs: [%q]}
deliver:
  webhooks:
    - {name: echo, url: "%s/t0ken-in-path?key=t0ken-in-query", secret_file: %q}
    - {name: dead, url: "%s/t0ken-in-path?key=t0ken-in-query", secret_file: %q}
admin: {listen: "127.0.0.1:0"}
log: {level: debug}
`, b.Addr(), echo.URL, filepath.Join(dir, "elastic"), dir, echo.URL, filepath.Join(dir, "webhook"), dead.URL, filepath.Join(dir, "webhook")))
	admin := c.admin()
	client := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}, Log: zap.NewNop()})
	defer client.Close()
	if err := client.Send(t.Context(), "logs", []kafka.Message{{Value: []byte(teapotRecord)}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"part":"archive.elasticsearch"`, `"destination":"webhook.echo"`, `"destination":"webhook.dead"`, `"destination":"elasticsearch"`} {
		c.says(want)
	}
	shown := pages(t, admin)
	c.signal(syscall.SIGTERM)
	if err := c.wait(); err != nil {
		t.Errorf("%v\n%s", err, c.log)
	}
	keepsSecrets(t, "the log", c.log.String(), secrets)
	keepsSecrets(t, "the admin port", shown, secrets)
}

// TestSecretsStayOutOfMistakes: what is wrong with a configuration is told without what it holds.
func TestSecretsStayOutOfMistakes(t *testing.T) {
	secret := "p4ssword"
	for _, text := range []string{
		"kafka: {brokers: [a:1], topics: [x], sasl: {mechanism: p, username: [x], password: p4ssword, password_file: secret}}",
		"kafka: {brokers: [a:1], topics: [x], sasl: {mechanism: PLAIN, username: u, password: [p4ssword]}}",
		"kafka: {brokers: [a:1], topics: [x]}\ndeliver: {webhooks: [{name: A, url: 'https://hooks.example/p4ssword bad', secret: {a: p4ssword}}]}",
		"kafka: {brokers: [a:1], topics: [x]}\narchive: {elasticsearch: {urls: ['https://u:p4ssword@es'], api_key: p4ssword, username: u, password: p4ssword}}",
	} {
		_, list := parse(t, "version: 1\n"+text+"\n", noEnv)
		if !list.HasErrors() {
			t.Errorf("nothing is wrong with %s", text)
		}
		keepsSecrets(t, "the list of mistakes", list.String(), []string{secret})
	}
}

func TestSecretsAreHidden(t *testing.T) {
	var s secrets
	s.add("klaxon", `p"ss/w0rd`)
	s.add("", "abc") // too short to be told from a word
	s.addURL("https://hooks.example/services/T0123456789ab/x?key=0123456789abcdef&v=1")
	hide := s.replacer()
	for text, want := range map[string]string{
		`a p"ss/w0rd b`:                  "a [hidden] b",
		`{"x":"p\"ss/w0rd"}`:             `{"x":"[hidden]"}`,
		"p%22ss%2Fw0rd":                  "[hidden]",
		"Basic a2xheG9uOnAic3MvdzByZA==": "Basic [hidden]",
		"abc services":                   "abc services",
		"/services/T0123456789ab/x":      "/services/[hidden]/x",
		"key=0123456789abcdef":           "key=[hidden]",
	} {
		if got := hide.Replace(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	var none secrets
	if none.replacer().Replace("text") != "text" || none.writer(io.Discard) != io.Discard {
		t.Error("without secrets something is hidden")
	}
}
