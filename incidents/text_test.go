package incidents

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/klaxonhq/klaxon/alert"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// evil is what an attacker might put into a user name: it clears the screen, turns the text around and begins lines of its own.
const evil = "root\x1b[2J\x1b]0;owned\x07\u202Etxt.exe\r\nINCIDENT closed\tby admin\u0085\x00\xff"

func sampleIncidents() []Incident {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	return []Incident{
		{ID: NewID("acme", "k", 2), Tenant: "acme", Key: "ssh-bruteforce source.ip=203.0.113.9", Episode: 2, Title: "203.0.113.9: 44 failed SSH logins as " + evil, Severity: alert.Low,
			Evaluated: alert.High, Peak: alert.High, State: Acknowledged, Owner: "kim", Rules: []string{"ssh-bruteforce", evil}, MoreRules: true, Alerts: 3,
			FirstSeen: at.Add(-time.Hour), LastSeen: at.Add(-time.Second), OpenedAt: at, AcknowledgedAt: at.Add(time.Minute), Revision: 5, Entries: 12},
		{ID: NewID("umbrella", "k", 1), Tenant: "umbrella-corporation-of-raccoon-city", Key: "k", Episode: 1, Title: strings.Repeat("länger ", 30), Severity: alert.Urgent,
			Evaluated: alert.Urgent, State: New, Rules: []string{"r"}, Alerts: 1, FirstSeen: at, LastSeen: at, OpenedAt: at.Add(time.Hour), Revision: 1, Entries: 1},
	}
}

func sampleShow() (Incident, []Entry, []alert.Alert) {
	in := sampleIncidents()[0]
	at := in.OpenedAt
	timeline := []Entry{
		{Seq: 9, Time: at, Actor: Machine, Action: Opened, To: "high", Alert: alert.NewID("a"), Text: "because of " + evil},
		{Seq: 10, Time: at.Add(time.Minute), Actor: evil, Action: StateChanged, From: "new", To: "acknowledged"},
		{Seq: 11, Time: at.Add(2 * time.Minute), Actor: "kim", Action: SeveritySet, From: "high", To: "low", Text: "a test system"},
		{Seq: 12, Time: at.Add(3 * time.Minute), Actor: "kim", Action: Noted, Text: evil},
	}
	a := alert.Alert{ID: alert.NewID("a"), Severity: alert.High, Title: evil, Explanation: "44 events within 1m.", Time: at.UnixMilli(),
		Rule:   alert.Rule{ID: "ssh-bruteforce", Version: "9c1d4e7f", Runbook: "https://wiki.example/" + evil + "\n"},
		Fields: []alert.Field{{Name: "user.name", Values: []string{"admin", evil}, More: 9}},
		Events: []alert.Event{{ID: "logs.sshd-0-4711-mqx1w0g0", Time: at.UnixMilli()}}, Degraded: "times are rounded"}
	return in, timeline, []alert.Alert{a}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	for _, r := range got {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U goes to the terminal", r)
		}
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("wanted -, got + (-update rewrites):\n%s", diff)
	}
}

func TestWriteList(t *testing.T) {
	var b strings.Builder
	if err := WriteList(&b, sampleIncidents()); err != nil {
		t.Fatal(err)
	}
	golden(t, "list.txt", b.String())
	b.Reset()
	if err := WriteList(&b, nil); err != nil || b.String() != "no incidents\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestWriteShow(t *testing.T) {
	var b strings.Builder
	in, timeline, alerts := sampleShow()
	if err := WriteShow(&b, in, timeline, alerts); err != nil {
		t.Fatal(err)
	}
	golden(t, "show.txt", b.String())
}

// TestWriteFails: a pipe that was closed is an error, not a success.
func TestWriteFails(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	in, timeline, alerts := sampleShow()
	if WriteShow(w, in, timeline, alerts) == nil || WriteList(w, sampleIncidents()) == nil || WriteList(w, nil) == nil {
		t.Error("no error")
	}
}

func FuzzTexts(f *testing.F) {
	f.Add(evil, 7)
	f.Add("", 0)
	f.Add(strings.Repeat("é", 40), 13)
	f.Add("\xe2\x80", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		p := printable(s)
		for _, r := range p {
			if !unicode.IsPrint(r) {
				t.Errorf("%q shows %U", s, r)
			}
		}
		limit = 3 + max(limit, -limit)%2000
		c := clip(s, max(limit, 3))
		if len(c) > max(limit, 3) || !utf8.ValidString(c) || strings.Contains(c, "\x00") {
			t.Errorf("%q cut to %d gives %q", s, limit, c)
		}
		if utf8.ValidString(s) && !strings.Contains(s, "\x00") && len(s) <= limit && c != s {
			t.Errorf("%q became %q", s, c)
		}
		if w := cell(s, 10); utf8.RuneCountInString(w) > 10 || w == "" {
			t.Errorf("a cell of %q", w)
		}
	})
}
