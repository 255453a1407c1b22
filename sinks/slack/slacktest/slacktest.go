// Package slacktest is a Slack that keeps Slack's rules: the methods that klaxon calls, their limits, and faults on demand.
package slacktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Message is one that stands in the channel or in a thread.
type Message struct {
	TS       string          `json:"ts"`
	Type     string          `json:"type"`
	Subtype  string          `json:"subtype,omitempty"`
	Bot      string          `json:"bot_id,omitempty"`
	Text     string          `json:"text"`
	ThreadTS string          `json:"thread_ts,omitempty"`
	Blocks   json.RawMessage `json:"blocks,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`

	Broadcast bool `json:"-"`
	Edits     int  `json:"-"`
}

// Call is a request that came.
type Call struct {
	Method string
	Body   string
}

// Fault is what happens to a request instead of its answer.
type Fault int

// The faults.
const (
	CloseBefore Fault = iota + 1 // the connection breaks before anything is done
	CloseAfter                   // it is done, and the connection breaks
	HangAfter                    // it is done, and no answer comes until the client goes away
	Unavailable                  // 503, with Retry-After: 7
	HTML                         // 200 with a page of a proxy
	Redirect                     // 307 to Server.Elsewhere
)

// Server is one workspace with one channel, and one app whose bot is in it.
type Server struct {
	*httptest.Server
	Token, Channel string
	// Elsewhere is where a Redirect leads.
	Elsewhere string
	// Now is Slack's clock.
	Now func() time.Time

	mu       sync.Mutex
	messages []*Message // of the channel and all threads, in their order
	calls    []Call
	faults   []fault
	errors   map[string]string // by method: the error that it answers with
	lastTS   int64
	limits   map[string][]time.Time // when a method was called, or a message was posted
	limited  bool
}

type fault struct {
	method string
	fault  Fault
}

// New starts a server. Close it.
func New() *Server {
	s := &Server{Token: "xoxb-1-t0ken", Channel: "C0123456789", Now: time.Now, errors: map[string]string{}, limits: map[string][]time.Time{}}
	s.Server = httptest.NewServer(s)
	return s
}

// API is the address of its methods.
func (s *Server) API() string { return s.URL + "/api/" }

// Fail has the next call of a method end in a fault; called again, the one after that too.
func (s *Server) Fail(method string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fault{method, f})
}

// Mend takes back the faults that have not happened.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Refuse has every call of a method end in an error, until the error is "".
func (s *Server) Refuse(method, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors[method] = code
}

// Limit turns Slack's rate limits on: a message a second, fifty calls a minute of every other method.
func (s *Server) Limit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limited = true
}

// Messages are the messages of the channel, in their order.
func (s *Server) Messages() []Message { return s.list("") }

// Replies are the replies of a thread, in their order.
func (s *Server) Replies(ts string) []Message { return s.list(ts) }

func (s *Server) list(thread string) (out []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.ThreadTS == thread {
			out = append(out, *m)
		}
	}
	return out
}

// Say has somebody else post a message, with blocks and metadata of any kind; "" is none.
func (s *Server) Say(text, thread, blocks, metadata string) (ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &Message{TS: s.nextTS(), Type: "message", Text: text, ThreadTS: thread, Bot: "BOTHER"}
	if blocks != "" {
		m.Blocks = json.RawMessage(blocks)
	}
	if metadata != "" {
		m.Metadata = json.RawMessage(metadata)
	}
	s.messages = append(s.messages, m)
	return m.TS
}

// Delete removes a message. Of one with replies a tombstone stays.
func (s *Server) Delete(ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.messages {
		if m.TS != ts {
			continue
		}
		for _, r := range s.messages {
			if r.ThreadTS == ts {
				*m = Message{TS: m.TS, Type: "message", Subtype: "tombstone", Text: "This message was deleted."}
				return
			}
		}
		s.messages = append(s.messages[:i], s.messages[i+1:]...)
		return
	}
}

// Calls are the requests that came since they were last asked for.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *Server) nextTS() string {
	s.lastTS = max(s.lastTS+1, s.Now().UnixMicro())
	return fmt.Sprintf("%d.%06d", s.lastTS/1e6, s.lastTS%1e6)
}

// ServeHTTP answers as Slack does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	in, body, err := read(r)
	f := s.begin(method, body)
	switch f {
	case CloseBefore:
		hangUp(w)
		return
	case Unavailable:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "no server is available, ", r.Header.Get("Authorization"))
		return
	case HTML:
		fmt.Fprint(w, "<html>please log in, ", r.Header.Get("Authorization"))
		return
	case Redirect:
		http.Redirect(w, r, s.Elsewhere, http.StatusTemporaryRedirect)
		return
	}
	out := answer{"ok": false, "error": "invalid_form_data"}
	if err == nil {
		out = s.answer(r, method, in)
	}
	switch f {
	case CloseAfter:
		hangUp(w)
		return
	case HangAfter:
		<-r.Context().Done()
		return
	}
	respond(w, out)
}

func respond(w http.ResponseWriter, out answer) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if wait, ok := out["retry_after"].(int); ok {
		delete(out, "retry_after")
		w.Header().Set("Retry-After", strconv.Itoa(wait))
		w.WriteHeader(http.StatusTooManyRequests)
	}
	if json.NewEncoder(w).Encode(out) != nil {
		return // the client is gone
	}
}

func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}

// begin notes a call and takes the fault that is meant for it.
func (s *Server) begin(method, body string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{method, body})
	for i, f := range s.faults {
		if f.method == method {
			s.faults = append(s.faults[:i], s.faults[i+1:]...)
			return f.fault
		}
	}
	return 0
}
