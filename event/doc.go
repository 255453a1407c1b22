// Package event is the normalised record: raw bytes, a table of values by interned field, an id and a time. It decodes JSON into
// that table in one pass and writes it out as one ECS document.
package event
