package outbound

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-3": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0, "86400": MaxRetryAfter,
		"Tue, 24 Nov 2026 12:00:30 GMT": 30 * time.Second, "Tue, 24 Nov 2026 11:00:00 GMT": 0, "Thu, 24 Dec 2026 12:00:00 GMT": MaxRetryAfter,
	} {
		if got := RetryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"no\n\tsuch  thing":      "no such thing",
		"\x1b[31mred\u202e":      "\uFFFD[31mred\uFFFD",
		"bad \xff bytes":         "bad \uFFFD bytes",
		"key s3cret, s3cret":     "key [secret], [secret]",
		strings.Repeat("ä", 201): strings.Repeat("ä", 200) + "…",
	} {
		if got := Shown(text, []string{"s3cret", ""}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzShown(f *testing.F) {
	f.Add("a\x1b b", "b")
	f.Add(strings.Repeat("\xf0", 300), "")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := Shown(text, []string{secret})
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxShown+1 || strings.ContainsAny(got, "\n\r\t\x1b\x00") {
			t.Errorf("%q", got)
		}
	})
}

func TestClientFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	resp, err := NewClient(10*time.Second, nil).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect {
		t.Error(resp.Status)
	}
}

func TestErrorsShowNoAddress(t *testing.T) {
	_, err := NewClient(10*time.Second, nil).Get("http://127.0.0.1:1/T0KEN?key=T0KEN")
	if err == nil || !strings.Contains(err.Error(), "T0KEN") || strings.Contains(Unaddressed(err).Error(), "T0KEN") {
		t.Error(Unaddressed(err))
	}
	if other := errors.New("x"); !errors.Is(Unaddressed(other), other) {
		t.Error("another error is changed")
	}
	for _, bad := range []string{"", "T0KEN", "ftp://T0KEN", "http://x/%zz?T0KEN", "http:///T0KEN"} {
		if _, err := ParseURL(bad); err == nil || strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if u, err := ParseURL("https://x.example/y"); err != nil || u.Host != "x.example" {
		t.Error(u, err)
	}
}
