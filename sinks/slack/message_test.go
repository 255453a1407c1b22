package slack_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/sinks/slack/slacktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// transcript is what was asked of Slack, in a form that people read.
func transcript(t *testing.T, calls []slacktest.Call) string {
	t.Helper()
	var out bytes.Buffer
	for _, c := range calls {
		fmt.Fprintf(&out, "%s\n", c.Method)
		if !json.Valid([]byte(c.Body)) {
			form, err := url.ParseQuery(c.Body)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s\n\n", form.Encode())
			continue
		}
		if err := json.Indent(&out, []byte(strings.TrimSpace(c.Body)), "", "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n\n")
	}
	return out.String()
}

// TestGolden: what Slack is asked, byte for byte, from an incident's beginning to its end.
func TestGolden(t *testing.T) {
	s, n := start(t)
	st := newStory(t)
	st.in.Rules = []string{"ssh-bruteforce", "ssh-login-after-bruteforce"}
	st.tell(t, incidents.Change{Action: incidents.RuleAdded, Actor: incidents.Machine, To: "ssh-login-after-bruteforce", Alert: &st.alert})
	st.raised(t)
	st.acknowledged(t)
	st.in.Owner = "lee"
	st.tell(t, incidents.Change{Action: incidents.Assigned, Actor: "kim", From: "kim", To: "lee"})
	st.in.Severity = alert.Normal
	st.tell(t, incidents.Change{Action: incidents.SeveritySet, Actor: "lee", From: "urgent", To: "normal", Text: "only a test machine"})
	st.in.State, st.in.Reason = incidents.FalsePositive, "a load test, SEC-812"
	st.tell(t, incidents.Change{Action: incidents.StateChanged, Actor: "lee", From: "acknowledged", To: "false_positive", Text: "a load test, SEC-812"})
	root := ""
	for _, m := range st.changes {
		m.Thread = root
		root = deliver(t, n, m)
	}
	got := transcript(t, s.Calls())
	file := filepath.Join("testdata", "incident.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not what %s says; run the test with -update and look at the difference\n%s", file, got)
	}
}

// hostile are texts of attackers, and of the length that the store lets through.
func hostile() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		piece := rapid.SampledFrom([]string{"<!channel>", "<!here|x>", "<@U0123456789>", "<https://evil.example|click>", "https://evil.example", "@here", "&lt;!channel&gt;", "*b*", "`", "```",
			"\n", "\u202e", "\x00", "\xff", "😀", "é", "&", "a", "", "x y"}).Draw(t, "piece")
		s := strings.Repeat(piece, rapid.SampledFrom([]int{1, 2, 50, 5000}).Draw(t, "times"))
		return s[:min(len(s), 8<<10)]
	})
}

// TestHostileTexts: whatever events say, Slack takes the message, and nothing in it is a mention or a link but the rule's runbook.
func TestHostileTexts(t *testing.T) {
	const runbook = "https://wiki.example/a?b=1&c=2"
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(what string) string { return hostile().Draw(rt, what) }
		s := slacktest.New()
		defer s.Close()
		n, st := notifier(t, s), newStory(t)
		st.in.Title, st.in.Key, st.in.Tenant, st.in.Owner, st.in.Reason = draw("title"), draw("key"), draw("tenant"), draw("owner"), draw("reason")
		a := st.alert
		a.Explanation, a.Title, a.Rule.Owner, a.Rule.Runbook = draw("explanation"), draw("alert's title"), draw("rule's owner"), runbook
		if rapid.Bool().Draw(rt, "a strange runbook") {
			a.Rule.Runbook = draw("runbook")
		}
		a.Fields, st.in.Rules = nil, nil
		for range rapid.IntRange(0, 12).Draw(rt, "fields") {
			a.Fields = append(a.Fields, alert.Field{Name: draw("field"), Values: []string{draw("value"), draw("value")}, More: 3})
			a.Events = append(a.Events, alert.Event{ID: draw("event"), Time: 1})
			st.in.Rules = append(st.in.Rules, draw("rule"))
		}
		action := rapid.SampledFrom([]incidents.Action{incidents.Opened, incidents.AlertAdded, incidents.RuleAdded, incidents.SeverityRaised, incidents.SeveritySet, incidents.StateChanged, incidents.Assigned,
			incidents.Noted, "something_new"}).Draw(rt, "action")
		change := incidents.Change{Action: action, Actor: draw("actor"), From: draw("from"), To: draw("to"), Text: draw("text"), Alert: &a}
		first := st.tell(t, change)
		root, err := n.Deliver(t.Context(), first)
		if err != nil {
			rt.Fatal(err)
		}
		change.Alert = nil
		for range 2 {
			m := st.tell(t, change)
			m.Thread = root
			if _, err := n.Deliver(t.Context(), m); err != nil {
				rt.Fatal(err)
			}
			change.Alert = &a
		}
		_, ts, _ := strings.Cut(root, ":")
		for _, m := range append(s.Messages()[len(s.Messages())-1:], s.Replies(ts)...) {
			for _, text := range append(allTexts(rt, m.Blocks), m.Text) {
				for _, active := range slacktest.Active(text) {
					if active != "https://wiki.example/a?b=1&amp;c=2|what to do" && (!strings.HasPrefix(active, "https://evil.example") || !strings.HasSuffix(active, "|what to do")) {
						rt.Fatalf("%q is more than text", active)
					}
				}
				if strings.ContainsAny(text, "\u202e\x00") {
					rt.Fatalf("control characters in %q", text)
				}
			}
		}
	})
}

// allTexts are the texts of all blocks.
func allTexts(t *rapid.T, raw json.RawMessage) (out []string) {
	var any any
	if err := json.Unmarshal(raw, &any); err != nil {
		t.Fatal(err)
	}
	collect(any, &out)
	return out
}

func collect(v any, out *[]string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			collect(e, out)
		}
	case map[string]any:
		for key, e := range v {
			if s, ok := e.(string); ok && key == "text" {
				*out = append(*out, s)
			}
			collect(e, out)
		}
	}
}
