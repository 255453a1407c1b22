package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/notifytest"
	"github.com/klaxonhq/klaxon/internal/outbound"
	"github.com/klaxonhq/klaxon/sinks/webhook"
)

const secret = "correct horse battery"

func message() incidents.Message {
	return incidents.Message{ID: "0a1b-3", Type: incidents.TypeIncident, Destination: "soc", Tenant: "acme", Subject: "0a1b", Revision: 3, Severity: alert.High,
		Time: time.Date(2026, 11, 24, 12, 0, 0, 5e6, time.UTC), Body: json.RawMessage(`{"action":"opened","incident":{"id":"0a1b"}}`)}
}

func newWebhook(t *testing.T, c webhook.Config) *webhook.Webhook {
	t.Helper()
	if c.Secret == "" {
		c.Secret = secret
	}
	w, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// receiver takes what comes, as long as it is up.
type receiver struct {
	mu     sync.Mutex
	taken  []string
	status int
	hangs  bool
}

func (x *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	io.Copy(io.Discard, r.Body)
	if x.status != 0 {
		w.WriteHeader(x.status)
		io.WriteString(w, "no, "+r.Header.Get("Authorization")+" "+r.Header.Get(webhook.SignatureHeader))
		return
	}
	x.taken = append(x.taken, r.Header.Get("Idempotency-Key"))
	if x.hangs {
		<-r.Context().Done()
	}
}

func (x *receiver) become(change func()) func() {
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		change()
	}
}

func TestContract(t *testing.T) {
	for kind := range map[string]bool{incidents.TypeAlert: true, incidents.TypeIncident: true} {
		t.Run(kind, func(t *testing.T) {
			notifytest.Run(t, func(t *testing.T) notifytest.Target {
				x := &receiver{}
				s := httptest.NewServer(x)
				t.Cleanup(s.Close)
				w := newWebhook(t, webhook.Config{URL: s.URL + "/T0KEN?key=T0KEN", Header: http.Header{"Authorization": {"Bearer b34rer"}}, Timeout: time.Minute})
				return notifytest.Target{Notifier: w, Type: kind, Secrets: []string{secret, "T0KEN", "b34rer"},
					Taken: func() []string { x.mu.Lock(); defer x.mu.Unlock(); return x.taken },
					Down:  x.become(func() { x.status = 502 }), Up: x.become(func() { x.status = 0 }),
					Hang: x.become(func() { x.hangs = true }), Refuse: x.become(func() { x.status = 422 }),
				}
			})
		})
	}
}

func TestRequest(t *testing.T) {
	var got map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for _, key := range []string{secret, "old"} {
			if err := webhook.Verify(r.Header.Get(webhook.SignatureHeader), body, key, time.Now()); err != nil {
				t.Errorf("signature: %v", err)
			}
		}
		if r.Method != "POST" || r.URL.Path != "/hook" || r.Header.Get("Idempotency-Key") != "0a1b-3" || r.Header.Get("Content-Type") != webhook.ContentType ||
			r.Header.Get("Authorization") != "Bearer T0KEN" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", "/tickets/17")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	ref, err := newWebhook(t, webhook.Config{URL: s.URL + "/hook", Previous: []string{"old"}, Source: "klaxon/eu", Header: http.Header{"authorization": {"Bearer T0KEN"}}}).Deliver(context.Background(), message())
	if err != nil || ref != "/tickets/17" {
		t.Fatal(ref, err)
	}
	want := map[string]any{"specversion": "1.0", "id": "0a1b-3", "source": "klaxon/eu", "type": "com.klaxon.incident.v1", "subject": "0a1b",
		"time": "2026-11-24T12:00:00.005Z", "datacontenttype": "application/json", "klaxontenant": "acme", "klaxonseverity": "high",
		"data": map[string]any{"action": "opened", "incident": map[string]any{"id": "0a1b"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wanted -, sent +:\n%s", diff)
	}
	documented, err := os.ReadFile("../../docs/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range got {
		if !strings.Contains(string(documented), "`"+name+"`") {
			t.Errorf("the attribute %s is not documented", name)
		}
	}
}

func TestStatuses(t *testing.T) {
	for _, c := range []struct {
		status    int
		permanent bool
		after     time.Duration
	}{
		{301, false, 0}, {304, false, 0}, {307, false, 0},
		{400, true, 0}, {402, true, 0}, {409, true, 0}, {410, true, 0}, {413, true, 0}, {422, true, 0}, {451, true, 0},
		{401, false, 9 * time.Second}, {403, false, 9 * time.Second}, {404, false, 9 * time.Second}, {405, false, 9 * time.Second}, {407, false, 9 * time.Second},
		{408, false, 9 * time.Second}, {425, false, 9 * time.Second}, {429, false, 9 * time.Second},
		{500, false, 9 * time.Second}, {502, false, 9 * time.Second}, {503, false, 9 * time.Second}, {599, false, 9 * time.Second},
	} {
		t.Run(http.StatusText(c.status), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "9")
				w.WriteHeader(c.status)
				if c.status >= 400 {
					io.WriteString(w, "no \x1b[31m"+secret+"\nBearer T0KEN, line two "+strings.Repeat("x", 5000))
				}
			}))
			defer s.Close()
			own := http.Header{"Authorization": {"Bearer T0KEN"}}
			_, err := newWebhook(t, webhook.Config{URL: s.URL + "/T0KEN?key=T0KEN", Header: own}).Deliver(context.Background(), message())
			var retry *outbound.RetryError
			after := time.Duration(0)
			if errors.As(err, &retry) {
				after = retry.RetryAfter()
			}
			if err == nil || errors.Is(err, incidents.ErrPermanent) != c.permanent || after != c.after {
				t.Fatalf("%v: permanent %v, after %v", err, errors.Is(err, incidents.ErrPermanent), after)
			}
			quiet(t, err)
		})
	}
}

// quiet checks that an error can be logged: no secrets, one line of bounded length.
func quiet(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, "T0KEN") || strings.ContainsAny(text, "\x1b\n") || len(text) > 600 {
		t.Errorf("an error that is not fit for a log: %q", text)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	if _, err := newWebhook(t, webhook.Config{URL: s.URL}).Deliver(context.Background(), message()); err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
		t.Error(err)
	}
	if stolen.Load() != 0 {
		t.Error("the message went where the redirect led")
	}
}

func TestSlow(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(release)
	for name, c := range map[string]struct{ mine, callers time.Duration }{"its own bound": {50 * time.Millisecond, time.Minute}, "the caller's": {time.Minute, 50 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			ctx, done := context.WithTimeout(context.Background(), c.callers)
			defer done()
			_, err := newWebhook(t, webhook.Config{URL: s.URL + "/T0KEN", Timeout: c.mine}).Deliver(ctx, message())
			if err == nil || errors.Is(err, incidents.ErrPermanent) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			quiet(t, err)
		})
	}
}

// TestEndless: a receiver that never ends its answer has taken the message all the same.
func TestEndless(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	if _, err := newWebhook(t, webhook.Config{URL: s.URL}).Deliver(context.Background(), message()); err != nil {
		t.Error(err)
	}
}

func TestClosing(t *testing.T) {
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	}))
	w := newWebhook(t, webhook.Config{URL: s.URL + "/T0KEN"})
	_, err := w.Deliver(context.Background(), message())
	if err == nil || errors.Is(err, incidents.ErrPermanent) || requests.Load() == 0 {
		t.Fatal(err)
	}
	quiet(t, err)
	s.Close()
	if _, err = w.Deliver(context.Background(), message()); err == nil || errors.Is(err, incidents.ErrPermanent) {
		t.Fatal(err)
	}
	quiet(t, err)
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]webhook.Config{
		"no url":                  {Secret: secret},
		"another scheme":          {URL: "ftp://x/T0KEN", Secret: secret},
		"a broken url":            {URL: "http://x/%zz?T0KEN", Secret: secret},
		"no secret":               {URL: "http://x/T0KEN"},
		"an empty former":         {URL: "http://x/T0KEN", Secret: secret, Previous: []string{""}},
		"many secrets":            {URL: "http://x/T0KEN", Secret: secret, Previous: strings.Fields("1 2 3 4 5 6 7 8")},
		"a strange header":        {URL: "http://x/T0KEN", Secret: secret, Header: http.Header{"X Y": {"T0KEN"}}},
		"a header without a name": {URL: "http://x/T0KEN", Secret: secret, Header: http.Header{"": {"T0KEN"}}},
		"a header of klaxon's":    {URL: "http://x/T0KEN", Secret: secret, Header: http.Header{"idempotency-key": {"T0KEN"}}},
		"a header of two lines":   {URL: "http://x/T0KEN", Secret: secret, Header: http.Header{"X-A": {"T0KEN\r\nX-B: c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webhook.New(c)
			if err == nil {
				t.Fatal("no error")
			}
			quiet(t, err)
		})
	}
	w := newWebhook(t, webhook.Config{URL: "http://127.0.0.1:1"})
	for name, m := range map[string]incidents.Message{"an unknown type": {Type: "page", Body: []byte("{}")}, "no JSON": {Type: incidents.TypeAlert, Body: []byte("{")}} {
		if _, err := w.Deliver(context.Background(), m); !errors.Is(err, incidents.ErrPermanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
