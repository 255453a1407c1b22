package real

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/sinks/webhook"
)

// receiver is a system that is told by webhook, as one with idempotency keys is: a message that it has is the same again.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	bodies   map[string]string // by the message's id
	revision map[string]int64  // the last one of a subject
	kind     map[string]string // the type of a message
	twice    int
	mistakes []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{bodies: map[string]string{}, revision: map[string]int64{}, kind: map[string]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// answerTime is how long the receiver takes, so that some message is under way when a process dies.
const answerTime = 3 * time.Millisecond

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var m struct{ ID, Type, Subject string }
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err == nil {
		r.take(m.ID, m.Type, m.Subject, string(body))
		time.Sleep(answerTime)
		return
	}
	http.Error(w, err.Error(), http.StatusInternalServerError) // who was killed sends half a request
}

func (r *receiver) take(id, kind, subject, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.bodies[id]; ok {
		r.twice++
		if was != body {
			r.mistakes = append(r.mistakes, fmt.Sprintf("message %s came again and said something else", id))
		}
		return
	}
	r.bodies[id], r.kind[id] = body, kind
	n, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	if err != nil || n <= r.revision[subject] {
		r.mistakes = append(r.mistakes, fmt.Sprintf("message %s came behind revision %d", id, r.revision[subject]))
	}
	r.revision[subject] = n
}

// messages is the id of every message, sorted.
func (r *receiver) messages() []string { return r.of("") }

// alerts is the id of every message about an alert, sorted.
func (r *receiver) alerts() []string { return r.of(webhook.TypeAlert) }

func (r *receiver) of(kind string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for id, k := range r.kind {
		if kind == "" || k == kind {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func (r *receiver) repeats() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.twice
}

func (r *receiver) wrong() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mistakes)
}
