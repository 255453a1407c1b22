package incidents

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// The types of messages.
const (
	TypeAlert    = "alert"    // a revision of an alert
	TypeIncident = "incident" // a change of an incident
)

// The states of a message in the outbox.
const (
	Waiting = "waiting"
	Sent    = "sent"
	Parked  = "parked" // refused for good, or given up; somebody may have it tried again
)

// Destination is somebody who is told, and of what.
type Destination struct {
	// Name is the destination's identity in the outbox.
	Name string
	// Types says which messages it gets: TypeAlert, TypeIncident.
	Types []string
	// MinSeverity is from which severity on; 0: all. An incident counts with the highest severity that it ever had, so that who
	// was told that it began is told that it ended.
	MinSeverity alert.Severity
	// Shadow says that it gets the alerts of shadow rules too.
	Shadow bool
}

func (d *Destination) wants(kind string, s alert.Severity) bool {
	return s >= d.MinSeverity && slices.Contains(d.Types, kind)
}

// Message is what a destination is to be told. It is written in the transaction that caused it.
type Message struct {
	// Seq orders the outbox. It is the message's identity there.
	Seq int64 `json:"seq"`
	// ID is the idempotency key: the alert's or incident's id and revision. It is the same for every destination.
	ID          string `json:"id"`
	Destination string `json:"destination"`
	Type        string `json:"type"`
	Tenant      string `json:"tenant"`
	// Subject is the id of the alert or incident. Messages about one subject are delivered in their order.
	Subject string `json:"subject"`
	// Thread is what the destination called its first message about this subject, that message's Ref; "" until it has taken one.
	Thread   string         `json:"thread,omitempty"`
	Revision int64          `json:"revision"`
	Severity alert.Severity `json:"severity"`
	// Time is when it happened: of an alert its last evidence, of an incident the change.
	Time time.Time `json:"time"`
	// Body is JSON: an alert.Alert or a Change. A message that was sent has none any more.
	Body json.RawMessage `json:"body,omitempty"`

	State    string    `json:"state"`
	Created  time.Time `json:"created_at"`
	Attempts int       `json:"attempts"` // how often it was tried in vain
	Next     time.Time `json:"next_at"`  // not to be tried before
	Cause    string    `json:"cause,omitempty"`
	Ref      string    `json:"ref,omitempty"` // what the destination calls it
	Done     time.Time `json:"done_at,omitzero"`

	// Behind is how many more messages are due for the destination, as far as whoever delivers it has looked. It is not kept.
	Behind int `json:"-"`
}

// Change is the body of a message about an incident: what was done, and how the incident is since.
type Change struct {
	Action   Action       `json:"action"`
	Actor    string       `json:"actor"`
	From     string       `json:"from,omitempty"`
	To       string       `json:"to,omitempty"`
	Text     string       `json:"text,omitempty"`
	Incident Incident     `json:"incident"`
	Alert    *alert.Alert `json:"alert,omitempty"` // the alert that caused it, without samples of events
}

// Notifier delivers messages to one system. Deliver may be given the same message again after a crash, and passes the message's id
// on as idempotency key. An error that wraps ErrPermanent is not tried again; one that has a method RetryAfter() time.Duration
// says when to.
type Notifier interface {
	Deliver(ctx context.Context, m Message) (ref string, err error)
}

// ErrPermanent marks failures that another try cannot mend.
var ErrPermanent = errors.New("refused for good")

// maxBody bounds a message's body and an alert as it is stored, in bytes.
const maxBody = 256 << 10

// encodeAlert is the alert's JSON. What is too large is left out: the samples first, then evidence and fields.
func encodeAlert(a *alert.Alert) (json.RawMessage, error) {
	b, err := json.Marshal(a)
	if err != nil || len(b) <= maxBody {
		return b, err
	}
	small := withoutSamples(a)
	if small.Degraded == "" {
		small.Degraded = "samples left out: the alert was too large"
	}
	if b, err = json.Marshal(small); err != nil || len(b) <= maxBody {
		return b, err
	}
	return json.Marshal(withoutEvidence(small))
}

func withoutSamples(a *alert.Alert) *alert.Alert {
	small := *a
	small.Events = slices.Clone(a.Events)
	for i := range small.Events {
		small.Events[i].Sample = nil
	}
	return &small
}

// withoutEvidence leaves what every destination needs.
func withoutEvidence(a *alert.Alert) *alert.Alert {
	small := *a
	small.Events, small.Fields, small.Key = nil, nil, nil
	small.Rule.Tags, small.Rule.Controls = nil, nil
	small.Rule.Runbook = clip(a.Rule.Runbook, maxText)
	small.Title, small.Explanation, small.Incident = clip(a.Title, maxTitle), clip(a.Explanation, maxText), clip(a.Incident, maxText)
	return &small
}

func encodeChange(c *Change) (json.RawMessage, error) {
	b, err := json.Marshal(c)
	if err != nil || len(b) <= maxBody || c.Alert == nil {
		return b, err
	}
	small := *c
	small.Alert = withoutEvidence(c.Alert)
	return json.Marshal(&small)
}
