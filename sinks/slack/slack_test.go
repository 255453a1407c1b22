package slack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/incidents/notifytest"
	"github.com/klaxonhq/klaxon/sinks/slack"
	"github.com/klaxonhq/klaxon/sinks/slack/slacktest"
)

// start starts a Slack, with a notifier for its channel.
func start(t *testing.T, change ...func(*slack.Config)) (*slacktest.Server, *slack.Slack) {
	t.Helper()
	s := slacktest.New()
	s.Now = func() time.Time { return opened.Add(2 * time.Second) }
	t.Cleanup(s.Close)
	return s, notifier(t, s, change...)
}

func notifier(t *testing.T, s *slacktest.Server, change ...func(*slack.Config)) *slack.Slack {
	t.Helper()
	c := slack.Config{Name: "soc", Channel: s.Channel, Token: s.Token, URL: s.API(), Timeout: 30 * time.Second}
	for _, f := range change {
		f(&c)
	}
	n, err := slack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestContract(t *testing.T) {
	notifytest.Run(t, func(t *testing.T) notifytest.Target {
		s, n := start(t)
		s.Now = func() time.Time { return opened.Add(2 * time.Hour) }
		each := func(code string) {
			for _, method := range []string{"chat.postMessage", "conversations.history"} {
				s.Refuse(method, code)
			}
		}
		return notifytest.Target{Notifier: n, Type: incidents.TypeIncident, Secrets: []string{s.Token},
			Taken: func() (out []string) {
				for _, m := range s.Messages() {
					out = append(out, string(m.Metadata))
				}
				return out
			},
			Down: func() { each("fatal_error") }, Up: func() { each("") },
			Hang:   func() { s.Fail("chat.postMessage", slacktest.HangAfter) },
			Refuse: func() { s.Refuse("chat.postMessage", "msg_too_long") },
		}
	})
}

var opened = time.Date(2026, 11, 24, 10, 0, 38, 0, time.UTC)

// story is the changes of one incident, as the outbox has them.
type story struct {
	in      incidents.Incident
	alert   alert.Alert
	changes []incidents.Message
}

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{
		in: incidents.Incident{ID: "6b0f1c2d3e4f5061728394a5b6c7d8e9", Tenant: "acme", Key: "ssh-bruteforce source.ip=203.0.113.9", Episode: 1,
			Title: "203.0.113.9: 44 failed SSH logins in a minute", Severity: alert.High, Evaluated: alert.High, Peak: alert.High, State: incidents.New,
			Rules: []string{"ssh-bruteforce"}, Alerts: 1, FirstSeen: opened.Add(-38 * time.Second), LastSeen: opened.Add(21 * time.Second), OpenedAt: opened,
			TitleFrom: incidents.TitleFrom{Alert: "1f0c5a9d3b7e42688a4d6c2e9b1f7a35", Severity: alert.High}},
		alert: alert.Alert{ID: "1f0c5a9d3b7e42688a4d6c2e9b1f7a35", Revision: 1, Tenant: "acme", Severity: alert.High,
			Rule:  alert.Rule{ID: "ssh-bruteforce", Title: "SSH password guessing from one address", Owner: "platform-security", Runbook: "https://wiki.example/ssh-bruteforce"},
			Title: "203.0.113.9: 44 failed SSH logins in a minute", Explanation: "44 events of source.ip 203.0.113.9 within 1m (the rule asks for 20)", Count: 44,
			Fields: []alert.Field{{Name: "user.name", Values: []string{"admin", "oracle", "root"}, More: 9}, {Name: "host.name", Values: []string{"bastion-1"}}},
			Events: []alert.Event{{ID: "logs.sshd-0-4711-mqx1w0g0", Time: opened.Add(-38 * time.Second).UnixMilli()}}},
	}
	s.tell(t, incidents.Change{Action: incidents.Opened, Actor: incidents.Machine, To: "new", Alert: &s.alert})
	return s
}

// tell adds a change.
func (s *story) tell(t *testing.T, c incidents.Change) incidents.Message {
	t.Helper()
	s.in.Revision++
	c.Incident = s.in
	body, err := json.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	m := incidents.Message{Seq: s.in.Revision, ID: s.in.RevisionID(), Destination: "slack.soc", Type: incidents.TypeIncident, Tenant: s.in.Tenant, Subject: s.in.ID,
		Revision: s.in.Revision, Severity: s.in.Severity, Time: opened, Created: opened, Body: body}
	s.changes = append(s.changes, m)
	return m
}

// acknowledged adds that somebody acknowledged it.
func (s *story) acknowledged(t *testing.T) incidents.Message {
	s.in.State, s.in.Owner = incidents.Acknowledged, "kim"
	return s.tell(t, incidents.Change{Action: incidents.StateChanged, Actor: "kim", From: "new", To: "acknowledged"})
}

// raised adds that it became worse.
func (s *story) raised(t *testing.T) incidents.Message {
	worse := s.alert
	worse.Severity, worse.Count, worse.Explanation = alert.Urgent, 212, "212 events of source.ip 203.0.113.9 within 1m (the rule asks for 20)"
	s.in.Severity, s.in.Alerts = alert.Urgent, 2
	return s.tell(t, incidents.Change{Action: incidents.SeverityRaised, Actor: incidents.Machine, From: "high", To: "urgent", Alert: &worse})
}

func deliver(t *testing.T, n *slack.Slack, m incidents.Message) string {
	t.Helper()
	ref, err := n.Deliver(t.Context(), m)
	if err != nil {
		t.Fatalf("%s: %v", m.ID, err)
	}
	return ref
}

// texts are what messages notify of.
func texts(list []slacktest.Message) (out []string) {
	for _, m := range list {
		out = append(out, m.Text)
	}
	return out
}

// TestThread: an incident is one message in the channel, kept up to date; what changed is said in its thread.
func TestThread(t *testing.T) {
	s, n := start(t)
	st := newStory(t)
	root := deliver(t, n, st.changes[0])
	ts := s.Messages()[0].TS
	if root != s.Channel+":"+ts {
		t.Fatalf("ref %q", root)
	}
	for _, m := range []incidents.Message{st.acknowledged(t), st.raised(t)} {
		m.Thread = root
		if ref := deliver(t, n, m); ref != root {
			t.Errorf("ref %q, want %q", ref, root)
		}
	}
	channel, thread := s.Messages(), s.Replies(ts)
	if len(channel) != 1 || channel[0].Edits != 2 || len(thread) != 2 {
		t.Fatalf("%d messages, %d replies", len(channel), len(thread))
	}
	if thread[0].Broadcast || !thread[1].Broadcast {
		t.Error("what became worse is shown in the channel too, and nothing else is")
	}
	if got, want := fmt.Sprint(texts(thread)), "[`kim`: `new` → `acknowledged` Severity raised from *`high`* to *`urgent`*]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !strings.Contains(channel[0].Text, "🔴 Urgent") || !strings.Contains(string(channel[0].Blocks), "212 events") {
		t.Errorf("%+v", channel[0])
	}
}

// TestPeopleKeepTheEvidence: a change that no alert caused leaves what the message says of the alert.
func TestPeopleKeepTheEvidence(t *testing.T) {
	s, n := start(t)
	st := newStory(t)
	root := deliver(t, n, st.changes[0])
	m := st.acknowledged(t)
	m.Thread = root
	deliver(t, n, m)
	blocks := string(s.Messages()[0].Blocks)
	for _, want := range []string{"44 events of source.ip", "`admin, oracle, root` and 9 more", "<https://wiki.example/ssh-bruteforce|what to do>", "acknowledged", "`kim`", "revision 2"} {
		if !strings.Contains(blocks, want) {
			t.Errorf("%q is not in %s", want, blocks)
		}
	}
}

// TestRepetitions: whatever is delivered again, after whatever broke, is said once.
func TestRepetitions(t *testing.T) {
	for _, c := range []struct {
		method string
		fault  slacktest.Fault
	}{
		{"conversations.history", slacktest.CloseBefore}, {"conversations.history", slacktest.CloseAfter}, {"conversations.history", slacktest.HTML},
		{"chat.postMessage", slacktest.CloseBefore}, {"chat.postMessage", slacktest.CloseAfter}, {"chat.postMessage", slacktest.HangAfter}, {"chat.postMessage", slacktest.Unavailable},
		{"conversations.replies", slacktest.CloseBefore}, {"conversations.replies", slacktest.Unavailable},
		{"chat.update", slacktest.CloseBefore}, {"chat.update", slacktest.CloseAfter}, {"chat.update", slacktest.HTML},
	} {
		t.Run(fmt.Sprint(c.method, " ", c.fault), func(t *testing.T) {
			s, n := start(t)
			st := newStory(t)
			st.acknowledged(t)
			st.raised(t)
			root := ""
			for i, m := range st.changes {
				m.Thread = root
				s.Fail(c.method, c.fault)
				ctx, cancel := context.WithCancel(t.Context())
				if c.fault == slacktest.HangAfter {
					ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
				}
				_, err := n.Deliver(ctx, m) // the process is killed before this is written down, or it failed
				cancel()
				s.Mend()
				if errors.Is(err, incidents.ErrPermanent) {
					t.Fatal(err)
				}
				m.Attempts = i % 2
				for range 2 {
					if ref := deliver(t, n, m); root == "" {
						root = ref
					}
				}
			}
			channel := s.Messages()
			if len(channel) != 1 || len(s.Replies(channel[0].TS)) != 2 || !strings.Contains(channel[0].Text, "Urgent") {
				t.Errorf("%q, %q", texts(channel), texts(s.Replies(channel[0].TS)))
			}
		})
	}
}

// TestThreadUnknown: where nobody knows the first message, it is found in the channel.
func TestThreadUnknown(t *testing.T) {
	s, n := start(t)
	st := newStory(t)
	root := deliver(t, n, st.changes[0])
	for i := range 350 { // three pages of what others say, some of it hard to read
		s.Say(fmt.Sprint("talk ", i), "", `[{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"x"}}],"text":"y"}]`, `{"event_type":"klaxon_incident","event_payload":{"revision":"one"}}`)
	}
	other := newStory(t)
	other.in.ID = strings.Repeat("0", 32)
	m := other.tell(t, incidents.Change{Action: incidents.Opened})
	if ref := deliver(t, n, m); ref == root {
		t.Error("another incident is in the thread")
	}
	if ref := deliver(t, n, m); len(s.Messages()) != 352 || ref == root {
		t.Error("the incident behind three pages was posted again")
	}
	if ref := deliver(t, n, st.acknowledged(t)); ref != root || len(s.Messages()) != 352 {
		t.Errorf("ref %q, want %q", ref, root)
	}
	// Another destination in the same channel has messages of its own.
	if ref := deliver(t, notifier(t, s, func(c *slack.Config) { c.Name = "other" }), st.changes[0]); ref == root {
		t.Error("two destinations share a message")
	}
}

// TestOldChangeComesLate: a message that somebody has tried again does not put back what came after it.
func TestOldChangeComesLate(t *testing.T) {
	s, n := start(t)
	st := newStory(t)
	root := deliver(t, n, st.changes[0])
	late, now := st.acknowledged(t), st.raised(t)
	late.Thread, now.Thread = root, root
	deliver(t, n, now)
	deliver(t, n, late)
	if m := s.Messages()[0]; m.Edits != 1 || !strings.Contains(m.Text, "Urgent") || len(s.Replies(m.TS)) != 2 {
		t.Errorf("%+v", m)
	}
}

// TestFirstMessageDeleted: people may delete the message; what happens next is told in a new one.
func TestFirstMessageDeleted(t *testing.T) {
	for name, replied := range map[string]bool{"alone": false, "with a thread": true} {
		t.Run(name, func(t *testing.T) {
			s, n := start(t)
			st := newStory(t)
			root := deliver(t, n, st.changes[0])
			first := s.Messages()[0].TS
			if replied {
				s.Say("looking", first, "", "")
			}
			s.Delete(first)
			for _, m := range []incidents.Message{st.acknowledged(t), st.raised(t)} {
				m.Thread = root // the outbox keeps the first
				deliver(t, n, m)
			}
			channel := s.Messages()
			last := channel[len(channel)-1]
			if last.TS == first || !strings.Contains(last.Text, "Urgent") || len(s.Replies(last.TS)) != 1 {
				t.Errorf("%q, %q", texts(channel), texts(s.Replies(last.TS)))
			}
		})
	}
}

// TestNotEditable: where Slack lets nobody change a message any more, the thread still says what happened, and the log why.
func TestNotEditable(t *testing.T) {
	for _, code := range []string{"edit_window_closed", "cant_update_message", "invalid_blocks"} {
		core, logged := observer.New(zap.WarnLevel)
		s, n := start(t, func(c *slack.Config) { c.Log = zap.New(core) })
		st := newStory(t)
		m := st.acknowledged(t)
		m.Thread = deliver(t, n, st.changes[0])
		s.Refuse("chat.update", code)
		deliver(t, n, m)
		if len(s.Replies(s.Messages()[0].TS)) != 1 || logged.Len() != 1 {
			t.Errorf("%s: %d lines logged", code, logged.Len())
		}
	}
}

// TestOtherChannel: a configuration that names another channel begins anew there.
func TestOtherChannel(t *testing.T) {
	s, n := start(t)
	st := newStory(t)
	m := st.acknowledged(t)
	m.Thread = "C0OTHER00:1795485638.000001"
	if ref := deliver(t, n, m); !strings.HasPrefix(ref, s.Channel+":") || len(s.Messages()) != 1 {
		t.Errorf("ref %q", ref)
	}
}

// TestRefusals: what is wrong with a message parks it; what people can mend is tried again, and says what to do.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		code      string
		permanent bool
		hint      string
	}{
		{"msg_too_long", true, ""}, {"msg_blocks_too_long", true, ""}, {"invalid_blocks", true, ""}, {"invalid_arguments", true, ""}, {"metadata_too_large", true, ""},
		{"invalid_auth", false, "xoxb-"}, {"token_revoked", false, "xoxb-"}, {"account_inactive", false, "xoxb-"}, {"not_authed", false, "xoxb-"},
		{"missing_scope", false, "the scope channels:history"}, {"not_in_channel", false, "/invite"}, {"channel_not_found", false, "/invite"},
		{"is_archived", false, "archived"}, {"restricted_action_read_only_channel", false, "administrator"}, {"ekm_access_denied", false, "administrator"},
		{"ratelimited", false, ""}, {"fatal_error", false, ""}, {"something_new", false, ""},
	} {
		t.Run(c.code, func(t *testing.T) {
			s, n := start(t)
			s.Refuse("chat.postMessage", c.code)
			_, err := n.Deliver(t.Context(), newStory(t).changes[0])
			var refused *slack.Error
			if !errors.As(err, &refused) || refused.Code != c.code || errors.Is(err, incidents.ErrPermanent) != c.permanent || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), s.Token) {
				t.Errorf("the token is shown: %v", err)
			}
		})
	}
}

// TestWrongToken is as a user meets it.
func TestWrongToken(t *testing.T) {
	s, _ := start(t)
	n := notifier(t, s, func(c *slack.Config) { c.Token = "xoxb-old" })
	_, err := n.Deliver(t.Context(), newStory(t).changes[0])
	if err == nil || errors.Is(err, incidents.ErrPermanent) || !strings.Contains(err.Error(), "invalid_auth") || strings.Contains(err.Error(), "xoxb-old") {
		t.Error(err)
	}
}

func retryAfter(err error) time.Duration {
	var said interface{ RetryAfter() time.Duration }
	if errors.As(err, &said) {
		return said.RetryAfter()
	}
	return -1
}

// TestRateLimit: Slack says when to come again.
func TestRateLimit(t *testing.T) {
	s, n := start(t)
	s.Limit()
	now := opened
	s.Now = func() time.Time { return now }
	deliver(t, n, notifytest.Message(incidents.TypeIncident, 1))
	_, err := n.Deliver(t.Context(), notifytest.Message(incidents.TypeIncident, 2))
	if errors.Is(err, incidents.ErrPermanent) || retryAfter(err) != time.Second {
		t.Fatalf("%v, after %v", err, retryAfter(err))
	}
	now = now.Add(time.Second)
	deliver(t, n, notifytest.Message(incidents.TypeIncident, 2))
	s.Fail("chat.postMessage", slacktest.Unavailable)
	now = now.Add(time.Second)
	if _, err := n.Deliver(t.Context(), notifytest.Message(incidents.TypeIncident, 3)); retryAfter(err) != 7*time.Second || strings.Contains(err.Error(), s.Token) {
		t.Errorf("%v, after %v", err, retryAfter(err))
	}
}

// TestStorm: who reads a channel that fills slowly is told that more is to come; not for a few, and no longer once it is updated.
func TestStorm(t *testing.T) {
	for behind, want := range map[int]bool{0: false, 9: false, 10: true, 99: true} {
		s, n := start(t)
		st := newStory(t)
		m := st.changes[0]
		m.Behind = behind
		root := deliver(t, n, m)
		if got := strings.Contains(string(s.Messages()[0].Blocks), fmt.Sprintf("At least %d more messages wait", behind)); got != want {
			t.Errorf("%d wait: %s", behind, s.Messages()[0].Blocks)
		}
		m = st.acknowledged(t)
		m.Thread, m.Behind = root, behind
		deliver(t, n, m)
		if strings.Contains(string(s.Messages()[0].Blocks), "more messages wait") {
			t.Error("an old count is kept")
		}
	}
}

// TestStrangers: what is not Slack gets no second request, and no token stands in what is said of it.
func TestStrangers(t *testing.T) {
	s, n := start(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	s.Elsewhere = elsewhere.URL
	for fault, want := range map[slacktest.Fault]string{slacktest.Redirect: "redirects are not followed", slacktest.HTML: "does not answer as Slack does"} {
		s.Fail("conversations.history", fault)
		_, err := n.Deliver(t.Context(), newStory(t).changes[0])
		if err == nil || errors.Is(err, incidents.ErrPermanent) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), s.Token) {
			t.Errorf("%v", err)
		}
	}
	s.Close()
	if _, err := n.Deliver(t.Context(), newStory(t).changes[0]); err == nil || errors.Is(err, incidents.ErrPermanent) || strings.Contains(err.Error(), s.Token) {
		t.Errorf("%v", err)
	}
}

func TestRefusesConfigurations(t *testing.T) {
	good := slack.Config{Name: "soc", Channel: "C0123456789", Token: "xoxb-1"}
	if _, err := slack.New(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*slack.Config){
		"no token":           func(c *slack.Config) { c.Token = "" },
		"a token with blank": func(c *slack.Config) { c.Token = "xoxb-1 T0KEN" },
		"no channel":         func(c *slack.Config) { c.Channel = "" },
		"no address":         func(c *slack.Config) { c.URL = "T0KEN" },
	} {
		c := good
		change(&c)
		if _, err := slack.New(c); err == nil || strings.Contains(err.Error(), "T0KEN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
