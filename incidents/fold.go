package incidents

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/klaxonhq/klaxon/alert"
)

// folding is one transaction's worth of alerts on their way into incidents.
type folding struct {
	tx           Tx
	destinations []Destination
	now          time.Time

	alerts    map[string]*folded // by id
	keys      map[string]*KeyState
	incidents map[string]*Incident // that this transaction has looked at
	touched   map[string]bool      // and changed
	entries   []Entry
	messages  []Message
	links     [][2]string

	applied, ignored, opened int64
}

// folded is an alert, as the store knew it and as it is now.
type folded struct {
	Known
	latest *alert.Alert
	body   []byte // its JSON
}

func newFolding(tx Tx, destinations []Destination, now time.Time) *folding {
	return &folding{tx: tx, destinations: destinations, now: now, alerts: map[string]*folded{}, keys: map[string]*KeyState{},
		incidents: map[string]*Incident{}, touched: map[string]bool{}}
}

// apply takes one revision after the other, so that the outcome does not depend on which ones share a transaction.
func (f *folding) apply(writes []ShardWrite) error {
	fresh, err := f.fresh(writes)
	if err != nil {
		return err
	}
	if err := f.lock(fresh); err != nil {
		return err
	}
	for _, a := range fresh {
		if err := f.alert(a); err != nil {
			return fmt.Errorf("alert %s: %w", a.RevisionID(), err)
		}
	}
	return f.flush()
}

// fresh returns the revisions that the store does not know.
func (f *folding) fresh(writes []ShardWrite) ([]*alert.Alert, error) {
	var fresh []*alert.Alert
	for _, w := range writes {
		for i := range w.Alerts {
			a := &w.Alerts[i]
			k := f.alerts[a.ID]
			if k == nil {
				known, err := f.tx.Known(a.ID)
				if err != nil {
					return nil, err
				}
				k = &folded{Known: known}
				f.alerts[a.ID] = k
			}
			if a.Revision <= k.Revision {
				f.ignored++
				continue
			}
			k.Revision = a.Revision
			f.applied++
			fresh = append(fresh, sound(a))
		}
	}
	return fresh, nil
}

// sound returns the alert with what the book relies on. A severity outside the range could not be read again.
func sound(a *alert.Alert) *alert.Alert {
	if a.Severity >= alert.Low && a.Severity <= alert.Urgent {
		return a
	}
	own := *a
	own.Severity = min(max(a.Severity, alert.Low), alert.Urgent)
	return &own
}

// lock locks the incident keys of the alerts, and those of the incidents that they belong to, ascending, so that two transactions
// never wait for each other.
func (f *folding) lock(fresh []*alert.Alert) error {
	for _, a := range fresh {
		if !makesIncident(a) {
			continue
		}
		f.keys[keyOf(a)] = nil
		if of := f.alerts[a.ID].KeyID; of != "" {
			f.keys[of] = nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.keys)) {
		k, err := f.tx.LockKey(id)
		if err != nil {
			return err
		}
		f.keys[id] = &k
	}
	return nil
}

// makesIncident says whether alerts of the mode make incidents. An unknown mode does: better one incident too many.
func makesIncident(a *alert.Alert) bool {
	switch a.Rule.Mode {
	case alert.Signal, alert.Shadow, alert.Disabled:
		return false
	}
	return true
}

func keyOf(a *alert.Alert) string { return NewKeyID(a.Tenant, incidentKey(a)) }

// incidentKey is the alert's incident key; an alert without one is an incident of its own.
func incidentKey(a *alert.Alert) string {
	if a.Incident == "" {
		return a.Rule.ID + " " + a.ID
	}
	return a.Incident
}

func (f *folding) alert(a *alert.Alert) error {
	k := f.alerts[a.ID]
	body, err := encodeAlert(a)
	if err != nil {
		return err
	}
	k.latest, k.body = a, body
	f.tell(a, body)
	if makesIncident(a) {
		return f.fold(a, k)
	}
	return nil
}

// tell writes the messages about an alert.
func (f *folding) tell(a *alert.Alert, body []byte) {
	shadow := a.Rule.Mode == alert.Shadow || a.Rule.Mode == alert.Disabled
	for i := range f.destinations {
		d := &f.destinations[i]
		if shadow && !d.Shadow || !d.wants(TypeAlert, a.Severity) {
			continue
		}
		f.messages = append(f.messages, Message{ID: a.RevisionID(), Destination: d.Name, Type: TypeAlert, Tenant: clip(a.Tenant, maxText),
			Subject: a.ID, Revision: a.Revision, Severity: a.Severity, Time: millis(a.Last), Body: body, State: Waiting, Created: f.now, Next: f.now})
	}
}

// fold brings an alert into the incident that it belongs to.
func (f *folding) fold(a *alert.Alert, k *folded) error {
	id := keyOf(a)
	key := f.keys[id]
	if k.Incident != "" {
		in, err := f.incident(k.Incident)
		if err != nil {
			return err
		}
		if in.State.Open() {
			return f.update(in, a, false)
		}
		if !goesOn(in, a) {
			return nil // what people said of the incident holds for it
		}
	}
	if key.Open != "" {
		in, err := f.incident(key.Open)
		if err != nil {
			return err
		}
		return f.update(in, a, true)
	}
	return f.open(a, id, key)
}

// goesOn says whether an alert of an incident that was closed needs people again: it became worse than any before, or it went on
// after the incident was closed. That it goes on is no news where people said that it means nothing.
func goesOn(in *Incident, a *alert.Alert) bool {
	return a.Severity > in.Peak || in.State == Closed && millis(a.Last).After(in.ClosedAt)
}

func (f *folding) incident(id string) (*Incident, error) {
	if in := f.incidents[id]; in != nil {
		return in, nil
	}
	in, err := f.tx.Incident(id)
	if err != nil {
		return nil, fmt.Errorf("incident %s: %w", id, err)
	}
	f.incidents[id] = &in
	return &in, nil
}

func (f *folding) open(a *alert.Alert, keyID string, key *KeyState) error {
	key.Episode++
	text := incidentKey(a)
	in := &Incident{ID: NewID(a.Tenant, text, key.Episode), Tenant: clip(a.Tenant, maxText), Key: clip(text, maxText), KeyID: keyID, Episode: key.Episode,
		State: New, FirstSeen: millis(a.First), LastSeen: millis(a.Last), OpenedAt: f.now, Rules: []string{}}
	key.Open = in.ID
	f.incidents[in.ID] = in
	f.opened++
	if err := f.tx.PutKey(keyID, *key); err != nil {
		return err
	}
	return f.update(in, a, true)
}

// manyAlerts is up to how many alerts the timeline names each; of more it says how many at every doubling.
const manyAlerts = 100

// update is one revision of the incident: the alert is new to it, or has a new revision itself.
func (f *folding) update(in *Incident, a *alert.Alert, joins bool) error {
	opened := in.Revision == 0
	in.Revision++
	in.UpdatedAt = f.now
	in.FirstSeen, in.LastSeen = earlier(in.FirstSeen, millis(a.First)), later(in.LastSeen, millis(a.Last))
	in.title(a)
	change := f.worse(in, a)
	if in.addRule(clip(a.Rule.ID, maxTitle)) && !opened {
		f.note(in, Entry{Action: RuleAdded, To: clip(a.Rule.ID, maxTitle), Alert: a.ID})
		change = first(change, Change{Action: RuleAdded, To: clip(a.Rule.ID, maxTitle)})
	}
	if joins {
		change = first(change, f.join(in, a, opened))
	}
	f.touched[in.ID] = true
	f.alerts[a.ID].Incident = in.ID
	if opened {
		change = Change{Action: Opened, To: string(New)}
	}
	if change.Action == "" {
		return nil
	}
	change.Actor, change.Incident, change.Alert = Machine, *in, withoutSamples(a)
	return f.say(in, &change)
}

// first is the change that a message is about: the earlier one, if there is one.
func first(a, b Change) Change {
	if a.Action != "" {
		return a
	}
	return b
}

// title takes the alert's title where it says more than the one that the incident has.
func (in *Incident) title(a *alert.Alert) {
	from := TitleFrom{Alert: a.ID, Severity: a.Severity, Time: a.Time}
	better := in.TitleFrom.Alert == "" || from.before(in.TitleFrom)
	if better {
		in.TitleFrom = from
	}
	if !better && in.TitleFrom.Alert != a.ID {
		return
	}
	in.Title = clip(a.Title, maxTitle)
	for _, other := range []string{a.Rule.Title, a.Rule.ID} {
		if in.Title == "" {
			in.Title = clip(other, maxTitle)
		}
	}
}

// worse raises the incident's severity where the alert is worse than all before it. Where people set one, it counts until then.
func (f *folding) worse(in *Incident, a *alert.Alert) (change Change) {
	if a.Severity <= in.Evaluated {
		return change
	}
	in.Evaluated = a.Severity
	if a.Severity <= in.Severity {
		return change
	}
	was := in.Severity
	in.Severity = a.Severity
	in.Peak = max(in.Peak, a.Severity)
	if in.Revision == 1 {
		return change
	}
	change = Change{Action: SeverityRaised, From: was.String(), To: a.Severity.String()}
	f.note(in, Entry{Action: change.Action, From: change.From, To: change.To, Alert: a.ID, Text: clip(a.Explanation, maxText)})
	return change
}

// join counts an alert that is new to the incident. Messages are written at doublings, or a storm of alerts would be one of messages.
func (f *folding) join(in *Incident, a *alert.Alert, opened bool) (change Change) {
	in.Alerts++
	f.links = append(f.links, [2]string{in.ID, a.ID})
	doubled := bits.OnesCount64(uint64(in.Alerts)) == 1
	e := Entry{Action: AlertAdded, Alert: a.ID, Text: clip(a.Title, maxTitle)}
	switch {
	case opened:
		e.Action, e.To = Opened, in.Severity.String()
	case in.Alerts > manyAlerts && doubled:
		e.Text = fmt.Sprintf("%d alerts by now; the latest: %s", in.Alerts, e.Text)
	case in.Alerts > manyAlerts:
		return change
	}
	f.note(in, e)
	if !opened && doubled {
		change = Change{Action: AlertAdded, Text: fmt.Sprintf("%d alerts by now", in.Alerts)}
	}
	return change
}

// note adds to the timeline.
func (f *folding) note(in *Incident, e Entry) {
	in.Entries++
	e.Incident, e.Seq, e.Time, e.Revision = in.ID, in.Entries, f.now, in.Revision
	if e.Actor == "" {
		e.Actor = Machine
	}
	f.entries = append(f.entries, e)
}

// say writes the messages about a change of an incident.
func (f *folding) say(in *Incident, c *Change) error {
	var body []byte
	for i := range f.destinations {
		d := &f.destinations[i]
		if !d.wants(TypeIncident, in.Peak) {
			continue
		}
		if body == nil {
			c.Incident = *in
			var err error
			if body, err = encodeChange(c); err != nil {
				return err
			}
		}
		f.messages = append(f.messages, Message{ID: in.RevisionID(), Destination: d.Name, Type: TypeIncident, Tenant: in.Tenant, Subject: in.ID,
			Revision: in.Revision, Severity: in.Severity, Time: f.now, Body: body, State: Waiting, Created: f.now, Next: f.now})
	}
	return nil
}

// flush writes what was folded: of every row only its last form, in an order that follows from the alerts.
func (f *folding) flush() error {
	for _, id := range slices.Sorted(maps.Keys(f.alerts)) {
		if k := f.alerts[id]; k.latest != nil {
			if err := f.tx.PutAlert(k.latest, k.body, k.Incident, f.now); err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.touched)) {
		if err := f.tx.PutIncident(f.incidents[id]); err != nil {
			return err
		}
	}
	for _, l := range f.links {
		if err := f.tx.Link(l[0], l[1]); err != nil {
			return err
		}
	}
	for i := range f.entries {
		if err := f.tx.AddEntry(&f.entries[i]); err != nil {
			return err
		}
	}
	for i := range f.messages {
		if err := f.tx.AddMessage(&f.messages[i]); err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
