package elasticsearch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Period is how much time one index of a dataset holds.
type Period int8

// The periods. A dataset with little traffic wants a long one: thousands of small indices kill a cluster.
const (
	Daily Period = iota
	Weekly
	Monthly
)

// start is when the period that an instant lies in begins.
func (p Period) start(t time.Time) time.Time {
	y, m, d := t.Date()
	switch p {
	case Weekly:
		return time.Date(y, m, d-(int(t.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	case Monthly:
		return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// end is when a period that begins at an instant has ended.
func (p Period) end(start time.Time) time.Time {
	switch p {
	case Weekly:
		return start.AddDate(0, 0, 7)
	case Monthly:
		return start.AddDate(0, 1, 0)
	}
	return start.AddDate(0, 0, 1)
}

// name is the period's part of an index's name, by ISO 8601 for weeks.
func (p Period) name(start time.Time) string {
	switch p {
	case Weekly:
		year, week := start.ISOWeek()
		return fmt.Sprintf("%04d.w%02d", year, week)
	case Monthly:
		return start.Format("2006.01")
	}
	return start.Format("2006.01.02")
}

// maxNameBytes is how much of a dataset's name stands in an index's name, which may have 255 bytes.
const maxNameBytes = 100

// safeName makes a dataset's name fit for an index's: lower case, and what is not a letter of ASCII, a digit, or one of `._-` is `_`. A
// long name is cut and told apart by a hash.
func safeName(dataset string) string {
	if dataset == "" {
		return "none"
	}
	b := []byte(strings.ToLower(dataset))
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			b[i] = '_'
		}
	}
	if len(b) <= maxNameBytes {
		return string(b)
	}
	h := sha256.Sum256([]byte(dataset))
	return string(b[:maxNameBytes/2]) + "_" + hex.EncodeToString(h[:8])
}

// Names of what the client makes.
func (c *Client) eventsAlias() string   { return c.cfg.Prefix + "-events" }
func (c *Client) alertsIndex() string   { return c.cfg.Prefix + "-alerts" }
func (c *Client) undatedIndex() string  { return c.cfg.Prefix + "-undated" }
func (c *Client) componentName() string { return c.cfg.Prefix + "-ecs" }

// indexName is where a record of a dataset goes. A record is undated if its index would have outlived the retention, so that the index
// that a replay finds deleted is not made again; or if it is dated more than a day ahead.
func (c *Client) indexName(dataset string, received int64, now time.Time) string {
	t := time.UnixMilli(received).UTC()
	p := c.cfg.Periods[dataset]
	start := p.start(t)
	old := c.cfg.Retention > 0 && !p.end(start).After(now.Add(-c.cfg.Retention))
	if old || t.After(now.Add(maxAhead)) || t.Year() < 1 || t.Year() > 9999 {
		return c.undatedIndex()
	}
	return c.cfg.Prefix + "-" + safeName(dataset) + "-" + p.name(start)
}
