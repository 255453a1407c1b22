package ingest

import (
	"fmt"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// The reasons for which a record becomes a dead letter. They are stable: machines read them.
const (
	ReasonEmpty         = "empty"          // no value, or nothing but blanks
	ReasonTooLarge      = "too_large"      // more than Options.MaxBytes
	ReasonBinary        = "binary"         // nothing but NUL, or bytes that nobody claims and that are no text
	ReasonJSONTruncated = "json_truncated" // JSON that ends too early
	ReasonJSONInvalid   = "json_invalid"   // JSON with a mistake in it
	ReasonNesting       = "nesting"        // JSON nested too deep
)

// Reasons is every reason, in a fixed order.
func Reasons() []string {
	return []string{ReasonEmpty, ReasonTooLarge, ReasonBinary, ReasonJSONTruncated, ReasonJSONInvalid, ReasonNesting}
}

// DeadLetter is a record that cannot be decoded at all. It is an error so that the caller can return it.
type DeadLetter struct {
	Reason string // one of Reasons
	Detail string // for people
	Offset int    // byte offset into the record's value, or -1
}

// Error says why the record cannot be decoded.
func (d *DeadLetter) Error() string {
	if d.Offset < 0 {
		return fmt.Sprintf("%s: %s", d.Reason, d.Detail)
	}
	return fmt.Sprintf("%s at byte %d: %s", d.Reason, d.Offset, d.Detail)
}

// Cause is the reason.
func (d *DeadLetter) Cause() string { return d.Reason }

// deadJSON makes a dead letter of a JSON error; base is where the JSON begins in the record's value, or -1 where it stood in an
// envelope that escapes it.
func deadJSON(err *event.JSONError, base int) *DeadLetter {
	d := &DeadLetter{Reason: ReasonJSONInvalid, Detail: err.Reason, Offset: -1}
	if base >= 0 {
		d.Offset = base + err.Offset
	}
	switch {
	case strings.HasPrefix(err.Reason, "nested deeper"):
		d.Reason = ReasonNesting
	case err.Reason == "it ends too early":
		d.Reason = ReasonJSONTruncated
	}
	return d
}

// undecodable is the dead letter of a record whose bytes alone forbid it, or nil.
func undecodable(data []byte, maxBytes int) *DeadLetter {
	if len(data) > maxBytes {
		return &DeadLetter{ReasonTooLarge, fmt.Sprintf("%d bytes, and at most %d are read", len(data), maxBytes), -1}
	}
	blank, nul := true, true
	for _, c := range data {
		blank = blank && (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		nul = nul && c == 0
		if !blank && !nul {
			return nil
		}
	}
	if blank {
		return &DeadLetter{ReasonEmpty, "the record has no value", -1}
	}
	return &DeadLetter{ReasonBinary, "the record is nothing but NUL bytes", 0}
}

// binarySample is how many bytes are looked at to tell text from binary data.
const binarySample = 1024

// binary says whether bytes that nobody claims are no text: too many control characters, fewer being enough where the bytes are no
// UTF-8 either, as compressed data and serialised messages are.
func binary(data []byte, valid bool) bool {
	sample := data[:min(len(data), binarySample)]
	controls := 0
	for _, c := range sample {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != 0x1b || c == 0x7f {
			controls++
		}
	}
	return sample[0] == 0 || controls*8 > len(sample) || !valid && controls*16 > len(sample)
}
