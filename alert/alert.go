// Package alert is what a detector says. An alert owns all its memory, and its contents do not depend on the order in which the
// events arrived.
package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Severity orders alerts and incidents.
type Severity int8

// The severities, and the words for them in Sigma, PagerDuty and OCSF: critical/critical/5, high/error/4, medium/warning/3,
// low/info/2.
const (
	Low Severity = iota + 1
	Normal
	High
	Urgent
)

// String is the severity's word: low, normal, high or urgent.
func (s Severity) String() string {
	if s < Low || s > Urgent {
		return "none"
	}
	return [...]string{"low", "normal", "high", "urgent"}[s-1]
}

// ParseSeverity reads a severity's word.
func ParseSeverity(word string) (Severity, error) {
	for s := Low; s <= Urgent; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%q is no severity: use low, normal, high or urgent", word)
}

// MarshalText is the severity's word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the severity's word.
func (s *Severity) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSeverity(string(b))
	return err
}

// Mode says what becomes of a rule's alerts.
type Mode string

// The modes of a rule.
const (
	Live     Mode = "live"     // alert and incident
	Signal   Mode = "signal"   // alert, no incident
	Shadow   Mode = "shadow"   // stored, no incident, no response
	Disabled Mode = "disabled" // not evaluated
)

// Rule is what an alert says of the rule that raised it.
type Rule struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Version  string   `json:"version"`
	Mode     Mode     `json:"mode"`
	Owner    string   `json:"owner,omitempty"`
	Runbook  string   `json:"runbook,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Controls []string `json:"controls,omitempty"`
}

// Field is a field's values over an alert's evidence: at most a few of them, and how many more there are.
type Field struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	More   int      `json:"more,omitempty"`
	// Estimated says that More is an estimate, because there are more values than are told apart.
	Estimated bool `json:"estimated,omitempty"`
}

// Event is one piece of evidence.
type Event struct {
	ID     string          `json:"id"`
	Time   int64           `json:"time"`             // event time, Unix milliseconds
	Sample json.RawMessage `json:"sample,omitempty"` // its ECS document, where it was carried
}

// Alert is one revision of one alert: the same id and revision always have the same contents.
type Alert struct {
	ID       string `json:"id"`
	Revision int64  `json:"revision"` // from 1
	// Final says that the episode has ended: no further revision comes.
	Final    bool     `json:"final"`
	Rule     Rule     `json:"rule"`
	Tenant   string   `json:"tenant"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	// Explanation is one sentence that says why the alert was raised.
	Explanation string  `json:"explanation"`
	Key         []Field `json:"key,omitempty"` // the values that the memory was kept by, one each
	// Incident is the key of the incident that the alert belongs to, within its tenant.
	Incident string `json:"incident"`
	// Time is the end of the earliest window that met the condition; First and Last bound the evidence. Unix milliseconds.
	Time   int64   `json:"time"`
	First  int64   `json:"first"`
	Last   int64   `json:"last"`
	Count  int64   `json:"count"` // the most events that one window held
	Fields []Field `json:"fields,omitempty"`
	Events []Event `json:"events"` // the first, the last and a few between, in the order of time and id
	// Degraded says what could not be kept exactly, or "".
	Degraded string `json:"degraded,omitempty"`
}

// idBytes is how much of the hash an id keeps: 128 bits, so that nobody can make two keys meet.
const idBytes = 16

// NewID is the id of what the parts name: the tenant, the rule, the key and a slot of time, or an event's id.
func NewID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:idBytes])
}

// RevisionID names this revision for ever; destinations use it as their idempotency key.
func (a *Alert) RevisionID() string { return fmt.Sprintf("%s-%d", a.ID, a.Revision) }
