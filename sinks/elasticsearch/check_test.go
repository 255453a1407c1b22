package elasticsearch

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, status int, body string, tls bool) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	s.Config.ErrorLog = nullLog()
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func TestCheck(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain, secure := serve(t, 200, `{"status":"green"}`, false), serve(t, 200, `{"status":"yellow"}`, true)
	tests := []struct{ name, url, want string }{
		{"Elasticsearch", plain.URL, ""},
		{"nobody", "http://" + closed.Addr().String(), "nothing listens there"},
		{"an unknown authority", secure.URL, "name the authority's certificate as CA file"},
		{"TLS where there is none", strings.Replace(plain.URL, "http:", "https:", 1), "write the address with http://"},
		{"no TLS where there is some", strings.Replace(secure.URL, "https:", "http:", 1), "400"},
		{"a wrong password", serve(t, 401, `{"error":{"type":"security_exception","reason":"unable to authenticate user [u]"},"status":401}`, false).URL, "check username and password"},
		{"a web server", serve(t, 200, `<html>Welcome</html>`, false).URL, "is not Elasticsearch"},
		{"another JSON", serve(t, 200, `{"status":"up"}`, false).URL, "is not Elasticsearch"},
		{"nothing of the kind", serve(t, 404, `not found`, false).URL, "is not Elasticsearch"},
		{"a proxy that forbids", serve(t, 403, `forbidden`, false).URL, "check the user's privileges"},
		{"not ready", serve(t, 503, `{"error":{"type":"master_not_discovered_exception","reason":null},"status":503}`, false).URL, "not ready"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(Config{URLs: []string{tt.url}, Username: "u", Password: "s3cret"})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Check(t.Context())
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.url) || strings.Contains(err.Error(), "s3cret")):
				t.Errorf("%v; want %q and the address", err, tt.want)
			}
		})
	}
}

// Who may write and not ask for the cluster's health gets in; one usable node of several is enough.
func TestCheckLetsIn(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 403, `{"error":{"type":"security_exception","reason":"action [cluster:monitor/health] is unauthorized for API key"},"status":403}`)
	}))
	defer s.Close()
	c, err := New(Config{URLs: []string{"http://127.0.0.1:1", s.URL + "/"}, APIKey: "a2V5"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckTakesSeconds(t *testing.T) {
	release := make(chan bool)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c, err := New(Config{URLs: []string{s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Check(ctx); err == nil || !strings.Contains(err.Error(), "does not answer in time") {
		t.Error(err)
	}
}

func TestCAFile(t *testing.T) {
	s := serve(t, 200, `{"status":"green"}`, true)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URLs: []string{s.URL}, CAFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A user and a key reach the server.
func TestAuthorization(t *testing.T) {
	for want, cfg := range map[string]Config{"Basic dTpw": {Username: "u", Password: "p"}, "ApiKey a2V5": {APIKey: "a2V5"}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); !strings.EqualFold(got, want) {
				t.Errorf("Authorization: %q, want %q", got, want)
			}
			answerJSON(w, 200, `{"status":"green"}`)
		}))
		cfg.URLs = []string{s.URL}
		c, err := New(cfg)
		if err == nil {
			err = c.Check(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
		s.Close()
	}
}
