package diag

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Bounds on what one file may hold, so that a hostile file costs little.
const (
	maxFileBytes = 16 << 20
	maxDepth     = 64
)

// Node is one YAML value with the place where it stands. The zero Node is an absent value; every reader of it answers the zero
// value and reports nothing, so that optional keys need no test.
type Node struct {
	file string
	path string
	list *List
	node *yaml.Node
	src  []byte // the whole file, to find places within texts that span lines
}

// Documents parses every document of a file. What cannot be parsed is reported in list; the documents before it are returned.
// Tags, aliases, anchors and merge keys are refused: a file means what it says.
func Documents(file string, data []byte, list *List) []Node {
	if len(data) > maxFileBytes {
		list.add(file, 0, 0, "", fmt.Sprintf("is %d bytes, and at most %d are read", len(data), maxFileBytes), "split the file", false)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var docs []Node
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			addParseError(file, err, list)
			return docs
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
			continue
		}
		root := Node{file: file, list: list, node: n.Content[0], src: data}
		if isNull(root.node) {
			continue // an empty document, as a trailing `---` makes one
		}
		if root.refuse(0) {
			docs = append(docs, root)
		}
	}
}

var yamlPosition = regexp.MustCompile(`line (\d+)(?:, column (\d+))?:? ?`)

func addParseError(file string, err error, list *List) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line, column := 1, 1
	if m := yamlPosition.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		if m[2] != "" {
			column, _ = strconv.Atoi(m[2])
		}
		msg = strings.Replace(msg, m[0], "", 1)
	}
	hint := "check indentation and quotes"
	if strings.Contains(msg, "unknown anchor") {
		hint = "put a value that begins with * into quotes"
	}
	list.add(file, line, column, "", "is not YAML: "+msg, hint, false)
}

func (l *List) add(file string, line, column int, path, msg, hint string, warning bool) {
	*l = append(*l, Diagnostic{File: file, Line: line, Column: column, Path: path, Message: msg, Hint: hint, Warning: warning})
}

// refuse reports tags, aliases, merges, duplicate keys and depth, below n. It answers whether n may be read at all.
func (n Node) refuse(depth int) bool {
	if depth > maxDepth {
		n.Errorf("is nested deeper than %d levels", maxDepth)
		return false
	}
	switch {
	case n.node.Kind == yaml.AliasNode, n.node.Anchor != "":
		n.Errorf("uses a YAML anchor or alias, which is not allowed here").Hint("write the value out")
		return false
	case n.node.Style&yaml.TaggedStyle != 0:
		n.Errorf("has the YAML tag %s, which is not allowed here", n.node.Tag).Hint("put the value into quotes if it begins with !")
		return false
	}
	ok := true
	if n.node.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i+1 < len(n.node.Content); i += 2 {
			k := n.node.Content[i]
			key := n.at(k, n.path)
			if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
				key.Errorf("a key must be a plain name")
				ok = false
				continue
			}
			if line, dup := seen[k.Value]; dup {
				key.Errorf("the key %q is already there, at line %d", k.Value, line)
				ok = false
			}
			seen[k.Value] = k.Line
			ok = n.at(n.node.Content[i+1], join(n.path, k.Value)).refuse(depth+1) && ok
		}
		return ok
	}
	for i, c := range n.node.Content {
		ok = n.at(c, fmt.Sprintf("%s[%d]", n.path, i)).refuse(depth+1) && ok
	}
	return ok
}

// Substitute replaces the text of every value below n, keys excepted, by what f makes of it. Since it works on values, what f
// brings in cannot change the document's structure.
func (n Node) Substitute(f func(string) (string, error)) {
	if n.node == nil {
		return
	}
	if n.node.Kind == yaml.ScalarNode {
		s, err := f(n.node.Value)
		if err != nil {
			n.Errorf("%s", err)
			return
		}
		if s != n.node.Value {
			n.node.Value = s
			if n.node.Tag == "!!null" {
				n.node.Tag = "!!str"
			}
		}
		return
	}
	for i, c := range n.node.Content {
		switch {
		case n.node.Kind != yaml.MappingNode:
			n.at(c, fmt.Sprintf("%s[%d]", n.path, i)).Substitute(f)
		case i%2 == 1:
			n.at(c, join(n.path, n.node.Content[i-1].Value)).Substitute(f)
		}
	}
}

func (n Node) at(y *yaml.Node, path string) Node {
	return Node{file: n.file, path: path, list: n.list, node: y, src: n.src}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func isNull(y *yaml.Node) bool { return y.Kind == yaml.ScalarNode && y.Tag == "!!null" }

// Exists says whether the value is there and not null.
func (n Node) Exists() bool { return n.node != nil && !isNull(n.node) }

// IsMap, IsSeq and IsScalar say what kind of value it is.
func (n Node) IsMap() bool { return n.node != nil && n.node.Kind == yaml.MappingNode }

// IsSeq says whether the value is a list.
func (n Node) IsSeq() bool { return n.node != nil && n.node.Kind == yaml.SequenceNode }

// IsScalar says whether the value is a single value, null included.
func (n Node) IsScalar() bool { return n.node != nil && n.node.Kind == yaml.ScalarNode }

// Pos is the place of the value: file, line and column, both from 1.
func (n Node) Pos() (file string, line, column int) {
	if n.node == nil {
		return n.file, 0, 0
	}
	return n.file, n.node.Line, n.node.Column
}

// Path is the value's place in the document's own terms.
func (n Node) Path() string { return n.path }

// Into is the same value, reporting to another list: for what is read in one pass and checked in a later one.
func (n Node) Into(list *List) Node {
	n.list = list
	return n
}

// WarnfAt is ErrorfAt for something that is allowed but likely wrong.
func (n Node) WarnfAt(offset int, format string, args ...any) Report {
	return n.report(true, offset, format, args...)
}

// Report is what Errorf and Warnf return, so that a hint can be added.
type Report struct {
	list *List
	at   int
}

// Hint adds what to do.
func (r Report) Hint(format string, args ...any) {
	if r.list != nil && format != "" {
		(*r.list)[r.at].Hint = fmt.Sprintf(format, args...)
	}
}

// Errorf reports a mistake at this value. The message continues a sentence whose subject is the value's path.
func (n Node) Errorf(format string, args ...any) Report { return n.report(false, 0, format, args...) }

// ErrorfAt is Errorf with an offset in bytes into the scalar's text, for a mistake inside a pattern or condition. Where the text
// spans lines of the file, the line and column are those of the file.
func (n Node) ErrorfAt(offset int, format string, args ...any) Report {
	return n.report(false, offset, format, args...)
}

// Warnf reports something that is allowed but likely wrong.
func (n Node) Warnf(format string, args ...any) Report { return n.report(true, 0, format, args...) }

func (n Node) report(warning bool, offset int, format string, args ...any) Report {
	if n.list == nil {
		return Report{}
	}
	line, column := 0, 0
	if n.node != nil {
		line, column = n.place(offset)
	}
	n.list.add(n.file, line, column, n.path, fmt.Sprintf(format, args...), "", warning)
	return Report{n.list, len(*n.list) - 1}
}

// Raw is the scalar's text as written, without regard to its type, or "".
func (n Node) Raw() string {
	if !n.IsScalar() {
		return ""
	}
	return n.node.Value
}

// Text is the scalar's text. A mapping or list is reported.
func (n Node) Text() string {
	if n.Exists() && !n.IsScalar() {
		n.Errorf("must be text, not a %s", n.kind())
	}
	if !n.Exists() {
		return ""
	}
	return n.Raw()
}

// Quoted says whether the scalar is written in quotes, which makes it text whatever it looks like.
func (n Node) Quoted() bool {
	return n.IsScalar() && n.node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

// Condition is the text of an expression. A comment behind it on the same line is reported, since ` #` cuts an unquoted value
// short without a word; so is an empty one.
func (n Node) Condition() string {
	s := strings.TrimSpace(n.Text())
	if !n.Exists() {
		return ""
	}
	if n.IsScalar() && !n.Quoted() && n.node.LineComment != "" {
		n.Errorf("the condition is cut short by the YAML comment %q", n.node.LineComment).Hint("put the whole condition into single quotes, or the comment on a line of its own")
	}
	if s == "" {
		n.Errorf("is an empty condition").Hint("leave the key out to match everything the source gives")
	}
	return s
}

func (n Node) kind() string {
	switch {
	case n.IsMap():
		return "mapping"
	case n.IsSeq():
		return "list"
	case n.IsScalar():
		return "value"
	}
	return "nothing"
}

// Bool reads true or false.
func (n Node) Bool() bool {
	if !n.Exists() {
		return false
	}
	v, err := strconv.ParseBool(n.Raw())
	if err != nil || n.Quoted() {
		n.Errorf("must be true or false, not %s", n.show())
	}
	return v
}

// Int reads a whole number between lo and hi.
func (n Node) Int(lo, hi int64) int64 {
	if !n.Exists() {
		return 0
	}
	v, err := strconv.ParseInt(strings.ReplaceAll(n.Raw(), "_", ""), 10, 64)
	if err != nil || !n.IsScalar() {
		n.Errorf("must be a whole number, not %s", n.show())
		return 0
	}
	if v < lo || v > hi {
		n.Errorf("must be between %d and %d, not %d", lo, hi, v)
		return 0
	}
	return v
}

// Float reads a finite number.
func (n Node) Float() float64 {
	if !n.Exists() {
		return 0
	}
	v, err := strconv.ParseFloat(n.Raw(), 64)
	if err != nil || !n.IsScalar() || v != v || v-v != 0 {
		n.Errorf("must be a number, not %s", n.show())
		return 0
	}
	return v
}

// Duration reads a positive span such as 30s, 5m, 1h30m, 7d or 2w.
func (n Node) Duration() time.Duration {
	if !n.Exists() {
		return 0
	}
	d, err := ParseDuration(n.Raw())
	if err != nil || !n.IsScalar() {
		n.Errorf("must be a duration such as 30s, 5m, 1h or 7d, not %s", n.show())
		return 0
	}
	if d <= 0 {
		n.Errorf("must be longer than nothing")
	}
	return d
}

var dayPart = regexp.MustCompile(`(\d+)([dw])`)

// ParseDuration is time.ParseDuration with days (24 h) and weeks.
func ParseDuration(s string) (time.Duration, error) {
	s = dayPart.ReplaceAllStringFunc(s, func(p string) string {
		v, err := strconv.Atoi(p[:len(p)-1])
		if err != nil || v > 36500 {
			return p
		}
		if p[len(p)-1] == 'w' {
			v *= 7
		}
		return strconv.Itoa(v*24) + "h"
	})
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("not a duration: %q", s)
	}
	return d, nil
}

// Date reads a day, yyyy-mm-dd, as its beginning in UTC.
func (n Node) Date() time.Time {
	if !n.Exists() {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, n.Raw())
	if err != nil {
		n.Errorf("must be a day such as 2027-01-31, not %s", n.show())
	}
	return t
}

// OneOf reads one of some words.
func (n Node) OneOf(words ...string) string {
	s := n.Text()
	if n.Exists() && !slices.Contains(words, s) {
		n.Errorf("must be one of %s, not %s", strings.Join(words, ", "), n.show()).Hint("%s", DidYouMean(s, words))
		return ""
	}
	return s
}

func (n Node) show() string {
	if !n.IsScalar() {
		return "a " + n.kind()
	}
	s := n.Raw()
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strconv.Quote(s)
}

// Seq is the list's elements. What is no list is reported.
func (n Node) Seq() []Node {
	if !n.Exists() {
		return nil
	}
	if !n.IsSeq() {
		n.Errorf("must be a list, not a %s", n.kind())
		return nil
	}
	out := make([]Node, len(n.node.Content))
	for i, c := range n.node.Content {
		out[i] = n.at(c, fmt.Sprintf("%s[%d]", n.path, i))
	}
	return out
}

// OneOrMany is a list's elements, or the value itself as a list of one.
func (n Node) OneOrMany() []Node {
	if n.Exists() && !n.IsSeq() {
		return []Node{n}
	}
	return n.Seq()
}

// Texts reads one text or a list of texts.
func (n Node) Texts() []string {
	var out []string
	for _, e := range n.OneOrMany() {
		out = append(out, e.Text())
	}
	return out
}
