package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
)

// The types of metadata that klaxon's messages carry.
const (
	eventIncident = "klaxon_incident" // an incident's own message
	eventChange   = "klaxon_change"   // a reply that says what changed
)

// metadata says of a message what klaxon posted it for. It is shown to nobody.
type metadata struct {
	Type    string  `json:"event_type"`
	Payload payload `json:"event_payload"`
}

type payload struct {
	Destination string `json:"destination"`
	Incident    string `json:"incident"`
	Message     string `json:"message"`  // the id of the message that it was posted for
	Revision    int64  `json:"revision"` // of the incident, as the message shows it
}

func (s *Slack) metadata(kind string, m *incidents.Message) *metadata {
	return &metadata{Type: kind, Payload: payload{Destination: s.name, Incident: m.Subject, Message: m.ID, Revision: m.Revision}}
}

// postedFor is a message's metadata, or nothing where it is not klaxon's.
func (m *message) postedFor() (d metadata) {
	if len(m.Metadata) == 0 || json.Unmarshal(m.Metadata, &d) != nil {
		return metadata{}
	}
	return d
}

// own says whether metadata is this destination's, of a kind, about an incident.
func (s *Slack) own(d metadata, kind, incident string) bool {
	return d.Type == kind && d.Payload.Destination == s.name && d.Payload.Incident == incident
}

// Bounds of a look-up: what lies further away is not found, and a message may then be posted again.
const (
	pageSize = 100
	maxPages = 10
	// clockSkew is how far klaxon's clock may be from Slack's.
	clockSkew = 5 * time.Minute
)

// root is the message that an incident's thread begins with.
type root struct {
	at      place
	message string // the id of the message that it was posted for
}

// findRoot looks for the incident's own message in the channel, from when the incident was opened on.
func (s *Slack) findRoot(ctx context.Context, m *incidents.Message, opened time.Time) (found root, ok bool, err error) {
	form := url.Values{"channel": {s.channel}, "oldest": {strconv.FormatInt(max(opened.Add(-clockSkew).Unix(), 0), 10)}}
	err = s.pages(ctx, "conversations.history", form, func(page []message) (enough bool) {
		for i := range page {
			if d := page[i].postedFor(); s.own(d, eventIncident, m.Subject) {
				found, ok = root{place{s.channel, page[i].TS}, d.Payload.Message}, true
			}
		}
		return ok
	})
	return found, ok, err
}

// thread is what is known of an incident's thread.
type thread struct {
	blocks   []block // of the message that it begins with
	message  string  // the id of the message that it was posted for
	revision int64   // of the incident, as the first message shows it
	said     bool    // a reply says what changed already
}

// findThread reads an incident's thread. The error wraps errGone when its first message is not there any more.
func (s *Slack) findThread(ctx context.Context, m *incidents.Message, at place) (t thread, err error) {
	there := false
	err = s.pages(ctx, "conversations.replies", url.Values{"channel": {at.channel}, "ts": {at.ts}}, func(page []message) (enough bool) {
		for i := range page {
			one := &page[i]
			if one.TS == at.ts {
				there = one.Subtype != "tombstone"
				t.first(one)
				continue
			}
			d := one.postedFor()
			t.said = t.said || s.own(d, eventChange, m.Subject) && d.Payload.Message == m.ID
		}
		return t.said
	})
	if err == nil && !there {
		err = fmt.Errorf("conversations.replies: %w", errGone)
	}
	return t, err
}

// first reads the message that the thread begins with. What cannot be read of it is written anew.
func (t *thread) first(one *message) {
	p := one.postedFor().Payload
	t.message, t.revision = p.Message, p.Revision
	if json.Unmarshal(one.Blocks, &t.blocks) != nil {
		t.blocks = nil
	}
}

// pages calls f with one page after the other until it has enough.
func (s *Slack) pages(ctx context.Context, method string, form url.Values, f func([]message) (enough bool)) error {
	form.Set("limit", strconv.Itoa(pageSize))
	form.Set("include_all_metadata", "true")
	for range maxPages {
		a, err := s.ask(ctx, method, form)
		if err != nil {
			return err
		}
		if f(a.Messages) || a.Response.Cursor == "" {
			return nil
		}
		form.Set("cursor", a.Response.Cursor)
	}
	return nil
}
