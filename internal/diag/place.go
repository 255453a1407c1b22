package diag

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v4"
)

// place is the line and column of an offset into a scalar's text. YAML folds lines of the file into one of the text, and so the
// text is followed through the file.
func (n Node) place(offset int) (line, column int) {
	line, column = n.node.Line, n.node.Column
	if offset <= 0 || n.node.Kind != yaml.ScalarNode {
		return line, column
	}
	offset = min(offset, len(n.node.Value))
	f := follower{text: n.node.Value, offset: offset, style: n.node.Style}
	if f.block() {
		line++ // the text begins on the line after the indicator
	} else if f.style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		column++
	}
	if l, c, ok := f.follow(n.src, line, column); ok {
		return l, c
	}
	if f.block() {
		before := n.node.Value[:offset]
		return line + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
	}
	return line, column + offset
}

// follower goes through a scalar's text and the file side by side.
type follower struct {
	text   string
	offset int // what is looked for
	style  yaml.Style
	done   int // how much of the text is behind it
}

func (f *follower) block() bool { return f.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// follow looks from a line of the file on; false means that the file says something else than the text, as escapes make it.
func (f *follower) follow(src []byte, line, column int) (int, int, bool) {
	for range line - 1 {
		_, src, _ = bytes.Cut(src, []byte{'\n'})
	}
	indent := -1
	for first := true; len(src) > 0; first = false {
		var raw []byte
		raw, src, _ = bytes.Cut(src, []byte{'\n'})
		raw = bytes.TrimSuffix(raw, []byte{'\r'})
		blanks := len(raw) - len(bytes.TrimLeft(raw, " "))
		if indent < 0 && blanks < len(raw) {
			indent = blanks
		}
		start := blanks
		switch {
		case f.block():
			start = min(blanks, max(indent, 0))
		case first:
			start = min(column-1, len(raw))
		}
		if at, found, ok := f.line(raw, start); found || !ok {
			return line, at + 1, found
		}
		line++
	}
	return 0, 0, false
}

// line goes through one line. Found says that the offset stands there, at a byte of the line; ok that the line fits the text.
func (f *follower) line(raw []byte, i int) (at int, found, ok bool) {
	for i < len(raw) && f.done < len(f.text) {
		if f.done == f.offset {
			return i, true, true
		}
		n := f.step(raw[i:])
		if n == 0 {
			if f.block() || len(bytes.TrimLeft(raw[i:], " ")) > 0 {
				return i, false, false
			}
			break // blanks at the end of a line are folded away
		}
		i += n
		f.done++
	}
	if f.done == f.offset {
		return i, true, true
	}
	if f.done < len(f.text) && (f.text[f.done] == ' ' || f.text[f.done] == '\n') {
		f.done++ // the end of the line
	}
	return i, false, f.done < len(f.text)
}

// step is how many bytes of the file stand for the text's next one; 0 means that they differ.
func (f *follower) step(raw []byte) int {
	c := f.text[f.done]
	escaped := len(raw) > 1 && raw[1] == c
	switch {
	case f.style&yaml.DoubleQuotedStyle != 0 && raw[0] == '\\':
		if escaped && (c == '"' || c == '\\' || c == '/') {
			return 2
		}
		return 0
	case f.style&yaml.SingleQuotedStyle != 0 && raw[0] == '\'' && c == '\'':
		if escaped {
			return 2
		}
		return 0
	case raw[0] == c:
		return 1
	}
	return 0
}
