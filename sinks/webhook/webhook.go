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
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/internal/outbound"
)

// Config says where a webhook's requests go. Zero values are replaced by the defaults named here.
type Config struct {
	// URL is the receiver's address, http or https. It may hold a secret, so it stands in no error.
	URL string
	// Secret is the key of the signature.
	Secret string
	// Previous are keys that receivers may still use, while one is exchanged: requests carry a signature by each.
	Previous []string
	// Header is sent along with every request, an Authorization for example. Its values stand in no error.
	Header http.Header
	// Source is the CloudEvents attribute of that name, a URI reference that says which klaxon speaks; "klaxon".
	Source string
	// Timeout bounds a request, with its answer; 10 s.
	Timeout time.Duration
	// TLS is for receivers with a private certificate or that ask for one; nil: the system's authorities.
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
	// maxAnswer is how much of an answer is read, so that the connection can be used again.
	maxAnswer = 16 << 10
)

// Webhook is the incidents.Notifier of one receiver. It is safe for concurrent use.
type Webhook struct {
	url     string
	host    string // for errors
	secrets []string
	header  http.Header
	hidden  []string // what no error shows
	source  string
	clock   func() time.Time
	client  *http.Client
}

// New makes a webhook. It does no I/O.
func New(c Config) (*Webhook, error) {
	u, err := outbound.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	secrets := append([]string{c.Secret}, c.Previous...)
	if slices.Contains(secrets, "") {
		return nil, errors.New("a webhook needs a secret: without one its receiver cannot tell klaxon from anybody else")
	}
	if len(secrets) > maxSignatures {
		return nil, fmt.Errorf("a webhook has at most %d secrets at once", maxSignatures)
	}
	hidden := slices.Clone(secrets)
	for name, values := range c.Header {
		if err := CheckHeader(name, values...); err != nil {
			return nil, err
		}
		hidden = append(hidden, values...)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	w := &Webhook{url: c.URL, host: u.Host, secrets: secrets, header: c.Header.Clone(), hidden: hidden, source: c.Source, clock: c.Clock,
		client: outbound.NewClient(c.Timeout, c.TLS)}
	if w.source == "" {
		w.source = defaultSource
	}
	if w.clock == nil {
		w.clock = time.Now
	}
	return w, nil
}

// CheckHeader says what is wrong with a header that is to be sent along: it must be one that HTTP can carry and that klaxon does not
// set itself. The error shows no value.
func CheckHeader(name string, values ...string) error {
	token := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r)
	}
	if name == "" || strings.ContainsFunc(name, token) {
		return fmt.Errorf("%q is no name of a header: use letters, digits and dashes", name)
	}
	if slices.Contains(ownHeaders(), http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("the header %s is klaxon's own to set", name)
	}
	for _, v := range values {
		if strings.ContainsFunc(v, unicode.IsControl) {
			return fmt.Errorf("the value of the header %s holds control characters", name)
		}
	}
	return nil
}

// ownHeaders are those that klaxon or HTTP itself sets.
func ownHeaders() []string {
	return []string{"Content-Type", "Idempotency-Key", SignatureHeader, "User-Agent", "Host", "Content-Length", "Content-Encoding", "Transfer-Encoding",
		"Connection", "Te", "Trailer", "Upgrade", "Expect"}
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
// An error that wraps incidents.ErrPermanent means that the receiver will never take this message: it said so with a status from 400
// to 499, other than those that mean the sender, the address or the moment. After every other error it may be tried again; an
// *outbound.RetryError says when.
func (w *Webhook) Deliver(ctx context.Context, m incidents.Message) (ref string, err error) {
	body, err := w.encode(&m)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("cannot make a request to %s: %w", w.host, incidents.ErrPermanent)
	}
	for name, values := range w.header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header.Set("Content-Type", ContentType)
	r.Header.Set("User-Agent", "klaxon")
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set(SignatureHeader, Sign(body, w.clock(), w.secrets...))
	resp, err := w.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("cannot reach the webhook at %s: %w", w.host, outbound.Unaddressed(err))
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
	if len(m.Body) == 0 {
		return nil, fmt.Errorf("message %s is empty: %w", m.ID, incidents.ErrPermanent)
	}
	body, err := json.Marshal(cloudEvent{SpecVersion: "1.0", ID: m.ID, Source: w.source, Type: kind, Subject: m.Subject,
		Time: m.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), DataContentType: "application/json", Tenant: m.Tenant,
		Severity: m.Severity.String(), Data: m.Body})
	if err != nil {
		return nil, fmt.Errorf("message %s is no JSON (%w): %w", m.ID, err, incidents.ErrPermanent)
	}
	return body, nil
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
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		text += "; check the secret on both sides, and the authorization that the webhook sends along"
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		text += "; check the webhook's url"
	case status == http.StatusProxyAuthRequired:
		text += "; check the proxy"
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
	default:
		return fmt.Errorf("%s: %w", text, incidents.ErrPermanent)
	}
	return &outbound.RetryError{Text: text, After: outbound.RetryAfter(resp.Header.Get("Retry-After"), w.clock())}
}

func (w *Webhook) shown(s string) string { return outbound.Shown(s, w.hidden) }
