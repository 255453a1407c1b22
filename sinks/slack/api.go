package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/klaxonhq/klaxon/internal/outbound"
)

// maxAnswer bounds how much of an answer is read. A page of a busy channel's history is the largest.
const maxAnswer = 16 << 20

// content is what a message says.
type content struct {
	Text     string    `json:"text"` // what notifications show
	Blocks   []block   `json:"blocks"`
	Parse    string    `json:"parse"`
	Metadata *metadata `json:"metadata"`
}

// post is chat.postMessage.
type post struct {
	content
	Channel     string `json:"channel"`
	ThreadTS    string `json:"thread_ts,omitempty"`
	Broadcast   bool   `json:"reply_broadcast,omitempty"` // shows a reply in the channel too
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

// edit is chat.update.
type edit struct {
	content
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// answer is what is needed of the answers of all methods.
type answer struct {
	OK       bool      `json:"ok"`
	Code     string    `json:"error"`
	Needed   string    `json:"needed"` // the scope that is missing
	Channel  string    `json:"channel"`
	TS       string    `json:"ts"`
	Messages []message `json:"messages"`
	Response struct {
		Cursor   string   `json:"next_cursor"`
		Messages []string `json:"messages"` // details of an error
	} `json:"response_metadata"`
}

// message is one that stands in the channel. Most are others', whose blocks and metadata may be anything.
type message struct {
	TS       string          `json:"ts"`
	Subtype  string          `json:"subtype"`
	Blocks   json.RawMessage `json:"blocks"`
	Metadata json.RawMessage `json:"metadata"`
}

// call calls a method that takes JSON.
func (s *Slack) call(ctx context.Context, method string, in any) (*answer, error) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // Slack has escapes of its own
	if err := e.Encode(in); err != nil {
		return nil, fmt.Errorf("cannot encode a request: %w", err)
	}
	return s.do(ctx, method, "application/json; charset=utf-8", body.Bytes())
}

// ask calls a method that reads; those take forms.
func (s *Slack) ask(ctx context.Context, method string, form url.Values) (*answer, error) {
	return s.do(ctx, method, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

func (s *Slack) do(ctx context.Context, method, contentType string, body []byte) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+method, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cannot make a request to %s", s.host)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("User-Agent", "klaxon")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cannot reach Slack at %s: %w", s.host, outbound.Unaddressed(err))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: the answer of Slack at %s broke off: %w", method, s.host, outbound.Unaddressed(err))
	}
	return s.read(method, resp, data)
}

// read makes an answer or an error of what came.
func (s *Slack) read(method string, resp *http.Response, data []byte) (*answer, error) {
	after := outbound.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
	if resp.StatusCode != http.StatusOK {
		text := fmt.Sprintf("%s: Slack at %s answered %s", method, s.host, s.shown(resp.Status))
		if resp.StatusCode >= 300 && resp.StatusCode < 400 {
			text += "; redirects are not followed: set url to where it leads"
		} else if said := s.shown(string(data)); said != "" {
			text += ": " + said
		}
		return nil, &outbound.RetryError{Text: text, After: after}
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, &outbound.RetryError{Text: fmt.Sprintf("%s: %s does not answer as Slack does; check url and what stands between: %s", method, s.host, s.shown(string(data))), After: after}
	}
	if a.OK {
		return &a, nil
	}
	return nil, s.refused(method, &a, after)
}

func (s *Slack) shown(text string) string { return outbound.Shown(text, []string{s.token}) }
