// Package slack tells a Slack channel about incidents: one message for each, kept up to date, with a thread of what changed.
// docs/slack.md says how to set up the app, and what cannot be excluded.
package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/klaxonhq/klaxon/incidents"
	"github.com/klaxonhq/klaxon/internal/outbound"
)

// Config says where messages go. Zero values are replaced by the defaults named here.
type Config struct {
	// Name is the destination's, by which it knows its own messages again.
	Name string
	// Channel is the channel's id, such as C0123456789. Names can change, and Slack does not update messages by them.
	Channel string
	// Token is the app's bot token. It stands in no error.
	Token string
	// URL is where the methods of the Web API are; https://slack.com/api/.
	URL string
	// Timeout bounds a request, with its answer; 10 s. A delivery makes a few.
	Timeout time.Duration
	// Log is told of what could not be done and is no reason to try again; nil: nobody is.
	Log *zap.Logger
}

const (
	defaultURL     = "https://slack.com/api/"
	defaultTimeout = 10 * time.Second
)

// Slack is the incidents.Notifier of one channel. It is safe for concurrent use.
type Slack struct {
	name    string
	channel string
	token   string
	base    string
	host    string // for errors
	client  *http.Client
	log     *zap.Logger
}

// New makes a notifier. It does no I/O.
func New(c Config) (*Slack, error) {
	if c.URL == "" {
		c.URL = defaultURL
	}
	u, err := outbound.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Token == "" || strings.ContainsAny(c.Token, " \t\r\n") {
		return nil, errors.New("the token is missing, or is no token: it is the app's Bot User OAuth Token, which begins with xoxb-")
	}
	if c.Channel == "" {
		return nil, errors.New("the channel's id is missing")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return &Slack{name: c.Name, channel: c.Channel, token: c.Token, base: strings.TrimSuffix(c.URL, "/") + "/", host: u.Host,
		client: outbound.NewClient(c.Timeout, nil), log: c.Log}, nil
}

// Deliver brings the channel up to date with one change of an incident. The ref is channel:ts of the incident's own message, which
// the message's Thread says of the changes that follow.
//
// Slack takes no idempotency key, so what is there already is looked up first: a change that was posted before is not posted again,
// unless its message appeared only after the look-up. An error that wraps incidents.ErrPermanent means that Slack will never take
// the message; after every other error it may be tried again, an *outbound.RetryError says when.
func (s *Slack) Deliver(ctx context.Context, m incidents.Message) (ref string, err error) {
	c, err := decode(&m)
	if err != nil {
		return "", err
	}
	if root, ok := parseRef(m.Thread); ok && root.channel == s.channel { // a new channel begins anew
		err := s.follow(ctx, &m, c, root)
		if !errors.Is(err, errGone) {
			return root.String(), err
		}
	}
	root, found, err := s.findRoot(ctx, &m, c.Incident.OpenedAt)
	if err != nil {
		return "", err
	}
	if !found {
		return s.open(ctx, &m, c)
	}
	if root.message == m.ID {
		return root.at.String(), nil
	}
	return root.at.String(), s.follow(ctx, &m, c, root.at)
}

func decode(m *incidents.Message) (*incidents.Change, error) {
	if m.Type != incidents.TypeIncident {
		return nil, fmt.Errorf("slack is told of incidents, not of messages of type %q: %w", m.Type, incidents.ErrPermanent)
	}
	var c incidents.Change
	if err := json.Unmarshal(m.Body, &c); err != nil {
		return nil, fmt.Errorf("message %s holds no change of an incident (%w): %w", m.ID, err, incidents.ErrPermanent)
	}
	return &c, nil
}

// open posts the incident's own message.
func (s *Slack) open(ctx context.Context, m *incidents.Message, c *incidents.Change) (ref string, err error) {
	p := post{content: card(m, c, nil), Channel: s.channel}
	p.Metadata = s.metadata(eventIncident, m)
	if more := crowd(m); more != "" {
		p.Blocks = append(p.Blocks, block{Type: "context", Elements: []text{*mrkdwn(more)}})
	}
	answer, err := s.call(ctx, "chat.postMessage", &p)
	if err != nil {
		return "", err
	}
	return place{answer.Channel, answer.TS}.String(), nil
}

// follow brings the incident's own message up to date, and says in its thread what changed. What was done before is left as it is.
// The error wraps errGone when the incident's own message is not there any more.
func (s *Slack) follow(ctx context.Context, m *incidents.Message, c *incidents.Change, root place) error {
	t, err := s.findThread(ctx, m, root)
	if err != nil {
		return err
	}
	if t.revision < m.Revision {
		if err := s.update(ctx, m, c, root, t); err != nil {
			return err
		}
	}
	if t.said {
		return nil
	}
	p := post{content: news(m, c), Channel: root.channel, ThreadTS: root.ts, Broadcast: c.Action == incidents.SeverityRaised}
	p.Metadata = s.metadata(eventChange, m)
	_, err = s.call(ctx, "chat.postMessage", &p)
	return err
}

// update brings the incident's own message up to date. Where Slack does not let it be changed, the thread still says what happened.
func (s *Slack) update(ctx context.Context, m *incidents.Message, c *incidents.Change, root place, t thread) error {
	u := edit{content: card(m, c, t.blocks), Channel: root.channel, TS: root.ts}
	u.Metadata = s.metadata(eventIncident, m)
	u.Metadata.Payload.Message = t.message // the message that it was posted for
	_, err := s.call(ctx, "chat.update", &u)
	var refused *Error
	if errors.As(err, &refused) && (refused.uneditable() || errors.Is(err, incidents.ErrPermanent)) {
		s.log.Warn("an incident's message in Slack cannot be brought up to date; its thread says what changed", zap.String("incident", m.Subject), zap.Error(err))
		return nil
	}
	return err
}

// place is where a message stands.
type place struct{ channel, ts string }

// String is the place as the outbox keeps it.
func (p place) String() string { return p.channel + ":" + p.ts }

// parseRef reads what String wrote; ok is false for anything else, "" included.
func parseRef(ref string) (p place, ok bool) {
	p.channel, p.ts, ok = strings.Cut(ref, ":")
	return p, ok && p.channel != "" && p.ts != ""
}
