package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/klaxonhq/klaxon/alert"
	"github.com/klaxonhq/klaxon/event"
)

// PutAlerts stores revisions of alerts, each alert as one document that its latest revision replaces: an earlier one that comes late, or
// again, changes nothing. It tries until ctx ends. Alerts that the server refuses for good make a *RejectedError; the others are
// stored then. It is safe for concurrent use.
func (c *Client) PutAlerts(ctx context.Context, alerts []*alert.Alert) error {
	var b batch
	for i, a := range alerts {
		from := len(b.buf)
		b.buf = append(b.buf, `{"index":{"_index":"`+c.alertsIndex()+`","_id":`...)
		b.buf = event.AppendString(b.buf, a.ID)
		b.buf = append(b.buf, `,"version_type":"external","version":`...)
		b.buf = strconv.AppendInt(b.buf, a.Revision, 10)
		b.buf = append(b.buf, "}}\n"...)
		b.buf = append(a.AppendDocument(b.buf), '\n')
		b.lines = append(b.lines, line{from: from, to: len(b.buf), id: event.ID{Offset: int64(i)}})
	}
	w := newWorker(c)
	w.alerts = true
	rejected, err := c.deliver(ctx, &b, []*worker{w})
	if err != nil || len(rejected) == 0 {
		return err
	}
	out := &RejectedError{}
	for _, r := range rejected {
		a := alerts[r.ID.Offset]
		out.Alerts = append(out.Alerts, RejectedAlert{a.ID, a.Revision, r.Reason, r.Detail})
	}
	return out
}

// RejectedAlert is a revision of an alert that will never be stored, and why.
type RejectedAlert struct {
	ID             string
	Revision       int64
	Reason, Detail string
}

// RejectedError names the alerts that the server refuses for good.
type RejectedError struct{ Alerts []RejectedAlert }

// Error names the first of the alerts.
func (e *RejectedError) Error() string {
	a := e.Alerts[0]
	return fmt.Sprintf("Elasticsearch refuses %d alerts for good; %s, revision %d: %s: %s", len(e.Alerts), a.ID, a.Revision, a.Reason, a.Detail)
}

// IsRejected says whether an error is about alerts that will never be stored, so that to try again is of no use.
func IsRejected(err error) bool {
	var rejected *RejectedError
	return errors.As(err, &rejected)
}
