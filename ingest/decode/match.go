package decode

import (
	"net/netip"
	"strings"

	"github.com/klaxonhq/klaxon/event"
)

// A match may look at each byte of a text maxPasses times, and at slack bytes more; then it does not fit. So no text makes it slow, whatever
// it makes the match try.
const (
	maxPasses = 32
	slack     = 4096
)

// Match holds what a pattern captured. It is made for reuse: the zero value is ready, and one Match serves any number of patterns.
// It is not safe for concurrent use.
type Match struct {
	p     *Pattern
	s     string
	spans []span
	work  int // bytes that may still be looked at
	far   int // how far any try got, in bytes
}

type span struct {
	from, to int // to < 0: absent
	millis   int64
	addr     netip.Addr
}

// Run matches the whole of s. Its captures are valid until the next call and alias s.
func (m *Match) Run(p *Pattern, s string) bool {
	m.p, m.s, m.work, m.far = p, s, maxPasses*len(s)+slack, 0
	if cap(m.spans) < len(p.captures) {
		m.spans = make([]span, maxCaptures)
	}
	m.spans = m.spans[:len(p.captures)]
	m.clear(0, len(p.captures))
	return m.run(0, 0)
}

// Far is how many bytes of the text fitted in the last Run, for messages about lines that do not fit.
func (m *Match) Far() int { return m.far }

// Text is the text of a capture; ok is false where it is absent: not reached, empty, or a lone `-`.
func (m *Match) Text(i int) (text string, ok bool) {
	c := &m.spans[i]
	if c.to <= c.from || c.to == c.from+1 && m.s[c.from] == '-' {
		return "", false
	}
	return m.s[c.from:c.to], true
}

// Millis is the instant that a capture of a time type read, in Unix milliseconds.
func (m *Match) Millis(i int) int64 { return m.spans[i].millis }

// Addr is the address that a capture of type ip read.
func (m *Match) Addr(i int) netip.Addr { return m.spans[i].addr }

func (m *Match) clear(from, to int) {
	for i := from; i < to; i++ {
		m.spans[i].to = -1
	}
}

// spend counts bytes that were looked at; it is false when there were too many.
func (m *Match) spend(n int) bool {
	m.work -= n + 1
	return m.work >= 0
}

func (m *Match) run(pc, pos int) bool {
	for {
		m.far = max(m.far, pos)
		o := &m.p.ops[pc]
		switch o.kind {
		case opLiteral:
			if !strings.HasPrefix(m.s[pos:], o.text) || !m.spend(len(o.text)) {
				return false
			}
			pos += len(o.text)
		case opEnd:
			return pos == len(m.s)
		case opOptional:
			if m.spend(0) && m.run(pc+1, pos) {
				return true
			}
			m.clear(int(o.first), int(o.capture))
			pc = int(o.to)
			continue
		case opCapture:
			if o.follow != nil {
				return m.bounded(o, pos)
			}
			end, ok := m.scan(o, pos)
			if !ok || !m.allowed(o) {
				return false
			}
			pos = end
		}
		pc++
	}
}

// bounded matches a capture whose end depends on what follows, and everything behind it.
func (m *Match) bounded(o *op, pos int) bool {
	for i := range o.follow {
		f := &o.follow[i]
		if o.typ == Last {
			if m.last(o, f, pos) {
				return true
			}
			continue
		}
		end, ok := m.boundary(o.typ, f, pos)
		if !m.spend(max(end, pos) - pos) {
			return false
		}
		if !ok {
			continue
		}
		m.take(o, pos, end)
		if m.allowed(o) && m.run(int(f.pc), end) {
			return true
		}
	}
	return false
}

// boundary is where a plain capture or a word ends if the pattern goes on at f.
func (m *Match) boundary(t Type, f *follow, pos int) (end int, ok bool) {
	rest := m.s[pos:]
	if t == Word {
		n := 0
		for n < len(rest) && !isBlank(rest[n]) {
			n++
		}
		if f.lit != "" {
			// The literal may begin inside the run or right behind it.
			if i := strings.Index(rest[:min(len(rest), n+len(f.lit))], f.lit); i >= 0 {
				n = min(n, i)
			}
		}
		return pos + n, n > 0
	}
	if f.lit == "" {
		return len(m.s), true
	}
	i := strings.Index(rest, f.lit)
	if i < 0 {
		return len(m.s), false
	}
	return pos + i, true
}

// last tries the places where the literal stands, from the right.
func (m *Match) last(o *op, f *follow, pos int) bool {
	if f.lit == "" {
		m.take(o, pos, len(m.s))
		return m.allowed(o) && m.run(int(f.pc), len(m.s))
	}
	for end := len(m.s); ; {
		i := strings.LastIndex(m.s[pos:end], f.lit)
		if i < 0 || !m.spend(end-pos-i) {
			return false
		}
		m.take(o, pos, pos+i)
		if m.allowed(o) && m.run(int(f.pc), pos+i) {
			return true
		}
		// Places may overlap: ` from from ` holds the literal ` from ` twice.
		end = pos + i + len(f.lit) - 1
	}
}

// allowed says whether a capture that must have a value has one.
func (m *Match) allowed(o *op) bool {
	if !o.required {
		return true
	}
	_, ok := m.Text(int(o.capture))
	return ok
}

func (m *Match) take(o *op, from, to int) {
	m.spans[o.capture].from, m.spans[o.capture].to = from, to
}

// scan matches a capture that knows its own end.
func (m *Match) scan(o *op, pos int) (end int, ok bool) {
	rest := m.s[pos:]
	n, ok := m.measure(o, rest)
	if !m.spend(max(n, 0)) {
		return 0, false
	}
	if !ok {
		if o.typ == Quoted || rest == "" || rest[0] != '-' {
			return 0, false
		}
		n = 1 // a lone dash: absent
	}
	m.take(o, pos, pos+n)
	return pos + n, true
}

// measure is how long the text is that a capture takes, or, where it takes none, how much of it was looked at.
func (m *Match) measure(o *op, rest string) (n int, ok bool) {
	c := &m.spans[o.capture]
	switch o.typ {
	case Int:
		n = scanInt(rest)
		return n, n > 0
	case IP:
		n = scanIP(rest)
		c.addr, ok = event.ParseAddr(rest[:n])
		return n, ok
	case HTTPDate:
		c.millis, n = scanHTTPDate(rest)
		return n, n > 0
	case RFC3339:
		c.millis, n = scanRFC3339(rest)
		return n, n > 0
	case SlashDate:
		c.millis, n = scanSlashDate(rest)
		return n, n > 0
	case Epoch:
		n = scanNumber(rest)
		c.millis, ok = event.ParseEpoch(rest[:n])
		return n, ok
	case Path:
		n = scanPath(rest)
		return n, n > 0
	case Quoted:
		if n = scanQuoted(rest, o.quote); n < 0 {
			return len(rest), false
		}
		return n, true
	}
	return len(rest), true // Rest
}
