package main

import (
	"context"
	"strings"
	"time"

	"github.com/klaxonhq/klaxon/incidents"
)

// outbox is the book's, whose errors are counted. What it keeps of a failure holds no secrets.
type outbox struct {
	book  *incidents.Book
	stats *stats
	hide  *strings.Replacer
}

// Due implements pipeline.Outbox.
func (o outbox) Due(ctx context.Context, destination string, now time.Time, limit int) ([]incidents.Message, error) {
	due, err := o.book.Due(ctx, destination, now, limit)
	return due, o.stats.storeFailed(ctx, storeOutbox, err)
}

// Sent implements pipeline.Outbox.
func (o outbox) Sent(ctx context.Context, m incidents.Message, ref string, now time.Time) error {
	return o.stats.storeFailed(ctx, storeOutbox, o.book.Sent(ctx, m, ref, now))
}

// Failed implements pipeline.Outbox.
func (o outbox) Failed(ctx context.Context, m incidents.Message, cause string, next time.Time) error {
	return o.stats.storeFailed(ctx, storeOutbox, o.book.Failed(ctx, m, o.hide.Replace(cause), next))
}
