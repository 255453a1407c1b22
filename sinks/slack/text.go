package slack

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf16"
)

// text is a Slack text object.
type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

// Limits of texts, in characters. Slack takes 150 in a header, 3,000 in a section and 2,000 in a field of one; and about 13,000 in
// all blocks together, which it documents nowhere, so that no section is filled.
const (
	maxHeader   = 150
	maxSentence = 1200
	maxEvidence = 2400
	maxValue    = 200
	maxKey      = 600
	maxLink     = 600
	maxText     = 2000 // of what notifications show
)

// plain is text that Slack only shows.
func plain(s string, limit int) *text {
	off := false
	return &text{Type: "plain_text", Text: escape(s, limit), Emoji: &off}
}

// mrkdwn is text with marks, made of parts that are escaped. Verbatim keeps Slack from making links of what looks like one.
func mrkdwn(s string) *text { return &text{Type: "mrkdwn", Text: s, Verbatim: true} }

// escape makes a text harmless that an attacker may have chosen, and cuts it at a limit: one line without control characters, in
// which nothing is a link, a mention or a channel. It is never empty, for Slack takes no empty text.
func escape(s string, limit int) string {
	var b strings.Builder
	used := 0
	for _, r := range strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ") {
		out := escaped(r)
		n := length(out)
		if used+n > limit-1 { // a place for the dots
			b.WriteString("…")
			break
		}
		used += n
		b.WriteString(out)
	}
	if b.Len() == 0 {
		return "–"
	}
	return b.String()
}

func escaped(r rune) string {
	switch {
	case r == '&':
		return "&amp;"
	case r == '<':
		return "&lt;"
	case r == '>':
		return "&gt;"
	case !unicode.IsPrint(r): // controls, and formats such as those that turn the direction of reading
		return "\uFFFD"
	}
	return string(r)
}

// length is how many characters Slack counts.
func length(s string) (n int) {
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// code is a text in the type of code. Nothing in it ends the code, or is a mark.
func code(s string, limit int) string {
	return "`" + escape(strings.ReplaceAll(s, "`", "'"), limit) + "`"
}

// link is a link to an address that a rule's author wrote; what is none is shown as text.
func link(address, label string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(address, outsideLink) {
		return code(address, maxLink)
	}
	if address = strings.ReplaceAll(address, "&", "&amp;"); length(address) > maxLink {
		return code(address, maxLink)
	}
	return "<" + address + "|" + label + ">"
}

// outsideLink says of a character that it would end a link, or is not shown.
func outsideLink(r rune) bool {
	return strings.ContainsRune("<>|", r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
}
