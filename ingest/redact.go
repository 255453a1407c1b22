package ingest

import (
	"bytes"

	"github.com/klaxonhq/klaxon/event"
)

// redacted stands where a value was that must not be kept.
const redacted = "[redacted]"

// shortestSecret is the shortest value that is looked for in the original: a shorter one would be found everywhere.
const shortestSecret = 4

// redact takes the values of fields out of the event: out of the fields, and out of every text that holds the original. Where a value cannot
// be found there, as when it was escaped, or is too short to look for, the text goes as a whole: what is redacted must not survive.
func (n *Normalizer) redact(e *event.Event, fields []event.FieldID) {
	texts := []event.FieldID{event.Original, n.f.message}
	for f := event.FieldID(1); int(f) < e.Schema().Len(); f++ {
		if t := e.Schema().Type(f); (t == event.Object || t == event.Elements) && e.Has(f) {
			texts = append(texts, f)
		}
	}
	for _, f := range fields {
		if !e.Has(f) {
			continue
		}
		for v := e.First(f); v != nil; v = e.Next(v) {
			for _, t := range texts {
				n.censor(e, t, v.Text())
			}
			n.erase(e, f, v.Text())
		}
		e.Clear(n.f.base64)
		n.stats.redacted++
		e.Clear(f)
		if t := e.Schema().Type(f); t == event.Keyword || t == event.Text || t == event.Untyped {
			e.Add(f, redacted)
		}
	}
}

// erase takes a secret out of every other field that holds just it, related.* among them.
func (n *Normalizer) erase(e *event.Event, not event.FieldID, secret string) {
	for f := event.FieldID(1); int(f) < e.Schema().Len(); f++ {
		if f == not || f == event.Original {
			continue
		}
		for v := e.First(f); v != nil; v = e.Next(v) {
			if v.Text() == secret && v.Kind() != event.Bool {
				e.Clear(f)
				break
			}
		}
	}
}

// censor replaces a secret in a field that holds a whole text.
func (n *Normalizer) censor(e *event.Event, f event.FieldID, secret string) {
	v := e.First(f)
	if v == nil {
		return
	}
	text := v.Text()
	if len(secret) < shortestSecret || !bytes.Contains([]byte(text), []byte(secret)) {
		if t := e.Schema().Type(f); t == event.Object || t == event.Elements {
			e.Clear(f)
		} else {
			e.Set(f, redacted)
		}
		return
	}
	n.secret = append(n.secret[:0], bytes.ReplaceAll([]byte(text), []byte(secret), []byte(redacted))...)
	e.Set(f, e.Keep(n.secret))
}
