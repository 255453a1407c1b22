// Package decode reads the texts that logs are made of: patterns over lines, envelopes (syslog, docker), dates, JSON members and
// lists of forwarded addresses. Everything here takes time linear in the input and allocates nothing once it is compiled.
package decode

import (
	"fmt"
	"slices"
	"strings"
)

// Type says what a capture accepts and where it ends.
type Type uint8

// The types of captures. A lone `-` is accepted by each of them and means that the value is absent, unless a `!` behind the type says that
// there must be a value.
const (
	// Plain runs to the first occurrence of the literal behind it.
	Plain Type = iota
	// Word is one or more characters that are not blank, and ends before the literal behind it.
	Word
	// Int is a whole number.
	Int
	// IP is an IPv4 or IPv6 address, also in brackets.
	IP
	// HTTPDate is `10/Oct/2026:13:55:36 +0000`.
	HTTPDate
	// RFC3339 is `2026-10-10T13:55:36.123Z`, with a blank or a T, a zone or none.
	RFC3339
	// Epoch is a number since 1970, with a fraction or without; see event.ParseEpoch.
	Epoch
	// Quoted runs to the first quote that no backslash escapes; escapes stay as they are.
	Quoted
	// Rest runs to the end.
	Rest
	// Last runs to the last occurrence of the literal behind it from where on everything else fits.
	Last
	// Path is a slash and all that follows before a question mark, a hash or a blank: the path of a URL.
	Path
	// SlashDate is `2026/10/10 13:55:36`, with a fraction or without, in UTC: the date of nginx's error log and of Go's log package.
	SlashDate
)

// types is every type's name by its number.
func types() []string {
	return []string{"plain", "word", "int", "ip", "httpdate", "rfc3339", "epoch", "quoted", "rest", "last", "path", "slashdate"}
}

// String is the type's name in a pattern.
func (t Type) String() string { return types()[t] }

// IsTime says whether the type reads an instant.
func (t Type) IsTime() bool { return t == HTTPDate || t == RFC3339 || t == Epoch || t == SlashDate }

// Capture is one `<name:type>` of a pattern.
type Capture struct {
	Name     string // "" for text that is skipped
	Type     Type
	Required bool // neither empty nor a lone dash
	Offset   int  // bytes from the pattern's start
}

// Error is a mistake in a pattern.
type Error struct {
	Offset  int // bytes from the pattern's start
	Message string
	Hint    string
}

// Error is the message with its offset.
func (e Error) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Message) }

// Bounds on one pattern.
const (
	maxPattern  = 4096
	maxCaptures = 64
	maxNesting  = 8
)

type opKind uint8

const (
	opLiteral opKind = iota
	opCapture
	opOptional // try what follows; where it does not fit, go on at to
	opEnd
)

type op struct {
	kind     opKind
	typ      Type
	capture  int16    // index of the capture
	to       int16    // of an optional: the op behind the group
	first    int16    // of an optional: its first capture, and in capture the one behind its last
	required bool     // of a capture
	quote    byte     // of a quoted capture: the quote that ends it
	text     string   // of a literal
	follow   []follow // of a capture that needs to know what comes next
}

// follow is one way in which a pattern can go on behind a capture: at op pc, which is a literal or the end.
type follow struct {
	pc  int16
	lit string // "" for the end
}

// Pattern is a compiled pattern. It is immutable and safe for concurrent use.
type Pattern struct {
	src      string
	ops      []op
	captures []Capture
	prefix   string // every text that fits begins with it
}

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.src }

// Captures is the pattern's captures in the order written. The caller must not write to it.
func (p *Pattern) Captures() []Capture { return p.captures }

// Prefix is the literal text that every line begins with that fits; "" when there is none.
func (p *Pattern) Prefix() string { return p.prefix }

type patternParser struct {
	src   string
	at    int
	p     *Pattern
	open  []int // optional groups that are open, as indexes of their op
	lit   strings.Builder
	errs  []Error
	place []int // offset in the source, by op
}

// ParsePattern compiles a pattern. All mistakes are reported, in the order of their places; the pattern is nil if there is one.
//
// `<name:type>` captures, `<:type>` skips, `<name>` is a plain capture, `<name:type!>` must have a value, `<?` … `?>` is optional, `<<` is a
// literal `<`.
func ParsePattern(src string) (*Pattern, []Error) {
	c := &patternParser{src: src, p: &Pattern{src: src}}
	if len(src) > maxPattern {
		return nil, []Error{{0, fmt.Sprintf("the pattern is longer than %d bytes", maxPattern), "split it into steps"}}
	}
	if src == "" {
		return nil, []Error{{0, "the pattern is empty", "<message:rest> takes a whole line"}}
	}
	c.parse()
	c.resolve()
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	if first := c.p.ops[0]; first.kind == opLiteral {
		c.p.prefix = first.text
	}
	return c.p, nil
}

func (c *patternParser) errorf(at int, hint, format string, args ...any) {
	c.errs = append(c.errs, Error{at, fmt.Sprintf(format, args...), hint})
}

func (c *patternParser) emit(o op, at int) int {
	c.p.ops = append(c.p.ops, o)
	c.place = append(c.place, at)
	return len(c.p.ops) - 1
}

func (c *patternParser) flush() {
	if c.lit.Len() > 0 {
		c.emit(op{kind: opLiteral, text: c.lit.String()}, c.at)
		c.lit.Reset()
	}
}

func (c *patternParser) parse() {
	for c.at < len(c.src) {
		rest := c.src[c.at:]
		switch {
		case strings.HasPrefix(rest, "<<"):
			c.lit.WriteByte('<')
			c.at += 2
		case strings.HasPrefix(rest, "<?"):
			c.flush()
			c.openGroup()
		case strings.HasPrefix(rest, "?>") && len(c.open) > 0:
			c.flush()
			c.closeGroup()
		case rest[0] == '<':
			c.flush()
			c.capture(rest)
		default:
			c.lit.WriteByte(rest[0])
			c.at++
		}
	}
	c.flush()
	for _, g := range c.open {
		c.errorf(c.place[g], "close it with ?>", "the optional part is never closed")
	}
	c.emit(op{kind: opEnd}, len(c.src))
}

func (c *patternParser) openGroup() {
	if len(c.open) >= maxNesting {
		c.errorf(c.at, "", "optional parts are nested deeper than %d levels", maxNesting)
	}
	c.open = append(c.open, c.emit(op{kind: opOptional, first: int16(len(c.p.captures))}, c.at))
	c.at += 2
}

func (c *patternParser) closeGroup() {
	g := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	if g == len(c.p.ops)-1 {
		c.errorf(c.place[g], "", "the optional part is empty")
	}
	c.p.ops[g].to, c.p.ops[g].capture = int16(len(c.p.ops)), int16(len(c.p.captures))
	c.at += 2
}

// capture reads `<name:type>`.
func (c *patternParser) capture(rest string) {
	end := strings.IndexByte(rest, '>')
	if end < 0 {
		c.errorf(c.at, "a literal < is written <<", "the capture is never closed")
		c.at = len(c.src)
		return
	}
	name, typ, typed := strings.Cut(rest[1:end], ":")
	at := c.at
	c.at += end + 1
	t, required := Plain, false
	if typed {
		typ, required = strings.CutSuffix(typ, "!")
		i := slices.Index(types(), typ)
		if i < 0 {
			c.errorf(at+2+len(name), "one of "+strings.Join(types(), ", "), "%q is no type of capture", typ)
			return
		}
		t = Type(i)
	}
	if bad := strings.IndexFunc(name, notInName); bad >= 0 || name == "" && !typed {
		c.errorf(at, "<field:type>, <$scratch:type> or <:type>; a literal < is written <<", "%q is no capture", rest[:end+1])
		return
	}
	if len(c.p.captures) >= maxCaptures {
		c.errorf(at, "split it into steps", "more than %d captures", maxCaptures)
		return
	}
	if name != "" && slices.ContainsFunc(c.p.captures, func(o Capture) bool { return o.Name == name }) && len(c.open) == 0 {
		c.errorf(at, "", "%s is captured twice", name)
	}
	c.emit(op{kind: opCapture, typ: t, required: required, capture: int16(len(c.p.captures))}, at)
	c.p.captures = append(c.p.captures, Capture{Name: name, Type: t, Required: required, Offset: at})
}

func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '@' || r == '$' || r == '-')
}

// resolve finds, for every capture that does not know its own end, what can follow it.
func (c *patternParser) resolve() {
	for i := range c.p.ops {
		o := &c.p.ops[i]
		if o.kind != opCapture {
			continue
		}
		at := c.place[i]
		switch o.typ {
		case Rest:
			if c.p.ops[i+1].kind != opEnd {
				c.errorf(at, "", "nothing can follow a capture of type rest")
			}
		case Quoted:
			if next := c.p.ops[i+1]; next.kind != opLiteral || next.text[0] != '"' && next.text[0] != '\'' {
				c.errorf(at, `write "<name:quoted>"`, "a capture of type quoted must stand between quotes")
			} else {
				o.quote = next.text[0]
			}
		case Plain, Word, Last:
			o.follow = c.follows(i+1, at, o.typ)
		}
	}
}

// follows lists the ways on from op pc: into each optional group that stands there, and past it.
func (c *patternParser) follows(pc, at int, t Type) []follow {
	switch o := c.p.ops[pc]; o.kind {
	case opLiteral:
		return []follow{{int16(pc), o.text}}
	case opEnd:
		return []follow{{int16(pc), ""}}
	case opOptional:
		if o.to == 0 {
			return nil // never closed, which is reported already
		}
		return append(c.follows(pc+1, at, t), c.follows(int(o.to), at, t)...)
	case opCapture:
		if o.typ == Path {
			return []follow{{int16(pc), "/"}}
		}
	}
	if t != Word {
		c.errorf(at, "put literal text between them, or give it a type that knows its own end", "a capture of type %s cannot stand right before another capture", t)
	} else {
		c.errorf(at, "put literal text between them", "a word cannot stand right before another capture")
	}
	return nil
}
