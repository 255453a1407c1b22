package alert

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAppendDocument(t *testing.T) {
	a := Alert{
		ID: "0a", Revision: 3, Final: true, Tenant: "acme", Severity: High, Title: "<b> 192.0.2.1", Explanation: "why", Incident: "i",
		Rule: Rule{ID: "ssh", Title: "Guessing", Version: "7f", Mode: Live, Owner: "team", Runbook: "https://wiki/ssh",
			Tags: []string{"attack.credential_access", "attack.t1110.001", "attack.T1110", "ours"}, Controls: []string{"passwords"}},
		Time: 1_796_000_402_500, First: 1_796_000_400_000, Last: 1_796_000_403_000, Count: 23,
		Key:    []Field{{Name: "source.ip", Values: []string{"192.0.2.1"}}, {Name: "subnet(x, 24, 64)", Values: []string{"192.0.2.0/24"}}},
		Fields: []Field{{Name: "user.name", Values: []string{"alice", "bob"}, More: 3}, {Name: "host.name", Values: []string{"web1"}}},
		Events: []Event{{ID: "logs-0-1-x", Time: 1_796_000_400_000, Sample: json.RawMessage(`{"a":1}`)}},
	}
	const want = `{
  "@timestamp": "2026-11-30T01:00:02.500Z", "message": "<b> 192.0.2.1", "tags": ["attack.credential_access", "attack.t1110.001", "attack.T1110", "ours"],
  "event": {"kind": "signal", "category": ["intrusion_detection"], "type": ["info"], "dataset": "klaxon.alert", "id": "0a", "reason": "why",
    "start": "2026-11-30T01:00:00.000Z", "end": "2026-11-30T01:00:03.000Z", "severity": 3, "risk_score": 73},
  "rule": {"id": "ssh", "name": "Guessing", "version": "7f", "author": ["team"], "reference": "https://wiki/ssh"},
  "threat": {"framework": "MITRE ATT&CK", "technique": {"id": ["T1110"], "subtechnique": {"id": ["T1110.001"]}},
    "tactic": {"id": ["TA0006"], "name": ["Credential Access"]}},
  "kibana": {"alert": {"uuid": "0a", "severity": "high", "risk_score": 73, "workflow_status": "open", "original_time": "2026-11-30T01:00:00.000Z",
    "start": "2026-11-30T01:00:00.000Z", "reason": "why", "rule": {"uuid": "ssh", "name": "Guessing"},
    "ancestors": [{"id": "logs-0-1-x", "type": "event", "depth": 0}]}},
  "klaxon": {"tenant": "acme", "alert": {"id": "0a", "revision": 3, "final": true, "count": 23, "severity": "high", "mode": "live", "incident": "i",
    "runbook": "https://wiki/ssh", "controls": ["passwords"],
    "key": [{"name": "source.ip", "values": ["192.0.2.1"]}, {"name": "subnet(x, 24, 64)", "values": ["192.0.2.0/24"]}],
    "fields": [{"name": "user.name", "values": ["alice", "bob"], "more": 3}, {"name": "host.name", "values": ["web1"]}],
    "events": [{"id": "logs-0-1-x", "time": "2026-11-30T01:00:00.000Z"}]}},
  "related": {"ip": ["192.0.2.1"], "user": ["alice", "bob"], "hosts": ["web1"]},
  "source": {"ip": "192.0.2.1"}}`
	var got, wanted any
	b := a.AppendDocument([]byte("x"))
	if b[0] != 'x' || json.Unmarshal(b[1:], &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil {
		t.Fatalf("not JSON: %s", b)
	}
	if d := cmp.Diff(wanted, got); d != "" {
		t.Error(d)
	}
}

// TestDocumentsSayWhatTheyAre: whatever a key is called and holds, the document is one line of JSON and is this alert's.
func TestDocumentsSayWhatTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"event.kind", "event", "klaxon.alert.id", "source.ip", "source", "a..b", "", "related.ip", "rule.id.x", "@timestamp"})
		a := Alert{ID: "0a", Severity: Severity(rapid.IntRange(-1, 6).Draw(t, "severity")), Title: rapid.String().Draw(t, "title"),
			Time: rapid.Int64().Draw(t, "time"), Tenant: string(rapid.SliceOf(rapid.Byte()).Draw(t, "tenant"))}
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			a.Key = append(a.Key, Field{Name: names.Draw(t, "name"), Values: []string{rapid.String().Draw(t, "value")}})
		}
		b := a.AppendDocument(nil)
		var got struct {
			Event  struct{ Kind string }
			Klaxon struct{ Alert struct{ ID string } }
		}
		if err := json.Unmarshal(b, &got); err != nil || got.Event.Kind != "signal" || got.Klaxon.Alert.ID != "0a" {
			t.Fatalf("%v in %s", err, b)
		}
		for _, c := range b {
			if c == '\n' {
				t.Fatalf("more than a line: %q", b)
			}
		}
	})
}

func TestWordsOfSeverities(t *testing.T) {
	for s := Low; s <= Urgent; s++ {
		b, err := s.MarshalText()
		var got Severity
		if err != nil || got.UnmarshalText(b) != nil || got != s {
			t.Errorf("%d became %q and %d", s, b, got)
		}
	}
	if _, err := ParseSeverity("medium"); err == nil {
		t.Error("medium is no severity here")
	}
	if Severity(0).String() != "none" || Severity(9).String() != "none" {
		t.Error("what is no severity has a word")
	}
}

func TestIDs(t *testing.T) {
	if NewID("a", "bc") == NewID("ab", "c") || NewID("a", "") == NewID("a") || len(NewID("x")) != 32 {
		t.Error("parts run into each other")
	}
	if a := (&Alert{ID: "x", Revision: 2}); a.RevisionID() != "x-2" {
		t.Error(a.RevisionID())
	}
}
