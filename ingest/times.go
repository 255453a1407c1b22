package ingest

import (
	"github.com/klaxonhq/klaxon/event"
	"github.com/klaxonhq/klaxon/ingest/datasets"
)

// yearMillis is how far behind its record an event may lie before its clock is doubted.
const yearMillis = 365 * 24 * 60 * 60 * 1000

// times sets the event time: what the event says, else its envelope, else the record's time, and at most the record's time plus the skew.
// A clock that is ahead by more is not believed: the record's time counts, and what was claimed is kept in klaxon.claimed_time. One that
// is a year behind is believed, since old logs are read too. Both get a tag.
func (n *Normalizer) times(d *datasets.Dataset, e *event.Event) {
	ms, given := n.millis, n.millis != 0
	if v := e.First(event.Timestamp); v != nil && v.Kind() == event.Time {
		ms, given = v.Int(), true
	}
	received := n.rec.Time
	switch {
	case !given:
		ms = max(received, 0)
	case received <= 0: // the record has no time of its own
	case ms > received+n.maxSkew:
		e.Clear(n.f.claimed)
		e.AddTime(n.f.claimed, ms)
		ms = received
		n.skewed(d, e)
	case ms < received-yearMillis:
		n.skewed(d, e)
	}
	e.SetTime(ms)
}

func (n *Normalizer) skewed(d *datasets.Dataset, e *event.Event) {
	n.stats.of(d).ClockSkew++
	e.Tag(TagClockSkew)
}
