package incidents

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of texts, in bytes. Attackers choose some of them.
const (
	maxTitle = 512
	maxText  = 1024
	maxNote  = 8 << 10
	maxActor = 256
)

// clip cuts a text at a limit, never inside a rune, and replaces what no store takes: bytes that are no UTF-8, and NUL.
func clip(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= limit {
		return s
	}
	n := limit - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// cleanInput is what somebody typed: without blanks around it.
func cleanInput(s string, limit int) string { return clip(strings.TrimSpace(s), limit) }

// printable replaces what may move a cursor, change colours or the direction of reading: the text may be an attacker's, and is
// about to go to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case !unicode.IsPrint(r): // controls, formats such as bidirectional overrides, private use, unassigned
			return '\uFFFD'
		}
		return r
	}, s)
}
