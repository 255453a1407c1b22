// Package incidents turns alerts into incidents that somebody owns. The Book decides: which incident an alert belongs to, what its
// severity is, who is told. A Store keeps what it decided, in transactions; incidents/sqlite is one.
//
// Nothing here asks a clock: the time is an argument. What is done with an alert follows from the alert and from what the store
// holds, so that alerts that come again after a crash change nothing.
package incidents

import (
	"slices"
	"strconv"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// State says how far people are with an incident.
type State string

// The states of an incident, in the order in which it usually goes through them. The last two end it.
const (
	New           State = "new"
	Acknowledged  State = "acknowledged" // somebody owns it
	Contained     State = "contained"    // it no longer spreads
	Eradicated    State = "eradicated"   // its cause is gone
	Recovered     State = "recovered"    // everything works as before
	Reviewed      State = "reviewed"     // what is to be learned from it was written down
	Closed        State = "closed"
	FalsePositive State = "false_positive"
)

// States returns all states, in their usual order.
func States() []State {
	return []State{New, Acknowledged, Contained, Eradicated, Recovered, Reviewed, Closed, FalsePositive}
}

// Open says whether alerts still fold into an incident of this state.
func (s State) Open() bool { return s != Closed && s != FalsePositive }

// next returns the states that people may move an incident to from this one: onwards, skipping what does not apply; and back to
// where the work is when an incident breaks out again.
func (s State) next() []State {
	switch s {
	case New:
		return []State{Acknowledged, Closed, FalsePositive}
	case Acknowledged:
		return []State{Contained, Eradicated, Recovered, Reviewed, Closed, FalsePositive}
	case Contained:
		return []State{Acknowledged, Eradicated, Recovered, Reviewed, Closed, FalsePositive}
	case Eradicated:
		return []State{Acknowledged, Contained, Recovered, Reviewed, Closed, FalsePositive}
	case Recovered:
		return []State{Acknowledged, Contained, Eradicated, Reviewed, Closed, FalsePositive}
	case Reviewed:
		return []State{Acknowledged, Closed, FalsePositive}
	}
	return nil
}

// Incident is one thing that happened, as people work on it. Times are in UTC and in whole milliseconds.
type Incident struct {
	// ID follows from the tenant, the key and the episode: a replay makes the same.
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	// Key is what makes alerts of a tenant the same incident, cut to a length that can be shown; KeyID stands for all of it.
	Key   string `json:"key"`
	KeyID string `json:"key_id"`
	// Episode counts the incidents of the key, from 1.
	Episode int64 `json:"episode"`
	// Title is that of the worst alert; see TitleFrom.
	Title    string         `json:"title"`
	Severity alert.Severity `json:"severity"`
	// Evaluated is the highest severity of its alerts. People may have set another one; only a higher alert raises that again.
	Evaluated alert.Severity `json:"evaluated_severity"`
	// Peak is the highest severity that the incident ever had: who was told of it then is told how it goes on.
	Peak  alert.Severity `json:"peak_severity"`
	State State          `json:"state"`
	Owner string         `json:"owner,omitempty"`
	// Reason says why the incident was closed.
	Reason string `json:"reason,omitempty"`
	// Rules are the ids of the rules that raised its alerts, sorted; at most a hundred of them.
	Rules     []string `json:"rules"`
	MoreRules bool     `json:"more_rules,omitempty"`
	// Alerts is how many alerts belong to it.
	Alerts int64 `json:"alert_count"`
	// FirstSeen and LastSeen bound the evidence of its alerts: event time.
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// The times at which something was done with it: wall-clock time.
	OpenedAt       time.Time `json:"opened_at"`
	UpdatedAt      time.Time `json:"updated_at"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	ClosedAt       time.Time `json:"closed_at,omitzero"`
	// Revision counts the changes, from 1.
	Revision int64 `json:"revision"`
	// Entries is how long the timeline is.
	Entries int64 `json:"timeline_count"`
	// TitleFrom says which alert the title is from.
	TitleFrom TitleFrom `json:"title_from"`
}

// TitleFrom is the alert that gave an incident its title: the most severe, of those the earliest, of those the one with the least
// id. So the title does not depend on the order in which alerts of several shards arrive.
type TitleFrom struct {
	Alert    string         `json:"alert_id"`
	Severity alert.Severity `json:"severity"`
	Time     int64          `json:"time"` // Unix milliseconds
}

// before says whether t gives the title rather than u.
func (t TitleFrom) before(u TitleFrom) bool {
	if t.Severity != u.Severity {
		return t.Severity > u.Severity
	}
	if t.Time != u.Time {
		return t.Time < u.Time
	}
	return t.Alert < u.Alert
}

// RevisionID names this revision of the incident for ever; destinations use it as their idempotency key.
func (in *Incident) RevisionID() string { return in.ID + "-" + strconv.FormatInt(in.Revision, 10) }

// NewID is the id of the incident of a tenant, an incident key and an episode.
func NewID(tenant, key string, episode int64) string {
	return alert.NewID("incident", tenant, key, strconv.FormatInt(episode, 10))
}

// NewKeyID stands for an incident key within its tenant, whatever bytes and however many it has.
func NewKeyID(tenant, key string) string { return alert.NewID("incident-key", tenant, key) }

// maxRules bounds the rules that an incident names.
const maxRules = 100

// addRule answers whether the rule is new to the incident and named. The ids that are named are the least ones, whatever the order.
func (in *Incident) addRule(id string) bool {
	i, found := slices.BinarySearch(in.Rules, id)
	if found {
		return false
	}
	if in.MoreRules = in.MoreRules || len(in.Rules) >= maxRules; in.MoreRules && i == len(in.Rules) {
		return false
	}
	in.Rules = slices.Insert(in.Rules, i, id)
	in.Rules = in.Rules[:min(len(in.Rules), maxRules)]
	return true
}

// Action says what an entry of a timeline is about, and why a message was written.
type Action string

// What is done with incidents.
const (
	Opened         Action = "opened"
	AlertAdded     Action = "alert_added"
	RuleAdded      Action = "rule_added"
	SeverityRaised Action = "severity_raised" // by the machine
	SeveritySet    Action = "severity_set"    // by people
	StateChanged   Action = "state_changed"
	Assigned       Action = "assigned"
	Noted          Action = "noted"
	Notified       Action = "notified"       // a destination has taken a message
	NotifyRefused  Action = "notify_refused" // a destination will never take it
)

// Machine is the actor of what nobody did by hand.
const Machine = "klaxon"

// Entry is one line of an incident's timeline: who did what, when and why.
type Entry struct {
	Incident string    `json:"incident_id"`
	Seq      int64     `json:"seq"` // within the incident, from 1
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`
	Action   Action    `json:"action"`
	// From and To are the values before and after, of a severity, a state, an owner.
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Alert string `json:"alert_id,omitempty"`
	Text  string `json:"text,omitempty"`
	// Revision is the incident's, after what is said here.
	Revision int64 `json:"revision"`
}

// instant is a time as it is kept: UTC, whole milliseconds.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
