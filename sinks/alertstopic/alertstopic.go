// Package alertstopic writes alerts to a Kafka topic, one record a revision. docs/alerts-topic.md says what a consumer finds there.
package alertstopic

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/incidents"
)

// Producer writes one record and returns when the topic has it for good. It chooses the partition by the key.
type Producer interface {
	Send(ctx context.Context, topic string, key, value []byte, headers []event.Header) error
}

// Sink is the incidents.Notifier of one topic. It is safe for concurrent use if its producer is.
type Sink struct {
	producer Producer
	topic    string
}

// New makes a sink that writes to a topic.
func New(producer Producer, topic string) *Sink { return &Sink{producer: producer, topic: topic} }

// Deliver writes the alert of a message. After a crash it may write a revision twice: consumers know it by klaxon-id. The ref is the
// topic.
func (s *Sink) Deliver(ctx context.Context, m incidents.Message) (ref string, err error) {
	if m.Type != incidents.TypeAlert {
		return "", fmt.Errorf("the alerts topic takes alerts, not messages of type %q: %w", m.Type, incidents.ErrPermanent)
	}
	var a alert.Alert
	if err := json.Unmarshal(m.Body, &a); err != nil {
		return "", fmt.Errorf("message %s holds no alert (%w): %w", m.ID, err, incidents.ErrPermanent)
	}
	if err := s.producer.Send(ctx, s.topic, Key(&a), m.Body, headers(&a)); err != nil {
		return "", fmt.Errorf("cannot write to topic %s: %w", s.topic, err)
	}
	return s.topic, nil
}

// Type says what a record holds, and in which version: within one, fields are only added.
const Type = "com.klaxon.alert.v1"

// Key is the record's key: all alerts of an incident share it, and so a partition, where the revisions of each keep their order.
func Key(a *alert.Alert) []byte { return []byte(a.Tenant + "/" + a.Incident) }

func headers(a *alert.Alert) []event.Header {
	text := func(key, value string) event.Header { return event.Header{Key: key, Value: []byte(value)} }
	return []event.Header{
		text("klaxon-id", a.RevisionID()), text("klaxon-type", Type), text("klaxon-alert-id", a.ID), text("klaxon-revision", strconv.FormatInt(a.Revision, 10)),
		text("klaxon-rule", a.Rule.ID), text("klaxon-mode", string(a.Rule.Mode)), text("klaxon-severity", a.Severity.String()), text("klaxon-tenant", a.Tenant),
		text("content-type", "application/json"),
	}
}
