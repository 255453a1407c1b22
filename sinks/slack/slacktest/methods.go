package slacktest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is a JSON object.
type answer map[string]any

func refused(code string, details ...string) answer {
	a := answer{"ok": false, "error": code}
	if len(details) > 0 {
		a["response_metadata"] = answer{"messages": details}
	}
	return a
}

// request is the arguments of a call.
type request struct {
	Channel     string          `json:"channel"`
	TS          string          `json:"ts"`
	ThreadTS    string          `json:"thread_ts"`
	Text        string          `json:"text"`
	Parse       string          `json:"parse"`
	LinkNames   bool            `json:"link_names"`
	Blocks      json.RawMessage `json:"blocks"`
	Metadata    json.RawMessage `json:"metadata"`
	Broadcast   bool            `json:"reply_broadcast"`
	UnfurlLinks bool            `json:"unfurl_links"`
	UnfurlMedia bool            `json:"unfurl_media"`

	oldest, cursor string
	limit          int
	allMetadata    bool
}

// read reads the arguments: JSON or a form, as the content type says.
func read(r *http.Request) (in request, body string, err error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return in, "", err
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch kind {
	case "application/json":
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.DisallowUnknownFields()
		return in, string(data), d.Decode(&in)
	case "application/x-www-form-urlencoded":
		r.Body = io.NopCloser(strings.NewReader(string(data)))
		err := r.ParseForm()
		in = request{Channel: r.PostForm.Get("channel"), TS: r.PostForm.Get("ts"), oldest: r.PostForm.Get("oldest"), cursor: r.PostForm.Get("cursor"),
			allMetadata: r.PostForm.Get("include_all_metadata") == "true"}
		in.limit, _ = strconv.Atoi(r.PostForm.Get("limit"))
		return in, string(data), err
	}
	return in, string(data), fmt.Errorf("content type %q", kind)
}

func (s *Server) answer(r *http.Request, method string, in request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case r.Method != http.MethodPost:
		return refused("invalid_post_type")
	case !bearer || token == "":
		return refused("not_authed")
	case token != s.Token:
		return refused("invalid_auth")
	}
	if code := s.errors[method]; code == "missing_scope" {
		return answer{"ok": false, "error": code, "needed": "channels:history", "provided": "chat:write"}
	} else if code != "" {
		return refused(code, "said "+token)
	}
	if wait := s.wait(method); wait > 0 {
		return answer{"ok": false, "error": "ratelimited", "retry_after": wait}
	}
	if in.Channel != s.Channel {
		return refused("channel_not_found")
	}
	switch method {
	case "chat.postMessage":
		return s.post(in)
	case "chat.update":
		return s.update(in)
	case "conversations.history":
		return s.history(in)
	case "conversations.replies":
		return s.replies(in)
	}
	return refused("unknown_method")
}

// wait is how many seconds a method is to be left alone, by Slack's limits.
func (s *Server) wait(method string) int {
	if !s.limited {
		return 0
	}
	span, most := time.Minute, 50
	if method == "chat.postMessage" {
		span, most = time.Second, 1
	}
	now := s.Now()
	s.limits[method] = slices.DeleteFunc(s.limits[method], func(at time.Time) bool { return now.Sub(at) >= span })
	if calls := s.limits[method]; len(calls) >= most {
		return int((calls[0].Add(span).Sub(now) + time.Second - 1) / time.Second)
	}
	s.limits[method] = append(s.limits[method], now)
	return 0
}

func (s *Server) find(ts string) *Message {
	for _, m := range s.messages {
		if m.TS == ts {
			return m
		}
	}
	return nil
}

func (s *Server) post(in request) answer {
	if bad := check(in); bad != nil {
		return bad
	}
	if in.ThreadTS != "" {
		if parent := s.find(in.ThreadTS); parent == nil || parent.ThreadTS != "" {
			return refused("thread_not_found")
		}
	}
	if in.Broadcast && in.ThreadTS == "" {
		return refused("invalid_arguments", "reply_broadcast without thread_ts")
	}
	if in.UnfurlLinks || in.UnfurlMedia {
		return refused("invalid_arguments", "a rule of this server: nothing is unfurled")
	}
	m := &Message{TS: s.nextTS(), Type: "message", Bot: "BKLAXON", Text: in.Text, ThreadTS: in.ThreadTS, Blocks: in.Blocks, Metadata: in.Metadata, Broadcast: in.Broadcast}
	s.messages = append(s.messages, m)
	return answer{"ok": true, "channel": s.Channel, "ts": m.TS, "message": m}
}

func (s *Server) update(in request) answer {
	m := s.find(in.TS)
	switch {
	case m == nil || m.Subtype == "tombstone":
		return refused("message_not_found")
	case m.Bot != "BKLAXON":
		return refused("cant_update_message")
	}
	if bad := check(in); bad != nil {
		return bad
	}
	m.Text, m.Blocks = in.Text, in.Blocks
	if in.Metadata != nil {
		m.Metadata = in.Metadata
	}
	m.Edits++
	return answer{"ok": true, "channel": s.Channel, "ts": m.TS, "text": m.Text}
}

// history is the channel's messages: with oldest alone, those nearest to it first; each page the newest first.
func (s *Server) history(in request) answer {
	var list []*Message
	for _, m := range s.messages {
		if (m.ThreadTS == "" || m.Broadcast) && m.TS > in.oldest {
			list = append(list, m)
		}
	}
	return page(list, in, true)
}

// replies is a thread, its first message first.
func (s *Server) replies(in request) answer {
	parent := s.find(in.TS)
	if parent == nil {
		return refused("thread_not_found")
	}
	list := []*Message{parent}
	for _, m := range s.messages {
		if m.ThreadTS == in.TS {
			list = append(list, m)
		}
	}
	return page(list, in, false)
}

func page(list []*Message, in request, newestFirst bool) answer {
	from := 0
	if in.cursor != "" {
		var err error
		if from, err = strconv.Atoi(in.cursor); err != nil || from > len(list) {
			return refused("invalid_cursor")
		}
	}
	if in.limit < 1 || in.limit > 999 {
		return refused("invalid_limit")
	}
	to := min(from+in.limit, len(list))
	shown := []Message{}
	for _, m := range list[from:to] {
		c := *m
		if !in.allMetadata {
			c.Metadata = nil
		}
		shown = append(shown, c)
	}
	if newestFirst {
		slices.Reverse(shown)
	}
	out := answer{"ok": true, "messages": shown, "has_more": to < len(list)}
	if to < len(list) {
		out["response_metadata"] = answer{"next_cursor": strconv.Itoa(to)}
	}
	return out
}
