// Package webhook tells a receiver of CloudEvents 1.0 about alerts and incidents, by HTTP, signed. docs/webhook.md says what a
// receiver finds in a request and has to do; Verify checks the signature for receivers that are written in Go.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/klaxonhq/klaxon/incidents"
)

// Config says where a webhook's requests go. Zero values are replaced by the defaults named here.
type Config struct {
	// URL is the receiver's address, http or https. It may hold a secret, so it stands in no error.
	URL string
	// Secret is the key of the signature.
	Secret string
	// Previous are keys that receivers may still use, while one is exchanged: requests carry a signature by each.
	Previous []string
	// Source is the CloudEvents attribute of that name, a URI reference that says which klaxon speaks; "klaxon".
	Source string
	// Timeout bounds a request, with its answer; 10 s.
	Timeout time.Duration
	// TLS is for receivers with a private certificate; nil: the system's authorities.
	TLS *tls.Config
	// Clock is for the signature's time; time.Now.
	Clock func() time.Time
}

// The types of events.
const (
	TypeAlert    = "com.klaxon.alert.v1"
	TypeIncident = "com.klaxon.incident.v1"
)

// ContentType is that of CloudEvents in structured mode.
const ContentType = "application/cloudevents+json; charset=utf-8"

const (
	defaultSource  = "klaxon"
	defaultTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be used again; maxShown how much of it an error shows.
	maxAnswer = 16 << 10
	maxShown  = 200
	// maxRetryAfter bounds what a receiver may ask for.
	maxRetryAfter = time.Hour
)

// Webhook is the incidents.Notifier of one receiver. It is safe for concurrent use.
type Webhook struct {
	url     string
	host    string // for errors
	secrets []string
	source  string
	clock   func() time.Time
	client  *http.Client
}

// New makes a webhook. It does no I/O.
func New(c Config) (*Webhook, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the webhook's url is no http or https address")
	}
	secrets := append([]string{c.Secret}, c.Previous...)
	for _, s := range secrets {
		if s == "" {
			return nil, errors.New("a webhook needs a secret: without one its receiver cannot tell klaxon from anybody else")
		}
	}
	w := &Webhook{url: c.URL, host: u.Host, secrets: secrets, source: c.Source, clock: c.Clock, client: client(c)}
	if w.source == "" {
		w.source = defaultSource
	}
	if w.clock == nil {
		w.clock = time.Now
	}
	return w, nil
}

func client(c Config) *http.Client {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &http.Client{
		Timeout: timeout,
		// A redirect would send what is signed for one receiver to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: timeout}).DialContext, TLSClientConfig: c.TLS,
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: maxAnswer,
			MaxConnsPerHost: 4, MaxIdleConns: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, DisableCompression: true,
		},
	}
}

// cloudEvent is the request's body.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Tenant          string          `json:"klaxontenant"`
	Severity        string          `json:"klaxonseverity"`
	Data            json.RawMessage `json:"data"`
}

// Deliver sends one message. The ref is what the receiver's Location header says, if anything.
//
// An error that wraps incidents.ErrPermanent means that the receiver will never take the message: it answered with a status from 400
// to 499, other than 408, 425 and 429. After every other error it may be tried again; a *RetryError says when.
func (w *Webhook) Deliver(ctx context.Context, m incidents.Message) (ref string, err error) {
	body, err := w.encode(&m)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("cannot make a request to %s: %w", w.host, incidents.ErrPermanent)
	}
	r.Header.Set("Content-Type", ContentType)
	r.Header.Set("User-Agent", "klaxon")
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set(SignatureHeader, Sign(body, w.clock(), w.secrets...))
	resp, err := w.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("cannot reach the webhook at %s: %w", w.host, unaddressed(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 300 { // it has taken the message, whatever becomes of its answer
		return w.shown(resp.Header.Get("Location")), nil
	}
	if err != nil {
		answer = nil
	}
	return "", w.refused(resp, answer)
}

func (w *Webhook) encode(m *incidents.Message) ([]byte, error) {
	kind := ""
	switch m.Type {
	case incidents.TypeAlert:
		kind = TypeAlert
	case incidents.TypeIncident:
		kind = TypeIncident
	default:
		return nil, fmt.Errorf("a webhook knows no messages of type %q: %w", m.Type, incidents.ErrPermanent)
	}
	body, err := json.Marshal(cloudEvent{SpecVersion: "1.0", ID: m.ID, Source: w.source, Type: kind, Subject: m.Subject,
		Time: m.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), DataContentType: "application/json", Tenant: m.Tenant,
		Severity: m.Severity.String(), Data: m.Body})
	if err != nil {
		return nil, fmt.Errorf("message %s is no JSON (%w): %w", m.ID, err, incidents.ErrPermanent)
	}
	return body, nil
}

// unaddressed takes the address off an error of the HTTP client: its path or query may be a secret.
func unaddressed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refused is the error for an answer that is no success.
func (w *Webhook) refused(resp *http.Response, answer []byte) error {
	text := fmt.Sprintf("the webhook at %s answered %s", w.host, w.shown(resp.Status))
	if said := w.shown(string(answer)); said != "" {
		text += ": " + said
	}
	status := resp.StatusCode
	switch {
	case status < 400:
		return fmt.Errorf("%s; redirects are not followed: set the webhook's url to where it leads", text)
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return &RetryError{text: text, after: retryAfter(resp.Header.Get("Retry-After"), w.clock())}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		text += "; check that both sides have the same secret"
	}
	return fmt.Errorf("%s: %w", text, incidents.ErrPermanent)
}

// shown is the beginning of what a receiver said, as one line without control characters, and without our secrets.
func (w *Webhook) shown(s string) string {
	for _, secret := range w.secrets {
		s = strings.ReplaceAll(s, secret, "[secret]")
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxShown {
		return string(runes[:maxShown]) + "…"
	}
	return s
}
