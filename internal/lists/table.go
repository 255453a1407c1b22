package lists

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxColumns bounds the columns of a table.
const maxColumns = 64

// table reads a table: lines of comma-separated values (RFC 4180), of which the first names the columns and the first of each is the row's
// key. Blank lines and lines that begin with # are left out.
func (r *Registry) table(name string, data []byte, p *problems) {
	c := csv.NewReader(bytes.NewReader(data))
	c.Comment, c.TrimLeadingSpace, c.FieldsPerRecord = '#', true, -1
	header, err := c.Read()
	if err != nil {
		p.unreadable(err)
		return
	}
	line, _ := c.FieldPos(0)
	columns := trimmed(header)
	if !p.columns(line, columns) {
		return
	}
	l := newList(name, columns[1:]...)
	r.Add(l)
	lines := map[string]int{} // of the keys
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.unreadable(err)
			return
		}
		line, _ := c.FieldPos(0)
		if l.Len() >= maxEntries {
			p.report(line, 1, fmt.Sprintf("the table has more than %d rows", maxEntries), "write neighbouring addresses as networks")
			return
		}
		if !p.row(l, lines, line, trimmed(row)) {
			return
		}
	}
	l.seal()
}

// row adds a row to a table. It answers false where there are too many mistakes to go on.
func (p *problems) row(l *List, lines map[string]int, line int, row []string) bool {
	if len(row) != len(l.columns)+1 {
		return p.report(line, 1, fmt.Sprintf("the row has %d values, and the first line names %d columns", len(row), len(l.columns)+1), "put a value with a comma in it into double quotes")
	}
	for _, v := range row {
		if len(v) > maxEntry || !utf8.ValidString(v) {
			return p.report(line, 1, fmt.Sprintf("a value must be UTF-8 text of at most %d bytes", maxEntry), "is this a table of comma-separated values?")
		}
	}
	key := row[0]
	if n, wrong := parseNetwork(key); wrong == nil && n.IsValid() {
		key = n.String()
	}
	if first, twice := lines[key]; twice {
		return p.report(line, 1, fmt.Sprintf("the key %s is there already, in line %d", row[0], first), "leave one of the rows out")
	}
	lines[key] = line
	if wrong := l.add(row[0], row[1:]...); wrong != nil {
		return p.report(line, 1, wrong.message, wrong.hint)
	}
	return true
}

// columns checks the first line of a table.
func (p *problems) columns(line int, names []string) bool {
	switch {
	case len(names) < 2:
		p.report(line, 1, "the first line names one column, and a table has at least two", "the first is the key: write for example `address,owner`; a list without columns is a .txt file")
		return false
	case len(names) > maxColumns:
		p.report(line, 1, fmt.Sprintf("the first line names %d columns, and at most %d are read", len(names), maxColumns), "leave out those that nobody looks up")
		return false
	}
	for i, name := range names {
		if name == "" || len(name) > maxEntry || !utf8.ValidString(name) {
			p.report(line, 1, fmt.Sprintf("column %d has no name", i+1), "the first line names the columns")
			return false
		}
		if slices.Contains(names[:i], name) {
			p.report(line, 1, fmt.Sprintf("the column %s is named twice", name), "give one of them another name")
			return false
		}
	}
	return true
}

// unreadable reports what is no CSV.
func (p *problems) unreadable(err error) {
	var e *csv.ParseError
	switch {
	case errors.As(err, &e):
		p.report(e.Line, e.Column, fmt.Sprintf("is no CSV: %s", e.Err), "a value with quotes in it stands in double quotes, and its own are doubled")
	case errors.Is(err, io.EOF):
		p.report(1, 1, "the table is empty", "the first line names the columns, of which the first is the key")
	default:
		p.report(0, 0, fmt.Sprintf("cannot be read: %v", err), "")
	}
}

func trimmed(values []string) []string {
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	return values
}
