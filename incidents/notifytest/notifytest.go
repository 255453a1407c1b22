// Package notifytest is the contract of incidents.Notifier, as tests that every notifier passes.
package notifytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
)

// Target is a notifier and the system behind it, as a test sees them.
type Target struct {
	Notifier incidents.Notifier
	// Type is the type of messages that it takes.
	Type string
	// Taken is what the system has taken, in order, each by that which lets the system, or who reads there, know it again.
	Taken func() []string
	// Down has the system answer nothing useful from now on, Up ends it.
	Down, Up func()
	// Hang has the system take the next message and never answer.
	Hang func()
	// Refuse has the system refuse every message for good.
	Refuse func()
	// Secrets are what no error may show.
	Secrets []string
}

// Run runs the suite. New makes a target for one test and cleans up behind it.
func Run(t *testing.T, target func(t *testing.T) Target) {
	for name, test := range map[string]func(*testing.T, Target){
		"a message is taken once":               taken,
		"a repetition can be recognised":        repeated,
		"what fails for a while is not refused": down,
		"what is refused is permanent":          refused,
		"what is no message is permanent":       malformed,
		"it ends when its context does":         cancelled,
		"it is used by several at once":         concurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, target(t)) })
	}
}

// Message is the n-th message of a type, about a subject of its own.
func Message(kind string, n int) incidents.Message {
	at := time.Date(2026, 11, 24, 12, 0, n%60, 0, time.UTC)
	a := alert.Alert{ID: alert.NewID("alert", fmt.Sprint(n)), Revision: 2, Rule: alert.Rule{ID: "ssh-bruteforce", Title: "SSH password guessing", Mode: alert.Live},
		Tenant: "acme", Severity: alert.High, Title: "203.0.113.9: 44 failed SSH logins in a minute", Explanation: "44 events", Incident: "ssh-bruteforce source.ip=203.0.113.9",
		Time: at.UnixMilli(), First: at.UnixMilli(), Last: at.UnixMilli(), Count: 44, Events: []alert.Event{{ID: "e1", Time: at.UnixMilli()}}}
	m := incidents.Message{ID: a.RevisionID(), Destination: "x", Type: kind, Tenant: "acme", Subject: a.ID, Revision: a.Revision, Severity: a.Severity, Time: at, Created: at}
	var body any = &a
	if kind == incidents.TypeIncident {
		in := incidents.Incident{ID: incidents.NewID("acme", fmt.Sprint(n), 1), Tenant: "acme", Key: a.Incident, Title: a.Title, Severity: a.Severity, Evaluated: a.Severity, Peak: a.Severity,
			TitleFrom: incidents.TitleFrom{Alert: a.ID, Severity: a.Severity, Time: a.Time}, State: incidents.New, Rules: []string{a.Rule.ID}, Alerts: 1, FirstSeen: at, LastSeen: at, OpenedAt: at, UpdatedAt: at, Revision: 1}
		m.ID, m.Subject, m.Revision = in.RevisionID(), in.ID, in.Revision
		body = &incidents.Change{Action: incidents.Opened, Actor: incidents.Machine, To: string(in.State), Incident: in, Alert: &a}
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		encoded = nil // which every notifier refuses
	}
	m.Body = encoded
	return m
}

// deliver delivers with a limit that no working notifier comes near.
func deliver(t *testing.T, x Target, m incidents.Message) (string, error) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	ref, err := x.Notifier.Deliver(ctx, m)
	quiet(t, x, err)
	return ref, err
}

// quiet checks that an error can be logged: no secrets, one line of bounded length.
func quiet(t *testing.T, x Target, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	for _, secret := range x.Secrets {
		if strings.Contains(text, secret) {
			t.Errorf("an error shows a secret: %q", text)
		}
	}
	if strings.ContainsAny(text, "\x1b\r\n") || len(text) > 1000 {
		t.Errorf("an error that is not fit for a log: %q", text)
	}
}

func taken(t *testing.T, x Target) {
	if _, err := deliver(t, x, Message(x.Type, 1)); err != nil {
		t.Fatal(err)
	}
	if got := x.Taken(); len(got) != 1 || got[0] == "" {
		t.Errorf("taken: %q", got)
	}
}

func repeated(t *testing.T, x Target) {
	first, err := deliver(t, x, Message(x.Type, 1))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ref, err := deliver(t, x, Message(x.Type, 1))
		if err != nil || ref != first {
			t.Errorf("%q, %v; at first %q", ref, err, first)
		}
	}
	if _, err := deliver(t, x, Message(x.Type, 2)); err != nil {
		t.Fatal(err)
	}
	all := x.Taken()
	if len(all) < 2 {
		t.Fatalf("taken: %q", all)
	}
	for i, id := range all {
		if last := i == len(all)-1; (id == all[0]) == last {
			t.Errorf("taken %q: the last is another message, and all before are one", all)
		}
	}
}

func down(t *testing.T, x Target) {
	x.Down()
	for range 3 {
		if _, err := deliver(t, x, Message(x.Type, 1)); err == nil || errors.Is(err, incidents.ErrPermanent) {
			t.Fatalf("while it is down: %v", err)
		}
	}
	x.Up()
	if _, err := deliver(t, x, Message(x.Type, 1)); err != nil {
		t.Error(err)
	}
	if got := x.Taken(); len(got) != 1 {
		t.Errorf("taken: %q", got)
	}
}

func refused(t *testing.T, x Target) {
	x.Refuse()
	if _, err := deliver(t, x, Message(x.Type, 1)); !errors.Is(err, incidents.ErrPermanent) {
		t.Errorf("%v", err)
	}
}

func malformed(t *testing.T, x Target) {
	for name, change := range map[string]func(*incidents.Message){
		"another type": func(m *incidents.Message) { m.Type = "page" },
		"no JSON":      func(m *incidents.Message) { m.Body = json.RawMessage(`{"a":`) },
		"no body":      func(m *incidents.Message) { m.Body = nil },
	} {
		m := Message(x.Type, 1)
		change(&m)
		if _, err := deliver(t, x, m); !errors.Is(err, incidents.ErrPermanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := x.Taken(); len(got) != 0 {
		t.Errorf("taken: %q", got)
	}
}

func cancelled(t *testing.T, x Target) {
	x.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := x.Notifier.Deliver(ctx, Message(x.Type, 1))
	quiet(t, x, err)
	if err == nil || errors.Is(err, incidents.ErrPermanent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func concurrent(t *testing.T, x Target) {
	const many = 8
	var all sync.WaitGroup
	for n := range many {
		all.Go(func() {
			if _, err := x.Notifier.Deliver(t.Context(), Message(x.Type, n)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	distinct := map[string]bool{}
	for _, id := range x.Taken() {
		distinct[id] = true
	}
	if len(distinct) != many {
		t.Errorf("taken: %q", x.Taken())
	}
}
